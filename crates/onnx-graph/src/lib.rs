//! onnx-graph.
