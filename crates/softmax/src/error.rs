//! What can be wrong with the samples.

/// Why samples can't be trained on. Rows and columns are counted from 0.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Error {
    /// There is nothing to train on.
    #[error("no samples: {rows} rows of {columns} features")]
    Empty {
        /// Number of rows.
        rows: usize,
        /// Number of columns.
        columns: usize,
    },
    /// Features and labels don't belong together.
    #[error("{rows} rows of features, but {labels} labels")]
    Labels {
        /// Number of rows.
        rows: usize,
        /// Number of labels.
        labels: usize,
    },
    /// A label that is no class.
    #[error("row {row} has label {label}, but there are {classes} classes (0 to {})", classes - 1)]
    Label {
        /// Row of the label.
        row: usize,
        /// The label.
        label: usize,
        /// Number of classes.
        classes: usize,
    },
    /// A feature is NaN or infinite.
    #[error("row {row}, column {column} is {value}; features must be finite numbers")]
    NotFinite {
        /// Row of the value.
        row: usize,
        /// Column of the value.
        column: usize,
        /// The value.
        value: f32,
    },
    /// Maps that don't fit the levels of convolutions.
    #[error(
        "{levels} convolutions that each halve the side don't fit maps with sides {sides:?}: all \
         sides must be the longest one, halved fewer times than that, and something must be left"
    )]
    Maps {
        /// Cells of a side of each map.
        sides: Vec<usize>,
        /// Number of convolutions.
        levels: usize,
    },
    /// Rows and their weights don't belong together.
    #[error("{rows} rows, but {weights} row weights")]
    Weights {
        /// Number of rows.
        rows: usize,
        /// Number of weights.
        weights: usize,
    },
    /// A row that can't count so often.
    #[error("row {row} has weight {weight}; weights must be finite numbers, 0 or more")]
    Weight {
        /// Row of the weight.
        row: usize,
        /// The weight.
        weight: f32,
    },
    /// A mean needs something that counts.
    #[error("all row weights are 0")]
    NoWeight,
    /// A share that would leave nothing of the label.
    #[error("label smoothing is {share}; it must be 0 or more and less than 1")]
    Smoothing {
        /// Share of each target that is spread over all classes.
        share: f32,
    },
    /// Layers that don't follow each other.
    #[error("layers of {} don't make a network", in_words(shapes))]
    Layers {
        /// Shape of each layer's weights and length of its bias.
        shapes: Vec<((usize, usize), usize)>,
    },
}

fn in_words(shapes: &[((usize, usize), usize)]) -> String {
    let layer = |&((outputs, inputs), biases): &_| {
        format!("[{outputs}, {inputs}] weights and {biases} biases")
    };
    shapes.iter().map(layer).collect::<Vec<String>>().join(", ")
}
