//! Why embeddings had to be computed.

use artifact::{Manifest, Work};
use serde_json::{Map, Value};

/// Why there are `misses`: what changed since `earlier`, the run's last extraction, and how
/// many parts of the cache were `damaged`; a line a reason.
pub fn why(earlier: Option<&Manifest>, work: &Work, misses: usize, damaged: usize) -> Vec<String> {
    if misses == 0 {
        return Vec::new();
    }
    let mut reasons = match earlier {
        None => vec!["first extraction of this run".to_owned()],
        Some(earlier) => changes(&earlier.work.parameters, &work.parameters),
    };
    if earlier.is_some_and(|e| e.work.inputs.get("images") != work.inputs.get("images")) {
        reasons.push("the images changed".to_owned());
    }
    if damaged > 0 {
        reasons.push(format!("{damaged} damaged parts of the cache were dropped"));
    }
    if reasons.is_empty() {
        reasons.push("the cache no longer held them".to_owned());
    }
    reasons
}

/// `margin 0.0 -> 0.1` for every parameter that differs.
fn changes(earlier: &Value, now: &Value) -> Vec<String> {
    let empty = Map::new();
    let before = earlier.as_object().unwrap_or(&empty);
    let after = now.as_object().unwrap_or(&empty);
    after
        .iter()
        .filter(|(name, value)| before.get(*name) != Some(value))
        .map(|(name, value)| {
            format!("{name} {} -> {}", short(before.get(name)), short(Some(value)))
        })
        .collect()
}

/// A value for people: hashes by their first digits, names without quotes.
fn short(value: Option<&Value>) -> String {
    match value {
        None => "none".to_owned(),
        Some(Value::String(hash)) if hash.len() == 64 => hash.chars().take(8).collect(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn each_changed_parameter_is_named() {
        let before = json!({"margin": 0.0, "crop": "roi", "backbone": "a".repeat(64)});
        let after = json!({"margin": 0.1, "crop": "roi", "backbone": "b".repeat(64), "batch": 8});
        let found = changes(&before, &after);
        assert_eq!(
            found,
            ["backbone aaaaaaaa -> bbbbbbbb", "batch none -> 8", "margin 0.0 -> 0.1"]
        );
        assert!(changes(&before, &before).is_empty());
    }
}
