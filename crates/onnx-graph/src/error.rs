//! What can be wrong with a model.

/// A model that can't be read, or a change of it that makes no sense.
#[derive(Debug, thiserror::Error, PartialEq)]
#[non_exhaustive]
pub enum Error {
    /// No bytes at all.
    #[error("the file is empty")]
    Empty,
    /// The bytes are no ONNX model.
    #[error("this is no ONNX model: {0}")]
    NotOnnx(String),
    /// The file needs a newer ONNX than this program and its runtime know.
    #[error(
        "{what} {found} is newer than {newest}, the newest that is supported; \
         export the model again with an older version"
    )]
    TooNew {
        /// "opset" or "IR version".
        what: &'static str,
        /// The file's version.
        found: i64,
        /// The newest one that can be read.
        newest: i64,
    },
    /// The operator set is older than the nodes that would be added.
    #[error("opset {found} is too old; export the model again with opset {oldest} or newer")]
    TooOld {
        /// The file's opset.
        found: i64,
        /// The oldest one that can be extended.
        oldest: i64,
    },
    /// A tensor's values are in another file.
    #[error(
        "the values of {tensor:?} are in another file (external data); save the model as one \
         file (onnx.save_model with save_as_external_data=False)"
    )]
    ExternalData {
        /// The tensor's name.
        tensor: String,
    },
    /// A node or an output names a tensor that nothing makes.
    #[error("{user} needs the tensor {tensor:?}, which nothing in the model makes")]
    MissingTensor {
        /// The node or output that needs it.
        user: String,
        /// The tensor's name.
        tensor: String,
    },
    /// Two nodes, inputs or initializers of one name.
    #[error("the tensor {tensor:?} is made twice")]
    MadeTwice {
        /// The tensor's name.
        tensor: String,
    },
    /// Nodes that wait for each other.
    #[error("the graph has a circle through {node}")]
    Circle {
        /// One node of the circle.
        node: String,
    },
    /// Inputs, attributes and shapes that contradict each other.
    #[error("{node}: {message}")]
    Shape {
        /// The node.
        node: String,
        /// What contradicts what.
        message: String,
    },
    /// A tensor whose values don't have the length that its shape says.
    #[error("the tensor {tensor:?} has {found} bytes or values, its shape needs {wanted}")]
    TensorLength {
        /// The tensor's name.
        tensor: String,
        /// The length found.
        found: usize,
        /// The length wanted.
        wanted: usize,
    },
    /// Arguments that don't fit the model or each other.
    #[error("{0}")]
    Mismatch(String),
}

/// A result with this crate's error.
pub type Result<T> = std::result::Result<T, Error>;
