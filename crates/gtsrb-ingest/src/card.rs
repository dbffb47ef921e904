//! The dataset card: `README.md` beside the pictures, as Hugging Face has them. Its first lines say
//! which files belong to which part, so that `datasets.load_dataset` on the folder finds them.

use std::fmt::Write as _;

use artifact::markdown;

/// What is written of each column.
const COLUMNS: &str = "\
| column | what |
|---|---|
| `image` | the picture, PNG or JPEG, and its path in the source |
| `label` | class |
| `roi` | the box of what is shown, all corners inclusive |
| `width`, `height` | pixels |
| `track`, `frame` | the physical object shown and the place in its sequence; empty if unknown |
| `pixels` | BLAKE3 of the decoded RGB pixels with their dimensions |
";

/// The card of pictures of `classes`, of which each part has so many.
pub fn card(classes: &[String], train: &[u64], test: &[u64]) -> String {
    let parts = [("train", train), ("test", test)].map(|(part, of)| (part, of.iter().sum::<u64>()));
    let parts: Vec<_> = parts.into_iter().filter(|(_, images)| *images > 0).collect();
    let mut text = "---\ntask_categories:\n- image-classification\nconfigs:\n\
                    - config_name: default\n  data_files:\n"
        .to_owned();
    // Writing to a string can't fail.
    for (part, _) in &parts {
        let _ = writeln!(text, "  - split: {part}\n    path: {part}-*.parquet");
    }
    let images: Vec<String> =
        parts.iter().map(|(part, n)| format!("{n} to {}", verb(part))).collect();
    let _ = write!(
        text,
        "---\n\n# Labelled pictures of {} classes\n\nPictures: {}. Near-copies of one object have \
         the same `track`; keep them together when you split.\n\n```python\nimport datasets\n\
         pictures = datasets.load_dataset(\"path/to/this/folder\")\n```\n\n{COLUMNS}\n\
         | label | class | train | test |\n|---:|---|---:|---:|\n",
        classes.len(),
        images.join(", "),
    );
    for (label, ((name, train), test)) in classes.iter().zip(train).zip(test).enumerate() {
        let _ = writeln!(text, "| {label} | {} | {train} | {test} |", markdown(name));
    }
    text
}

fn verb(part: &str) -> &'static str {
    if part == "train" { "train on" } else { "test with" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_without_pictures_are_not_named() {
        let classes = ["a|b".to_owned(), "c".to_owned()];
        let text = card(&classes, &[3, 1], &[0, 0]);
        assert!(text.contains("  - split: train\n    path: train-*.parquet\n---\n"), "{text}");
        assert!(text.contains("| 0 | a\\|b | 3 | 0 |\n| 1 | c | 1 | 0 |\n"), "{text}");
        assert!(card(&classes, &[3, 1], &[1, 0]).contains("- split: test"));
    }
}
