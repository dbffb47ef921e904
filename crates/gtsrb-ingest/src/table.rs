//! GTSRB's tables: one row a picture, with size, region of interest and class.
//!
//! Columns are found by name, in any order; `;` or `,` by the header; a byte-order mark, CRLF
//! and quotes are tolerated. A row that makes no sense is collected, not the end.

use artifact::images::Roi;
use stage::{Error, Result};

use crate::bad::{Bad, shown};

/// The longest line, in bytes.
const MAX_LINE: usize = 64 << 10;

/// One row.
#[derive(Debug, PartialEq)]
pub struct Row {
    /// The line in the file, from 1.
    pub line: usize,
    /// The picture, as the table names it.
    pub file: String,
    /// Width and height in pixels.
    pub size: (i64, i64),
    /// The region of interest.
    pub roi: Roi,
    /// The class.
    pub class: i64,
}

/// A table's rows, and those that make no sense.
#[derive(Debug, Default)]
pub struct Table {
    /// The rows, in their order.
    pub rows: Vec<Row>,
    /// The others, by `TABLE:LINE`.
    pub bad: Vec<Bad>,
}

/// The columns besides the one that names the picture.
const NUMBERS: [&str; 7] =
    ["Width", "Height", "Roi.X1", "Roi.Y1", "Roi.X2", "Roi.Y2", signs::layout::CLASS_COLUMN];

/// Parses the table called `name`; its column `file_column` names the pictures.
///
/// # Errors
/// [`Data`](stage::Fault::Data) if it isn't such a table at all.
pub fn parse(name: &str, bytes: &[u8], file_column: &str) -> Result<Table> {
    let name = &shown(name);
    let text = std::str::from_utf8(bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes))
        .map_err(|_| Error::data(format!("{name}: not UTF-8; save it as UTF-8 text")))?;
    let mut lines = text.split('\n').enumerate();
    let header = lines.next().map_or("", |(_, line)| line);
    let header = check_line(name, 1, header)?;
    let delimiter = if header.contains(';') { ';' } else { ',' };
    let columns = Columns::find(name, header, delimiter, file_column)?;
    let mut table = Table::default();
    for (index, line) in lines {
        let line = check_line(name, index + 1, line)?;
        if line.is_empty() {
            continue;
        }
        match columns.row(index + 1, &fields(line, delimiter)) {
            Ok(row) => table.rows.push(row),
            Err(reason) => table.bad.push(Bad::new(format!("{name}:{}", index + 1), reason)),
        }
    }
    Ok(table)
}

/// A line without its end; no text has what is refused here.
fn check_line<'a>(name: &str, number: usize, line: &'a str) -> Result<&'a str> {
    let line = line.strip_suffix('\r').unwrap_or(line);
    let reason = if line.len() > MAX_LINE {
        "a line of more than 64 KiB"
    } else if line.contains('\0') {
        "zero bytes; save it as UTF-8 text"
    } else if line.contains('\r') {
        "line ends without a line feed; save it with LF or CRLF"
    } else if line.matches('"').count() % 2 == 1 {
        "a quote that does not end"
    } else {
        return Ok(line);
    };
    Err(Error::data(format!("{name}:{number}: {reason}")))
}

/// Fields of a line, without quotes and outer blanks.
fn fields(line: &str, delimiter: char) -> Vec<String> {
    let mut quoted = false;
    let split = line.split(|c| {
        quoted ^= c == '"';
        c == delimiter && !quoted
    });
    split.map(|field| unquote(field.trim())).collect()
}

fn unquote(field: &str) -> String {
    let inner = field.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    inner.map_or_else(|| field.to_owned(), |text| text.replace("\"\"", "\""))
}

/// Where the columns are.
struct Columns {
    count: usize,
    file: usize,
    numbers: [usize; 7],
}

impl Columns {
    fn find(name: &str, header: &str, delimiter: char, file: &str) -> Result<Self> {
        let found = fields(header, delimiter);
        let at = |wanted: &str| {
            let mut places = (0..found.len()).filter(|&i| found[i] == wanted);
            let problem = match (places.next(), places.next()) {
                (Some(place), None) => return Ok(place),
                (None, _) => "has no column",
                _ => "has twice the column",
            };
            Err(Error::data(format!(
                "{name} {problem} {wanted}: its header is `{}`, wanted is `{file};{}`{}",
                shown(&header.chars().take(200).collect::<String>()),
                NUMBERS.join(";"),
                hint(wanted)
            )))
        };
        let mut numbers = [0; 7];
        for (place, wanted) in numbers.iter_mut().zip(NUMBERS) {
            *place = at(wanted)?;
        }
        Ok(Self { count: found.len(), file: at(file)?, numbers })
    }

    fn row(&self, line: usize, fields: &[String]) -> std::result::Result<Row, String> {
        if fields.len() != self.count {
            return Err(format!("{} fields, not {}", fields.len(), self.count));
        }
        let mut values = [0i64; 7];
        for ((value, &place), column) in values.iter_mut().zip(&self.numbers).zip(NUMBERS) {
            let text = &fields[place];
            *value = text
                .parse()
                .map_err(|_| format!("{column} is {:?}, not a whole number", shown(text)))?;
        }
        let [width, height, x1, y1, x2, y2, class] = values;
        let corner = |value: i64| i32::try_from(value).map_err(|_| format!("{value} is too large"));
        let roi = Roi { x1: corner(x1)?, y1: corner(y1)?, x2: corner(x2)?, y2: corner(y2)? };
        Ok(Row { line, file: fields[self.file].clone(), size: (width, height), roi, class })
    }
}

/// The official archive of the test pictures holds a table without classes.
fn hint(column: &str) -> &'static str {
    if column == signs::layout::CLASS_COLUMN {
        "; the table with the classes of the test pictures is GT-final_test.csv in \
         GTSRB_Final_Test_GT.zip: fetch that"
    } else {
        ""
    }
}

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;
