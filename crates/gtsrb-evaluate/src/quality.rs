//! What is odd about the data: labels in doubt, test pictures that training has too, and pictures
//! that show little. Each is a list for people to look at; none changes a number.

use std::collections::HashMap;
use std::io::Write;

use artifact::Answers;
use artifact::harmless;
use artifact::images::{ImageSet, Split};
use stage::{Error, Result};

use crate::confident::doubts;
use crate::evaluation::Evaluation;
use crate::gallery::load;
use crate::survey::Look;

/// Darkest and least sharp pictures that are listed.
const WORST: usize = 20;

/// What an odd picture's label could become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Label {
    /// It is kept.
    Keep,
    /// Another class.
    Class(usize),
    /// The picture is left out.
    Exclude,
}

/// An odd picture.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// Where it is.
    pub split: Split,
    /// Its row there.
    pub row: usize,
    /// Its path.
    pub path: String,
    /// Its class.
    pub label: usize,
    /// What that could become.
    pub suggested: Label,
    /// What is odd, in words.
    pub about: String,
}

/// Odd pictures of one kind.
#[derive(Debug, Clone, PartialEq)]
pub struct Findings {
    /// What is odd about them, as a name.
    pub name: &'static str,
    /// And as a sentence.
    pub meaning: &'static str,
    /// The oddest first.
    pub found: Vec<Finding>,
}

/// All that was found.
pub struct Quality {
    /// One entry a kind, also where nothing was found.
    pub kinds: Vec<Findings>,
    /// Training images of each class.
    pub training: Vec<u64>,
    /// Training pictures whose labels could be checked.
    pub checked: usize,
}

impl Quality {
    /// Looks through the data of `evaluation`. `train` are all training pictures, `kept_out`
    /// what fits say that hadn't seen them, of some or all.
    #[must_use]
    pub fn of(evaluation: &Evaluation, train: &[Look], kept_out: Option<&Answers>) -> Self {
        let test = &evaluation.looks;
        let mut training = vec![0; evaluation.metrics.classes.len()];
        for look in train {
            if let Some(count) = training.get_mut(look.label) {
                *count += 1;
            }
        }
        let in_doubt = [doubted_test(evaluation), doubted_training(train, kept_out)].concat();
        let dark = worst(train, test, |look| look.brightness, "brightness");
        let blurred = worst(train, test, |look| look.sharpness, "sharpness");
        let kinds = vec![
            Findings {
                name: "labels in doubt",
                meaning: "Given another class by a classifier that hadn't seen them, as surely \
                          as that class's own pictures: perhaps labelled wrongly.",
                found: in_doubt,
            },
            Findings {
                name: "test pictures in training",
                meaning: "Training pictures with the very pixels of a test picture: they make \
                          the results look better than they are.",
                found: leaks(train, test),
            },
            Findings {
                name: "darkest",
                meaning: "The signs with the lowest mean brightness.",
                found: dark,
            },
            Findings {
                name: "least sharp",
                meaning: "The signs with the fewest edges.",
                found: blurred,
            },
        ];
        Self { kinds, training, checked: kept_out.map_or(0, |answers| answers.paths.len()) }
    }

    /// Counts for the manifest.
    pub fn counters(&self) -> impl Iterator<Item = (String, u64)> {
        let judged = self.kinds.iter().take(2);
        judged.map(|kind| (kind.name.replace(' ', "_"), kind.found.len() as u64))
    }

    /// Writes every finding: `path` and the `label` it could get (a class, `exclude`, or nothing), which
    /// `gtsrb-ingest --labels` applies, then what is there now and why.
    pub fn write_csv(&self, sink: impl Write) -> Result<()> {
        let failed = |e: csv::Error| Error::io(format!("report/labels-to-check.csv: {e}"));
        let mut writer = csv::Writer::from_writer(sink);
        writer
            .write_record(["path", "label", "now", "split", "reason", "about"])
            .map_err(failed)?;
        for kind in &self.kinds {
            for found in &kind.found {
                let label = match found.suggested {
                    Label::Keep => String::new(),
                    Label::Class(class) => class.to_string(),
                    Label::Exclude => "exclude".to_owned(),
                };
                let (path, now) = (harmless(&found.path), found.label.to_string());
                let split = found.split.as_str();
                let row = [&path, &label, &now, split, kind.name, &found.about];
                writer.write_record(row).map_err(failed)?;
            }
        }
        writer.flush().map_err(|e| Error::io(format!("report/labels-to-check.csv: {e}")))
    }

    /// The pictures of the first `count` findings of each kind, as `data:` addresses.
    pub fn pictures(&self, images: &ImageSet, count: usize) -> Result<Vec<Vec<String>>> {
        let shown = |kind: &Findings| kind.found.iter().take(count).cloned().collect::<Vec<_>>();
        let kinds: Vec<Vec<Finding>> = self.kinds.iter().map(shown).collect();
        let of = |split: Split| {
            let all = kinds.iter().flatten().filter(|found| found.split == split);
            let mut rows: Vec<usize> = all.map(|found| found.row).collect();
            rows.sort_unstable();
            rows.dedup();
            load(images, split, &rows)
        };
        let (train, test) = (of(Split::Train)?, of(Split::Test)?);
        let picture = |found: &Finding| {
            let there = if found.split == Split::Train { &train } else { &test };
            there.get(&found.row).cloned().unwrap_or_default()
        };
        Ok(kinds.iter().map(|kind| kind.iter().map(picture).collect()).collect())
    }
}

