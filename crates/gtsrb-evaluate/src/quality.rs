//! What is odd about the data: labels in doubt, test pictures that training has too or all but
//! has, pictures far from their class, and pictures that show little. Each is a list for people to
//! look at; none changes a number.

use std::collections::{BTreeSet, HashMap};
use std::io::Write;

use artifact::Answers;
use artifact::embeddings::Row;
use artifact::harmless;
use artifact::images::{ImageSet, Split};
use stage::{Error, Result};

use crate::confident::doubts;
use crate::evaluation::Evaluation;
use crate::gallery::load;
use crate::near::Near;
use crate::space::Space;
use crate::survey::Look;

/// Pictures of each kind that are listed where nothing says how many there are.
pub const WORST: usize = 20;

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
    /// The picture that it is like, if it is like one.
    pub twin: Option<(Split, usize)>,
}

/// Odd pictures of one kind.
#[derive(Debug, Clone, PartialEq)]
pub struct Findings {
    /// What is odd about them, as a name.
    pub name: &'static str,
    /// And as a sentence.
    pub meaning: String,
    /// The oddest first.
    pub found: Vec<Finding>,
}

/// All that was found.
pub struct Quality {
    /// One entry a kind, also where nothing was found.
    pub kinds: Vec<Findings>,
    /// Training pictures whose labels could be checked.
    pub checked: usize,
}

impl Quality {
    /// Looks through the data of `evaluation`. `train` are all training pictures, `kept_out`
    /// what fits say that hadn't seen them, of some or all.
    #[must_use]
    pub fn of(
        evaluation: &Evaluation,
        train: &[Look],
        kept_out: Option<&Answers>,
        space: &Space,
        near: &Near,
    ) -> Self {
        let test = &evaluation.looks;
        let kind = |name, meaning: &str, found| Findings { name, meaning: meaning.into(), found };
        let dark = worst(train, test, |look| look.brightness, "brightness");
        let blurred = worst(train, test, |look| look.sharpness, "sharpness");
        let kinds = vec![
            kind(
                "labels in doubt",
                "Given another class by a classifier that hadn't seen them, as surely as that \
                 class's own pictures: perhaps labelled wrongly.",
                [doubted_test(evaluation), doubted_training(train, kept_out)].concat(),
            ),
            kind(
                "test pictures in training",
                "Training pictures with the very pixels of a test picture: they make the results \
                 look better than they are.",
                leaks(train, test),
            ),
            Findings {
                name: "closest pairs across the splits",
                meaning: closeness(near),
                found: close(near, train, test),
            },
            kind(
                "training pictures far from their class",
                "Farthest from the mean embedding of their class, in units of how far the class's \
                 pictures are from it (root of the mean square); one picture of a track.",
                far(space, train),
            ),
            kind("darkest", "The signs with the lowest mean brightness.", dark),
            kind("least sharp", "The signs with the fewest edges.", blurred),
        ];
        Self { kinds, checked: kept_out.map_or(0, |answers| answers.paths.len()) }
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

    /// The pictures of the first `count` findings of each kind, as `data:` addresses; after each
    /// that of its twin, if it has one.
    pub fn pictures(
        &self,
        images: &ImageSet,
        evaluation: &Evaluation,
        space: &Space,
        count: usize,
    ) -> Result<Vec<Vec<Vec<String>>>> {
        let shown = |kind: &Findings| {
            kind.found.iter().take(count).map(Finding::places).collect::<Vec<_>>()
        };
        let kinds: Vec<Vec<Vec<(Split, usize)>>> = self.kinds.iter().map(shown).collect();
        let of = |split: Split, index: &[Row]| {
            let all = kinds.iter().flatten().flatten().filter(|place| place.0 == split);
            let mut rows: Vec<usize> = all.map(|place| place.1).collect();
            rows.sort_unstable();
            rows.dedup();
            load(images, split, index, &rows)
        };
        let (train, test) = (of(Split::Train, &space.rows)?, of(Split::Test, &evaluation.rows)?);
        let picture = |(split, row): (Split, usize)| {
            let there = if split == Split::Train { &train } else { &test };
            there.get(&row).cloned().unwrap_or_default()
        };
        let of_finding = |places: Vec<(Split, usize)>| places.into_iter().map(picture).collect();
        Ok(kinds.into_iter().map(|kind| kind.into_iter().map(of_finding).collect()).collect())
    }
}

impl Finding {
    fn of(split: Split, (row, look): (usize, &Look), suggested: Label, about: String) -> Self {
        let (path, label) = (look.path.clone(), look.label);
        Self { split, row, path, label, suggested, about, twin: None }
    }

    /// Where it and its twin are.
    fn places(&self) -> Vec<(Split, usize)> {
        std::iter::once((self.split, self.row)).chain(self.twin).collect()
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
    let tested: HashMap<[u8; 32], usize> =
        test.iter().enumerate().map(|(row, look)| (look.pixels.0, row)).collect();
    let rows = train.iter().enumerate();
    rows.filter_map(|(row, look)| {
        let &same = tested.get(&look.pixels.0)?;
        let about =
            format!("the same picture as {}, of class {}", test[same].path, test[same].label);
        let finding = Finding::of(Split::Train, (row, look), Label::Exclude, about);
        Some(Finding { twin: Some((Split::Test, same)), ..finding })
    })
    .collect()
}

/// What the distances of near pictures are to be compared with.
fn closeness(near: &Near) -> String {
    let what = "Training pictures closest to a test picture that isn't the same, by the angle \
                between their embeddings (0 is the same direction, 1 a right angle)";
    match near.usual {
        Some(usual) => format!(
            "{what}. Two neighbouring frames of one track are {usual:.3} apart (median): what is \
             much closer shows the same sign at the same moment."
        ),
        None => format!("{what}: what is very close shows the same sign at the same moment."),
    }
}

/// Training pictures that are all but test pictures.
fn close(near: &Near, train: &[Look], test: &[Look]) -> Vec<Finding> {
    let finding = |pair: &crate::near::Pair| {
        let (look, other) = (&train[pair.train], &test[pair.test]);
        let about = format!("{:.4} from {}, of class {}", pair.distance, other.path, other.label);
        let finding = Finding::of(Split::Train, (pair.train, look), Label::Keep, about);
        Finding { twin: Some((Split::Test, pair.test)), ..finding }
    };
    near.pairs.iter().map(finding).collect()
}

/// The training pictures that are farthest from their class, one a track.
fn far(space: &Space, train: &[Look]) -> Vec<Finding> {
    let remoteness = &space.remoteness;
    let mut rows: Vec<usize> = (0..remoteness.len()).collect();
    rows.sort_by(|&a, &b| remoteness[b].total_cmp(&remoteness[a]).then(a.cmp(&b)));
    let mut seen = BTreeSet::new();
    let new = |&row: &usize| {
        let track = space.rows[row].track.as_deref();
        track.is_none_or(|track| seen.insert((space.labels[row], track)))
    };
    let finding = |row: usize| {
        let about = format!("{:.2} times as far as is usual", remoteness[row]);
        Finding::of(Split::Train, (row, &train[row]), Label::Keep, about)
    };
    rows.into_iter().filter(new).take(WORST).map(finding).collect()
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
        let kinds = vec![Findings { name: "leak", meaning: String::new(), found }];
        let mut out = Vec::new();
        Quality { kinds, checked: 0 }.write_csv(&mut out).unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "path,label,now,split,reason,about\n\
             \"'=a,b\",exclude,1,train,leak,\"the same picture as t, of class 1\"\n"
        );
    }
}
