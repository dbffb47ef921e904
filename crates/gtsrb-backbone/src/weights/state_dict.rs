//! The legacy file format of `torch.save`: five pickles (magic number, protocol, system, the
//! state dict, the order of its storages), then every storage as a count and raw numbers.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use super::pickle::{Global, Machine, PickleError, Value};

const MAGIC: i128 = 0x1950_a86a_20f9_469c_fc6c;
const PROTOCOL: i128 = 1001;

/// What is wrong with a `.pth` file.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum StateDictError {
    /// One of its pickles can't be read.
    #[error("this is no PyTorch file that can be read: {0}")]
    Pickle(#[from] PickleError),
    /// The pickles hold something else than a state dict.
    #[error("this is no PyTorch state dict: {0}")]
    Content(String),
    /// A tensor that the network needs isn't there.
    #[error("the state dict has no tensor {0:?}")]
    NoTensor(String),
    /// A tensor of another shape than the network needs.
    #[error("the tensor {name:?} has the shape {found:?}, wanted is {wanted}")]
    Shape {
        /// The tensor's name.
        name: String,
        /// Its shape.
        found: Vec<usize>,
        /// The shape that fits.
        wanted: String,
    },
    /// A tensor with a number that isn't finite.
    #[error("the tensor {0:?} holds numbers that aren't finite: the file is damaged")]
    NotFinite(String),
}

type Result<T> = std::result::Result<T, StateDictError>;

/// Tensors by name.
#[derive(Debug)]
pub struct StateDict {
    bytes: Vec<u8>,
    tensors: BTreeMap<String, Tensor>,
    storages: HashMap<String, Storage>,
}

/// A view into a storage.
#[derive(Debug)]
struct Tensor {
    storage: String,
    offset: usize,
    shape: Vec<usize>,
    strides: Vec<usize>,
}

/// Raw numbers, shared by the tensors that name them.
#[derive(Debug)]
struct Storage {
    element: Element,
    count: usize,
    bytes: Range<usize>,
}

/// The kinds of numbers that a state dict of float32 layers has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Element {
    F32,
    I64,
}

impl Element {
    fn size(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::I64 => 8,
        }
    }
}

impl StateDict {
    /// Reads and checks a file's structure; numbers are read when they are asked for.
    pub fn read(bytes: Vec<u8>) -> Result<Self> {
        let mut machine = Machine::new(&bytes);
        header(&mut machine)?;
        let root = machine.load()?;
        let mut storages = HashMap::new();
        let tensors = tensors(&machine, root, &mut storages)?;
        let order = machine.load()?;
        place(&mut machine, order, &mut storages)?;
        if machine.position() != bytes.len() {
            let left = bytes.len() - machine.position();
            return content(format!("{left} bytes are left over at the end"));
        }
        for (name, tensor) in &tensors {
            check_view(name, tensor, &storages)?;
        }
        Ok(Self { bytes, tensors, storages })
    }

    /// The names of all tensors.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// The shape of a tensor.
    pub fn shape(&self, name: &str) -> Result<&[usize]> {
        let tensor = self.tensors.get(name);
        tensor.map(|t| t.shape.as_slice()).ok_or_else(|| StateDictError::NoTensor(name.into()))
    }

    /// The numbers of a float32 tensor, row by row whatever the order in the file.
    pub fn floats(&self, name: &str) -> Result<Vec<f32>> {
        let tensor = self.tensors.get(name).ok_or_else(|| StateDictError::NoTensor(name.into()))?;
        let storage = self.storages.get(&tensor.storage).filter(|s| s.element == Element::F32);
        let Some(storage) = storage else {
            return content(format!("the tensor {name:?} isn't float32"));
        };
        let (words, _) = self.bytes[storage.bytes.clone()].as_chunks::<4>();
        let values: Vec<f32> = indices(tensor).map(|i| f32::from_le_bytes(words[i])).collect();
        if values.iter().all(|v| v.is_finite()) {
            return Ok(values);
        }
        Err(StateDictError::NotFinite(name.into()))
    }
}

fn content<T>(message: impl Into<String>) -> Result<T> {
    Err(StateDictError::Content(message.into()))
}

fn header(machine: &mut Machine) -> Result<()> {
    if machine.load()? != Value::Int(MAGIC) {
        return content("it doesn't begin with PyTorch's magic number");
    }
    if machine.load()? != Value::Int(PROTOCOL) {
        return content("its protocol isn't 1001");
    }
    let system = machine.load()?;
    let entries = machine.dict(system).unwrap_or_default();
    let little = entries.iter().find(|(key, _)| machine.text(*key) == Some("little_endian"));
    match little {
        Some((_, Value::Bool(true))) => Ok(()),
        _ => content("it wasn't written on a little-endian machine"),
    }
}