impl Finding {
    fn of(split: Split, (row, look): (usize, &Look), suggested: Label, about: String) -> Self {
        Self { split, row, path: look.path.clone(), label: look.label, suggested, about }
    }
}

/// How surely a doubted picture seems to be of a class.
fn seems(margin: f64) -> String {
    format!("its label is {:.1} points less probable", -100.0 * margin)
}

fn doubted_test(evaluation: &Evaluation) -> Vec<Finding> {
    let labels: Vec<usize> = evaluation.scored.iter().map(|s| s.label).collect();
    let doubts = doubts(&labels, evaluation.probabilities.view());
    let finding = |doubt: crate::confident::Doubt| {
        let place = (doubt.row, &evaluation.looks[doubt.row]);
        Finding::of(Split::Test, place, Label::Class(doubt.seems), seems(doubt.margin))
    };
    doubts.into_iter().map(finding).collect()
}

fn doubted_training(train: &[Look], kept_out: Option<&Answers>) -> Vec<Finding> {
    let Some(answers) = kept_out else {
        return Vec::new();
    };
    let rows: HashMap<&str, usize> =
        train.iter().enumerate().map(|(row, look)| (look.path.as_str(), row)).collect();
    let finding = |doubt: crate::confident::Doubt| {
        let row = *rows.get(answers.paths[doubt.row].as_str())?;
        let place = (row, &train[row]);
        Some(Finding::of(Split::Train, place, Label::Class(doubt.seems), seems(doubt.margin)))
    };
    doubts(&answers.labels, answers.probabilities.view()).into_iter().filter_map(finding).collect()
}

/// Training pictures that are test pictures too, pixel by pixel.
fn leaks(train: &[Look], test: &[Look]) -> Vec<Finding> {
    let tested: HashMap<[u8; 32], &Look> = test.iter().map(|look| (look.pixels.0, look)).collect();
    let rows = train.iter().enumerate();
    rows.filter_map(|(row, look)| {
        let twin = tested.get(&look.pixels.0)?;
        let about = format!("the same picture as {}, of class {}", twin.path, twin.label);
        Some(Finding::of(Split::Train, (row, look), Label::Exclude, about))
    })
    .collect()
}

/// The pictures with the lowest `value`.
fn worst(train: &[Look], test: &[Look], value: fn(&Look) -> f64, name: &str) -> Vec<Finding> {
    let of = |split, looks: &'_ [Look]| -> Vec<(f64, Split, usize)> {
        looks.iter().enumerate().map(|(row, look)| (value(look), split, row)).collect()
    };
    let mut all = [of(Split::Train, train), of(Split::Test, test)].concat();
    all.sort_by(|a, b| a.0.total_cmp(&b.0).then((a.1, a.2).cmp(&(b.1, b.2))));
    let finding = |&(value, split, row): &(f64, Split, usize)| {
        let look = if split == Split::Train { &train[row] } else { &test[row] };
        Finding::of(split, (row, look), Label::Keep, format!("{name} {value:.1}"))
    };
    all.iter().take(WORST).map(finding).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use artifact::Hash;

    fn look(path: &str, pixels: &str, brightness: f64) -> Look {
        let pixels = Hash::of(pixels.as_bytes());
        Look { path: path.into(), label: 1, side: 9, brightness, sharpness: 1.0, pixels }
    }

    #[test]
    fn leaks_are_training_pictures_with_a_test_picture_s_pixels() {
        let train = [look("a", "x", 9.0), look("b", "y", 9.0)];
        let found = leaks(&train, &[look("t", "y", 9.0), look("u", "z", 9.0)]);
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].row, found[0].suggested), (1, Label::Exclude));
        assert!(found[0].about.contains("picture as t, of class 1"));
    }

    #[test]
    fn the_worst_come_first_from_both_splits() {
        let train = [look("a", "x", 9.0), look("b", "y", 3.0)];
        let found = worst(&train, &[look("t", "y", 5.0)], |look| look.brightness, "brightness");
        let paths: Vec<_> = found.iter().map(|f| f.path.as_str()).collect();
        assert_eq!(paths, ["b", "t", "a"]);
        assert_eq!(found[0].about, "brightness 3.0");
    }

    #[test]
    fn the_table_says_what_could_be_done() {
        let found = leaks(&[look("=a,b", "y", 1.0)], &[look("t", "y", 1.0)]);
        let kinds = vec![Findings { name: "leak", meaning: "", found }];
        let mut out = Vec::new();
        Quality { kinds, training: vec![], checked: 0 }.write_csv(&mut out).unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "path,label,now,split,reason,about\n\
             \"'=a,b\",exclude,1,train,leak,\"the same picture as t, of class 1\"\n"
        );
    }
}
