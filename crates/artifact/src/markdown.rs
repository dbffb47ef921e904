//! Text in Markdown.

/// `text` as words in a line or a table's cell: what would be markup there is escaped.
#[must_use]
pub fn markdown(text: &str) -> String {
    let escaped = |c: char| match c {
        '\\' | '|' | '*' | '_' | '`' | '<' | '>' | '[' | ']' | '#' | '&' => format!("\\{c}"),
        c if c.is_control() => " ".to_owned(),
        c => c.to_string(),
    };
    text.chars().map(escaped).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_no_markup() {
        assert_eq!(markdown("a|b <i>\nc"), "a\\|b \\<i\\> c");
    }
}
