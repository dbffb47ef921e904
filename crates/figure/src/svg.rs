//! A small writer of SVG: elements with escaped text and short numbers.

use std::fmt::Write as _;

/// Names of a figure's colours, light and dark.
const COLOURS: [(&str, &str, &str); 7] = [
    ("ink", "#1f2328", "#e6edf3"),
    ("soft", "#656d76", "#9aa4af"),
    ("line", "#d0d7de", "#3a424d"),
    ("paper", "#ffffff", "#161b22"),
    ("good", "#1a6fb5", "#5aa9e6"),
    ("bad", "#c8371b", "#ff7a59"),
    ("third", "#6b7280", "#9ca3af"),
];

/// What its classes look like.
const RULES: &str = "\
.figure{font-family:system-ui,-apple-system,'Segoe UI',Roboto,'DejaVu Sans',sans-serif;\
font-size:12px}.figure text{fill:var(--ink)}.figure .soft{fill:var(--soft)}\
.figure .light{fill:var(--paper)}.figure .title{font-weight:600;\
font-size:13px}.figure .line{stroke:var(--line);fill:none}.figure .paper{fill:var(--paper)}\
.figure .good{fill:var(--good)}.figure .bad{fill:var(--bad)}.figure .third{fill:var(--third)}\
.figure .stroke{fill:none;stroke-width:2;stroke-linejoin:round}\
.figure .stroke.good{stroke:var(--good);fill:none}.figure .stroke.bad{stroke:var(--bad);\
fill:none}.figure .stroke.third{stroke:var(--third);fill:none}\
.figure .dash{stroke-dasharray:5 4}.figure .mid{text-anchor:middle}\
.figure .marks{fill:none;stroke-width:4;stroke-linecap:round}\
.figure .bad.marks{stroke:var(--bad);stroke-width:1.5}\
.figure .halo{stroke:var(--paper);stroke-width:3;stroke-linejoin:round;paint-order:stroke;\
font-weight:600}.figure .end{text-anchor:end}.figure .small{font-size:10px}.figure .tiny{font-size:8px}";

/// The style sheet of a figure. Its colours are variables of the figure's root, so that the file
/// shows well alone, and inside the report in either scheme.
fn style() -> String {
    let (mut light, mut dark) = (String::new(), String::new());
    for (name, by_day, by_night) in COLOURS {
        write!(light, "--{name}:{by_day};").ok();
        write!(dark, "--{name}:{by_night};").ok();
    }
    format!(".figure{{{light}}}@media(prefers-color-scheme:dark){{.figure{{{dark}}}}}{RULES}")
}

/// `drawing` with the light colours in their places, for renderers that know neither variables
/// nor schemes.
#[must_use]
pub fn by_day(drawing: &str) -> String {
    let mut rules = RULES.to_owned();
    for (name, colour, _) in COLOURS {
        rules = rules.replace(&format!("var(--{name})"), colour);
    }
    drawing.replacen(&style(), &rules, 1)
}

/// Text that cannot leave the element or attribute it is put into.
#[must_use]
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            // Control characters are not allowed in XML, not even escaped.
            c if c.is_control() => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

/// At most `limit` characters of `text`, with an ellipsis where it was cut.
#[must_use]
pub fn shorten(text: &str, limit: usize) -> String {
    if text.chars().count() <= limit {
        return text.to_owned();
    }
    let kept: String = text.chars().take(limit.saturating_sub(1)).collect();
    format!("{}…", kept.trim_end())
}

/// What marks look like.
pub struct Marks<'a> {
    /// Their style.
    pub class: &'a str,
    /// Red, green and blue, where the style has none.
    pub colour: Option<[u8; 3]>,
    /// What they are, for a page's script.
    pub name: &'a str,
}

/// A drawing in progress; coordinates are pixels, y down.
pub struct Svg {
    body: String,
}

