//! What is said of one picture.

use std::fmt::{self, Display};
use std::path::Path;

use ndarray::ArrayView1;
use serde::Serialize;

/// One line of the output.
#[derive(Serialize, Debug)]
pub struct Prediction<'a> {
    /// As it was given or found.
    path: String,
    /// The most probable class; of equal ones the first.
    label: usize,
    /// Its name.
    name: &'a str,
    /// Its probability.
    probability: f32,
    /// Whether that is not below the threshold.
    sure: bool,
    /// The most probable classes, the best first.
    top: Vec<Class<'a>>,
}

/// One of the most probable classes.
#[derive(Serialize, Debug)]
struct Class<'a> {
    label: usize,
    name: &'a str,
    probability: f32,
}

impl<'a> Prediction<'a> {
    /// What `probabilities` `[classes]` say of the picture at `path`; names `top` classes, at
    /// least one. `None` if they are no numbers.
    pub fn of(
        path: &Path,
        probabilities: ArrayView1<'_, f32>,
        classes: &'a [String],
        top: usize,
        threshold: f32,
    ) -> Option<Self> {
        let mut order: Vec<usize> = (0..probabilities.len()).collect();
        // Stable: of equal probabilities the lower class comes first.
        order.sort_by(|&a, &b| probabilities[b].total_cmp(&probabilities[a]));
        let class = |&label: &usize| Class {
            label,
            name: &classes[label],
            probability: probabilities[label],
        };
        let best = order.first().map(class)?;
        Some(Self {
            path: path.display().to_string(),
            label: best.label,
            name: best.name,
            probability: best.probability,
            sure: best.probability >= threshold,
            top: order.iter().take(top).map(class).collect(),
        })
    }

    /// The most probable class.
    pub fn label(&self) -> usize {
        self.label
    }

    /// Whether its probability is not below the threshold.
    pub fn sure(&self) -> bool {
        self.sure
    }
}

impl Display for Prediction<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&plain(&self.path))?;
        for Class { label, name, probability } in &self.top {
            write!(f, "\t{label}\t{}\t{probability:.4}", plain(name))?;
        }
        if self.sure { Ok(()) } else { f.write_str("\tunsure") }
    }
}

/// Names without tabs, line ends and what else commands a terminal or turns text around.
pub fn plain(name: &str) -> String {
    let turns = |c: char| matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let shown = |c: char| match c {
        c if c.is_control() || turns(c) => c.escape_default().to_string(),
        c => c.into(),
    };
    name.chars().map(shown).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn classes_come_by_probability_and_then_by_number() {
        let classes = ["a", "b\t", "c"].map(str::to_owned);
        let p = array![0.25_f32, 0.375, 0.375];
        let said = Prediction::of(Path::new("x\n.png"), p.view(), &classes, 2, 0.5).unwrap();
        assert_eq!(said.to_string(), "x\\n.png\t1\tb\\t\t0.3750\t2\tc\t0.3750\tunsure");
        assert_eq!(
            serde_json::to_string(&said).unwrap(),
            r#"{"path":"x\n.png","label":1,"name":"b\t","probability":0.375,"sure":false,"top":[{"label":1,"name":"b\t","probability":0.375},{"label":2,"name":"c","probability":0.375}]}"#
        );
    }
}
