//! From a head and the test images' embeddings to all that is said of them.

use artifact::Answers;
use artifact::certainty::Answer;
use artifact::embeddings::Row;
use artifact::images::Split;
use ndarray::Array2;
use softmax::probabilities;
use stage::Result;

use crate::args::Settings;
use crate::calibration::Calibration;
use crate::interval::Units;
use crate::metrics::{Details, Metrics, Scored, measure, score_all};
use crate::selective::Selective;
use crate::slices::slice_all;
use crate::sources::Sources;
use crate::survey::{Look, survey};

/// The test images and what the head makes of them, in row order.
pub struct Evaluation {
    /// The test images.
    pub rows: Vec<Row>,
    /// Their probabilities, `[images, classes]`.
    pub probabilities: Array2<f32>,
    /// What each contributes to the metrics.
    pub scored: Vec<Scored>,
    /// What they look like.
    pub looks: Vec<Look>,
    /// The numbers.
    pub metrics: Metrics,
}

impl Evaluation {
    /// Classifies and measures; `kept_out` is what fits say of training pictures that they
    /// hadn't seen. Gives the embeddings `[images, dims]` too.
    pub fn of(
        sources: &Sources,
        settings: &Settings,
        kept_out: Option<&Answers>,
    ) -> Result<(Self, Array2<f32>)> {
        let head = sources.head()?;
        let (rows, labels) = sources.test_rows()?;
        let embeddings = sources.embeddings(&rows)?;
        let logits = head.network.logits(embeddings.view());
        let probabilities = probabilities(logits, head.temperature);
        let scored = score_all(&labels, &probabilities);
        let looks = survey(&sources.images, Split::Test)?;
        let answers: Vec<Answer> = scored.iter().map(|s| (s.confidence, s.correct())).collect();
        let unseen = kept_out.map(Answers::certainty);
        let details = Details {
            calibration: Calibration::of(&scored, &probabilities, head.temperature),
            selective: Selective::of(
                &answers,
                &unseen.unwrap_or_default(),
                settings.wished_accuracy,
            ),
            slices: slice_all(&scored, &looks, &head.classes),
        };
        let units = Units::of(rows.iter().map(|row| (row.label, row.track.as_deref())));
        let metrics = measure(&scored, &head.classes, &units, details);
        Ok((Self { rows, probabilities, scored, looks, metrics }, embeddings))
    }
}
