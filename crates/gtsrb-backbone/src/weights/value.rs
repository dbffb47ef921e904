//! What the stack machine's instructions make.

/// A value; the numbers are indices into the arena of its [`Machine`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value {
    None,
    Bool(bool),
    Int(i128),
    Text(usize),
    Tuple(usize),
    List(usize),
    Dict(usize),
    Global(Global),
    /// What a persistent id stands for.
    Persistent(usize),
    Tensor(usize),
}

/// The names that a state dict may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Global {
    OrderedDict,
    RebuildTensor,
    RebuildParameter,
    FloatStorage,
    LongStorage,
}

const GLOBALS: [(&str, Global); 5] = [
    ("collections OrderedDict", Global::OrderedDict),
    ("torch._utils _rebuild_tensor_v2", Global::RebuildTensor),
    ("torch._utils _rebuild_parameter", Global::RebuildParameter),
    ("torch FloatStorage", Global::FloatStorage),
    ("torch LongStorage", Global::LongStorage),
];

impl Global {
    /// The function or class of that module and name, if a state dict may use it.
    pub fn named(name: &str) -> Option<Self> {
        GLOBALS.iter().find(|(n, _)| *n == name).map(|&(_, global)| global)
    }
}