impl Svg {
    /// An empty drawing of `width` × `height`, described by `title` to a reader who
    /// cannot see it.
    #[must_use]
    pub fn new(width: f64, height: f64, title: &str) -> Self {
        let body = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"figure\" role=\"img\" \
             viewBox=\"0 0 {width:.0} {height:.0}\" width=\"{width:.0}\" height=\"{height:.0}\" \
             aria-label=\"{}\">\n<style>{}</style>\n<rect class=\"paper\" \
             width=\"{width:.0}\" height=\"{height:.0}\"/>\n",
            escape(title),
            style()
        );
        Self { body }
    }

    /// A rectangle with its tooltip.
    pub fn rect(&mut self, class: &str, place: [f64; 4], opacity: f64, tip: &str) {
        let [x, y, w, h] = place;
        self.add(format_args!(
            "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{w:.1}\" \
             height=\"{h:.1}\" fill-opacity=\"{opacity:.3}\"><title>{}</title></rect>",
            escape(tip)
        ));
    }

    /// A rectangle with its tooltip, by which a page's script may find it as `data-cell`.
    pub fn cell(&mut self, class: &str, place: [f64; 4], opacity: f64, tip: &str, name: &str) {
        let [x, y, w, h] = place;
        self.add(format_args!(
            "<rect class=\"{class}\" data-cell=\"{}\" x=\"{x:.1}\" y=\"{y:.1}\" \
             width=\"{w:.1}\" height=\"{h:.1}\" fill-opacity=\"{opacity:.3}\"><title>{}</title>\
             </rect>",
            escape(name),
            escape(tip)
        ));
    }

    /// A straight line.
    pub fn line(&mut self, class: &str, from: (f64, f64), to: (f64, f64)) {
        self.add(format_args!(
            "<path class=\"{class}\" d=\"M{:.1} {:.1}L{:.1} {:.1}\"/>",
            from.0, from.1, to.0, to.1
        ));
    }

    /// A line through `points`; nothing if there are fewer than two.
    pub fn path(&mut self, class: &str, points: &[(f64, f64)]) {
        if points.len() < 2 {
            return;
        }
        let mut d = String::new();
        for (i, (x, y)) in points.iter().enumerate() {
            let step = if i == 0 { 'M' } else { 'L' };
            write!(d, "{step}{x:.1} {y:.1}").ok();
        }
        self.add(format_args!("<path class=\"{class}\" d=\"{d}\"/>"));
    }

    /// A dot with its tooltip.
    pub fn dot(&mut self, class: &str, at: (f64, f64), radius: f64, tip: &str) {
        self.add(format_args!(
            "<circle class=\"{class}\" cx=\"{:.1}\" cy=\"{:.1}\" r=\"{radius:.1}\"><title>{}\
             </title></circle>",
            at.0,
            at.1,
            escape(tip)
        ));
    }

    /// A mark at each place, all as one path: `shape` is what is drawn from there, in the path
    /// language. A page's script may find it as `data-marks`.
    pub fn marks(&mut self, look: &Marks, shape: &str, at: &[(f64, f64)]) {
        let mut d = String::with_capacity(at.len() * (shape.len() + 14));
        for (x, y) in at {
            write!(d, "M{x:.1} {y:.1}{shape}").ok();
        }
        let Marks { class, colour, name } = look;
        let (class, name) = (escape(class), escape(name));
        let stroke = colour.map(|[r, g, b]| format!(" stroke=\"#{r:02x}{g:02x}{b:02x}\""));
        let stroke = stroke.unwrap_or_default();
        self.add(format_args!(
            "<path class=\"marks {class}\" data-marks=\"{name}\"{stroke} d=\"{d}\"/>"
        ));
    }

    /// Text whose baseline starts at `at` (classes `mid` and `end` anchor it there).
    pub fn text(&mut self, class: &str, at: (f64, f64), text: &str) {
        let (x, y) = at;
        self.add(format_args!(
            "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\">{}</text>",
            escape(text)
        ));
    }

    /// The finished document.
    #[must_use]
    pub fn finish(mut self) -> String {
        self.body.push_str("</svg>\n");
        self.body
    }

    fn add(&mut self, element: std::fmt::Arguments) {
        // Writing to a String cannot fail.
        writeln!(self.body, "{element}").ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_text_stays_text() {
        let mut svg = Svg::new(10.0, 10.0, "a\"><script>");
        svg.text("", (0.0, 0.0), "</text><script>alert('x')</script>\u{0}");
        svg.rect("", [0.0; 4], 1.0, "</title><image onerror=\"x\">");
        let out = svg.finish();
        assert!(!out.contains("<script") && !out.contains("<image") && !out.contains('\u{0}'));
        assert!(out.contains("&lt;script&gt;alert(&#39;x&#39;)"));
    }

    #[test]
    fn marks_are_one_path() {
        let mut svg = Svg::new(10.0, 10.0, "");
        let look = Marks { class: "few", colour: Some([1, 2, 255]), name: "3\"" };
        svg.marks(&look, "h0", &[(1.0, 2.0), (3.25, 4.0)]);
        assert!(svg.finish().contains(
            "<path class=\"marks few\" data-marks=\"3&quot;\" stroke=\"#0102ff\" \
             d=\"M1.0 2.0h0M3.2 4.0h0\"/>"
        ));
    }

    #[test]
    fn shortens_by_characters() {
        assert_eq!(shorten("Überholverbot", 20), "Überholverbot");
        assert_eq!(shorten("Überholverbot", 5), "Über…");
    }
}
