use proptest::prelude::*;

use super::*;

const GOOD: &str = "Filename;Width;Height;Roi.X1;Roi.Y1;Roi.X2;Roi.Y2;ClassId\r\n\
                    00000.ppm;53;54;6;5;48;49;16\r\n";

fn read(text: impl AsRef<[u8]>) -> Result<Table> {
    parse("t.csv", text.as_ref(), "Filename")
}

fn first(text: impl AsRef<[u8]>) -> Row {
    read(text).unwrap().rows.remove(0)
}

#[test]
fn the_official_form() {
    let roi = Roi { x1: 6, y1: 5, x2: 48, y2: 49 };
    let row = Row { line: 2, file: "00000.ppm".into(), size: (53, 54), roi, class: 16 };
    assert_eq!(first(GOOD), row);
}

#[test]
fn harmless_forms_read_the_same() {
    let good = first(GOOD);
    for text in [
        GOOD.replace("\r\n", "\n"),
        GOOD.trim_end().to_owned(),
        format!("\u{feff}{GOOD}"),
        format!("{GOOD}\r\n\r\n"),
        GOOD.replace(';', ","),
        GOOD.replace("00000.ppm", "\"00000.ppm\""),
        GOOD.replace(";16", "; 016 "),
        GOOD.replace("Filename", "Extra;Filename").replace("00000.ppm", "\"a;b\";00000.ppm"),
        "ClassId,Roi.Y2,Roi.X2,Roi.Y1,Roi.X1,Height,Width,Filename\n16,49,48,5,6,54,53,00000.ppm"
            .to_owned(),
    ] {
        assert_eq!(first(&text), good, "{text:?}");
    }
}

#[test]
fn headers_that_do_not_do() {
    for (from, to, wanted) in [
        (";ClassId", "", "GTSRB_Final_Test_GT.zip"),
        ("Width", "Breadth", "no column Width"),
        ("Width", "Height", "no column Width"),
        ("Filename", "Path", "no column Filename"),
        ("Filename", "Width;Filename", "twice the column Width"),
    ] {
        let error = read(GOOD.replace(from, to)).unwrap_err();
        assert_eq!(error.fault().code(), 65);
        let message = error.to_string();
        assert!(message.contains(wanted) && message.contains("Roi.X1"), "{message}");
    }
    assert!(read("").is_err());
}

#[test]
fn bad_fields_are_collected_with_their_line() {
    for class in ["7.0", "NaN", "", "1e20", "99999999999999999999"] {
        let table =
            read(format!("{GOOD}1.ppm;1;1;0;0;0;0;{class}\n2.ppm;1;1;0;0;0;0;1\n")).unwrap();
        assert_eq!((table.rows.len(), table.bad.len()), (2, 1), "{class}");
        assert_eq!(table.bad[0].path, "t.csv:3");
        assert!(table.bad[0].reason.contains("ClassId"), "{}", table.bad[0].reason);
    }
    assert!(read(format!("{GOOD}1.ppm;1\n")).unwrap().bad[0].reason.contains("2 fields, not 8"));
}

#[test]
fn what_is_no_text_is_refused_with_its_line() {
    let utf16: Vec<u8> = GOOD.encode_utf16().flat_map(u16::to_le_bytes).collect();
    for (bytes, wanted) in [
        (utf16, "t.csv:1: zero bytes"),
        (GOOD.replace("\r\n", "\r").into_bytes(), "t.csv:1: line ends"),
        (format!("{GOOD}\"1.ppm;1\n").into_bytes(), "t.csv:3: a quote"),
        (format!("{GOOD}{}", "x".repeat(70_000)).into_bytes(), "t.csv:3: a line of more"),
        (b"Filename;\xe4".to_vec(), "not UTF-8"),
    ] {
        let error = read(&bytes).unwrap_err().to_string();
        assert!(error.contains(wanted), "{error}");
    }
}

proptest! {
    #[test]
    fn what_was_written_is_read(
        rows in prop::collection::vec(("[a-z;,\" ]{0,8}[a-z]", prop::array::uniform7(0i32..999)), 0..20),
        comma: bool,
    ) {
        let delimiter = if comma { "," } else { ";" };
        let mut text = ["Filename", &NUMBERS.join(delimiter)].join(delimiter);
        for (file, n) in &rows {
            let quoted = format!("\"{}\"", file.replace('"', "\"\""));
            let numbers = n.map(|n| n.to_string()).join(delimiter);
            text = format!("{text}\n{quoted}{delimiter}{numbers}");
        }
        let table = read(&text).unwrap();
        prop_assert_eq!(table.rows.len(), rows.len());
        for (row, (file, n)) in table.rows.iter().zip(&rows) {
            prop_assert_eq!(&row.file, file);
            prop_assert_eq!((row.size.0, row.roi.x1, row.class), (n[0].into(), n[2], n[6].into()));
        }
    }

    #[test]
    fn any_bytes_end_in_rows_or_an_error(bytes: Vec<u8>, at in 0usize..80) {
        let _ = read(&bytes);
        let mut text = GOOD.as_bytes().to_vec();
        let end = (at + bytes.len()).min(text.len());
        text.splice(at.min(end)..end, bytes);
        let _ = read(&text);
    }
}