/// The tensors of the dictionary `root`; the storages that they name are noted in `storages`.
fn tensors(
    machine: &Machine,
    root: Value,
    storages: &mut HashMap<String, Storage>,
) -> Result<BTreeMap<String, Tensor>> {
    let Some(entries) = machine.dict(root) else {
        return content("the file holds something else than a dictionary of tensors");
    };
    let mut tensors = BTreeMap::new();
    for &(key, value) in entries {
        let Some(name) = machine.text(key) else {
            return content("a key isn't a text");
        };
        let Some(arguments) = machine.tensor(value) else {
            return content(format!(
                "{name:?} isn't a tensor; save the model with torch.save(model.state_dict(), FILE)"
            ));
        };
        let tensor = tensor(machine, name, arguments, storages)?;
        if tensors.insert(name.to_owned(), tensor).is_some() {
            return content(format!("{name:?} is there twice"));
        }
    }
    Ok(tensors)
}

fn tensor(
    machine: &Machine,
    name: &str,
    arguments: &[Value],
    storages: &mut HashMap<String, Storage>,
) -> Result<Tensor> {
    let &[storage, offset, shape, strides, ..] = arguments else {
        return content(format!("{name:?} lacks arguments"));
    };
    let storage = note_storage(machine, name, storage, storages)?;
    let sizes = |value| -> Option<Vec<usize>> {
        machine.sequence(value)?.iter().map(|&v| size(v)).collect()
    };
    match (size(offset), sizes(shape), sizes(strides)) {
        (Some(offset), Some(shape), Some(strides)) if shape.len() == strides.len() => {
            Ok(Tensor { storage, offset, shape, strides })
        }
        _ => content(format!("offset, shape and strides of {name:?} don't fit each other")),
    }
}

fn size(value: Value) -> Option<usize> {
    match value {
        Value::Int(i) => usize::try_from(i).ok(),
        _ => None,
    }
}

/// Notes the storage behind a persistent id, `("storage", type, key, device, count, None)`.
fn note_storage(
    machine: &Machine,
    name: &str,
    id: Value,
    storages: &mut HashMap<String, Storage>,
) -> Result<String> {
    let Some(&[kind, Value::Global(kind_of), key, _, count, Value::None]) = machine.persistent(id)
    else {
        return content(format!("{name:?} doesn't name its storage as PyTorch does"));
    };
    let element = match kind_of {
        Global::FloatStorage => Element::F32,
        Global::LongStorage => Element::I64,
        _ => return content(format!("{name:?} is stored as {kind_of:?}")),
    };
    let (Some("storage"), Some(key), Some(count)) =
        (machine.text(kind), machine.text(key), size(count))
    else {
        return content(format!("{name:?} doesn't name its storage as PyTorch does"));
    };
    let storage = storages.entry(key.to_owned());
    let storage = storage.or_insert(Storage { element, count, bytes: 0..0 });
    if (storage.element, storage.count) == (element, count) {
        return Ok(key.to_owned());
    }
    content(format!("the storage {key:?} is described in two ways"))
}

/// Finds the bytes of each storage, which follow in the order that the last pickle gives.
fn place(
    machine: &mut Machine,
    order: Value,
    storages: &mut HashMap<String, Storage>,
) -> Result<()> {
    let Some(keys) = machine.sequence(order).map(<[Value]>::to_vec) else {
        return content("the list of storages is missing");
    };
    let mut placed = 0;
    for key in keys {
        let key = machine.text(key).unwrap_or_default();
        let Some(storage) = storages.get_mut(key).filter(|s| s.bytes.end == 0) else {
            return content(format!("the storage {key:?} is unknown or there twice"));
        };
        let count = machine.take(8)?;
        let count = count.iter().rev().fold(0u64, |n, &b| n << 8 | u64::from(b));
        if count != storage.count as u64 {
            let wanted = storage.count;
            return content(format!("the storage {key:?} has {count} numbers, not {wanted}"));
        }
        let start = machine.position();
        let length = storage.count.checked_mul(storage.element.size());
        machine.take(length.unwrap_or(usize::MAX))?;
        storage.bytes = start..machine.position();
        placed += 1;
    }
    if placed == storages.len() {
        return Ok(());
    }
    content(format!("{} storages have no numbers", storages.len() - placed))
}

/// A view must lie inside its storage and not repeat numbers beyond the storage's length.
fn check_view(name: &str, tensor: &Tensor, storages: &HashMap<String, Storage>) -> Result<()> {
    let limit = storages.get(&tensor.storage).map_or(0, |s| s.count);
    let count = tensor.shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d));
    let reach = tensor.shape.iter().zip(&tensor.strides).try_fold(tensor.offset, |at, (&d, &s)| {
        at.checked_add(d.saturating_sub(1).checked_mul(s)?)
    });
    match (count, reach) {
        (Some(0), _) => Ok(()),
        (Some(count), Some(reach)) if reach < limit && count <= limit => Ok(()),
        _ => content(format!("the tensor {name:?} reaches outside its storage of {limit} numbers")),
    }
}

/// The positions of a tensor's numbers in its storage, row by row.
fn indices(tensor: &Tensor) -> impl Iterator<Item = usize> {
    let count: usize = tensor.shape.iter().product();
    (0..count).map(|mut i| {
        let mut at = tensor.offset;
        for (&d, &s) in tensor.shape.iter().zip(&tensor.strides).rev() {
            at += i % d * s;
            i /= d;
        }
        at
    })
}

#[cfg(test)]
mod tests;
