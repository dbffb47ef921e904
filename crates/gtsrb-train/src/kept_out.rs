//! What was kept out of training.

use std::collections::HashMap;
use std::ops::Range;

use crate::split::{Split, track_of};

/// The images that were kept out, turn after turn.
pub struct KeptOut {
    /// Indices into [`Split::rows`].
    pub rows: Vec<usize>,
    /// In which turn.
    pub turns: Vec<usize>,
    /// Their labels.
    pub labels: Vec<usize>,
    /// Numbers of their tracks.
    pub tracks: Vec<usize>,
}

impl KeptOut {
    /// Those of some turns.
    pub fn of(split: &Split, turns: Range<usize>) -> Self {
        let mut kept = Self { rows: vec![], turns: vec![], labels: vec![], tracks: vec![] };
        let mut numbers = HashMap::new();
        for turn in turns {
            for (index, row) in split.rows.iter().enumerate() {
                if split.turns[index] == Some(turn) {
                    let next = numbers.len();
                    kept.rows.push(index);
                    kept.turns.push(turn);
                    kept.labels.push(row.label as usize);
                    kept.tracks.push(*numbers.entry(track_of(row)).or_insert(next));
                }
            }
        }
        kept
    }
}
