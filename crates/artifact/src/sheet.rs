//! Text in tables that people open in spreadsheets.

/// `cell` such that no spreadsheet takes it for a formula (OWASP, CSV injection).
#[must_use]
pub fn harmless(cell: &str) -> String {
    let formula = cell.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']);
    if formula { format!("'{cell}") } else { cell.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_formulas_change() {
        assert_eq!(harmless("=1+1"), "'=1+1");
        assert_eq!(harmless("a=1.png"), "a=1.png");
    }
}
