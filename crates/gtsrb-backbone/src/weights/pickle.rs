//! A reader of pickles that executes nothing.
//!
//! A pickle is a program for a small stack machine. This one knows the instructions that
//! `torch.save` writes (protocol 2) and three functions by name, which it replaces by its own
//! data. All else is an error that names the instruction or the function. Lists, tuples and
//! dictionaries live in one arena and values are indices into it, so that no input, however
//! deep or circular, can exhaust the stack.

use std::collections::HashMap;

pub use super::value::{Global, Value};

/// What is wrong with a pickle.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum PickleError {
    /// The bytes end inside an instruction or before the last one.
    #[error("the file ends too early, at byte {0}")]
    Truncated(usize),
    /// An instruction that `torch.save` doesn't write.
    #[error("byte {at}: the pickle instruction 0x{code:02x} is not allowed")]
    Opcode {
        /// Where it is.
        at: usize,
        /// The instruction.
        code: u8,
    },
    /// A function or class that a state dict doesn't need.
    #[error("byte {at}: the pickle wants {name:?}, which is not allowed; nothing was executed")]
    Global {
        /// Where it is.
        at: usize,
        /// Module and name.
        name: String,
    },
    /// Operands that don't fit the instruction.
    #[error("byte {at}: {what}")]
    Wrong {
        /// Where it is.
        at: usize,
        /// What doesn't fit.
        what: String,
    },
}

type Result<T> = std::result::Result<T, PickleError>;

/// The stack machine and all values that it made.
pub struct Machine<'a> {
    bytes: &'a [u8],
    at: usize,
    stack: Vec<Value>,
    marks: Vec<usize>,
    memo: HashMap<u32, Value>,
    texts: Vec<&'a str>,
    sequences: Vec<Vec<Value>>,
    dicts: Vec<Vec<(Value, Value)>>,
    persistent: Vec<Value>,
    tensors: Vec<usize>,
}

impl<'a> Machine<'a> {
    /// A machine at the start of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            at: 0,
            stack: Vec::new(),
            marks: Vec::new(),
            memo: HashMap::new(),
            texts: Vec::new(),
            sequences: Vec::new(),
            dicts: Vec::new(),
            persistent: Vec::new(),
            tensors: Vec::new(),
        }
    }

    /// Where the next byte is read.
    pub fn position(&self) -> usize {
        self.at
    }

    /// Reads `n` raw bytes.
    pub fn take(&mut self, n: usize) -> Result<&'a [u8]> {
        let end = self.at.checked_add(n).filter(|&e| e <= self.bytes.len());
        let end = end.ok_or(PickleError::Truncated(self.bytes.len()))?;
        let taken = &self.bytes[self.at..end];
        self.at = end;
        Ok(taken)
    }

    /// The text of a value.
    pub fn text(&self, value: Value) -> Option<&'a str> {
        match value {
            Value::Text(i) => self.texts.get(i).copied(),
            _ => None,
        }
    }

    /// The elements of a tuple or list.
    pub fn sequence(&self, value: Value) -> Option<&[Value]> {
        match value {
            Value::Tuple(i) | Value::List(i) => self.sequences.get(i).map(Vec::as_slice),
            _ => None,
        }
    }

    /// The entries of a dictionary.
    pub fn dict(&self, value: Value) -> Option<&[(Value, Value)]> {
        match value {
            Value::Dict(i) => self.dicts.get(i).map(Vec::as_slice),
            _ => None,
        }
    }

    /// The tuple that a persistent id is.
    pub fn persistent(&self, value: Value) -> Option<&[Value]> {
        match value {
            Value::Persistent(i) => self.sequence(*self.persistent.get(i)?),
            _ => None,
        }
    }

    /// The arguments that a tensor was to be rebuilt from.
    pub fn tensor(&self, value: Value) -> Option<&[Value]> {
        match value {
            Value::Tensor(i) => self.sequence(Value::Tuple(*self.tensors.get(i)?)),
            _ => None,
        }
    }

    /// Runs one pickle to its end and returns its value.
    pub fn load(&mut self) -> Result<Value> {
        self.stack.clear();
        self.marks.clear();
        self.memo.clear();
        loop {
            let at = self.at;
            let code = self.byte()?;
            if code == b'.' {
                return self.pop();
            }
            self.step(at, code)?;
        }
    }

    fn step(&mut self, at: usize, code: u8) -> Result<()> {
        match code {
            0x80 => return self.protocol(at),
            b'(' => self.marks.push(self.stack.len()),
            b'N' => self.stack.push(Value::None),
            0x88 => self.stack.push(Value::Bool(true)),
            0x89 => self.stack.push(Value::Bool(false)),
            b'K' | b'M' | b'J' | 0x8a => return self.integer(code),
            b'X' => return self.unicode(at),
            b'c' => return self.global(at),
            b')' | b't' | 0x85..=0x87 => return self.tuple(code),
            b']' => self.new_list(Vec::new()),
            b'}' => self.new_dict(),
            b'a' | b'e' => return self.append(at, code),
            b's' | b'u' => return self.set_items(at, code),
            b'q' | b'r' | b'h' | b'j' => return self.remember(at, code),
            b'Q' => {
                let id = self.pop()?;
                self.persistent.push(id);
                self.stack.push(Value::Persistent(self.persistent.len() - 1));
            }
            b'R' => return self.call(at),
            // The state of an object: only an OrderedDict's attributes come here, such as the
            // version numbers of the layers, which nothing needs.
            b'b' => {
                self.pop()?;
                if !matches!(self.stack.last(), Some(Value::Dict(_))) {
                    return wrong(at, "state for something that has none");
                }
            }
            _ => return Err(PickleError::Opcode { at, code }),
        }
        Ok(())
    }

    fn protocol(&mut self, at: usize) -> Result<()> {
        match self.byte()? {
            2 => Ok(()),
            n => wrong(at, format!("pickle protocol {n}; torch.save writes 2")),
        }
    }

    fn integer(&mut self, code: u8) -> Result<()> {
        let length = match code {
            b'K' => 1,
            b'M' => 2,
            b'J' => 4,
            _ => self.byte()?.into(),
        };
        let at = self.at;
        let bytes = self.take(length)?;
        if length > 16 {
            return wrong(at, format!("an integer of {length} bytes"));
        }
        let signed = !matches!(code, b'K' | b'M') && bytes.last().is_some_and(|b| b & 0x80 != 0);
        let mut word = [if signed { 0xff } else { 0 }; 16];
        word[..length].copy_from_slice(bytes);
        self.stack.push(Value::Int(i128::from_le_bytes(word)));
        Ok(())
    }

    fn unicode(&mut self, at: usize) -> Result<()> {
        let length = self.u32()? as usize;
        let bytes = self.take(length)?;
        let Ok(text) = std::str::from_utf8(bytes) else {
            return wrong(at, "a text that isn't UTF-8");
        };
        self.texts.push(text);
        self.stack.push(Value::Text(self.texts.len() - 1));
        Ok(())
    }

    fn global(&mut self, at: usize) -> Result<()> {
        let name = format!("{} {}", self.line()?, self.line()?);
        let Some(global) = Global::named(&name) else {
            let name = name.replace(' ', ".");
            return Err(PickleError::Global { at, name });
        };
        self.stack.push(Value::Global(global));
        Ok(())
    }

    fn line(&mut self) -> Result<String> {
        let rest = &self.bytes[self.at..];
        let end = rest.iter().position(|&b| b == b'\n');
        let end = end.ok_or(PickleError::Truncated(self.bytes.len()))?;
        let line = self.take(end + 1)?;
        Ok(String::from_utf8_lossy(&line[..end]).chars().take(100).collect())
    }

    fn tuple(&mut self, code: u8) -> Result<()> {
        let items = match code {
            b't' => self.pop_mark()?,
            b')' => Vec::new(),
            n => {
                let count = usize::from(n - 0x84);
                let from = self.stack.len().checked_sub(count);
                let from = from.filter(|&f| f >= self.floor());
                self.stack.split_off(from.ok_or_else(|| self.underflow())?)
            }
        };
        self.sequences.push(items);
        self.stack.push(Value::Tuple(self.sequences.len() - 1));
        Ok(())
    }

    fn new_list(&mut self, items: Vec<Value>) {
        self.sequences.push(items);
        self.stack.push(Value::List(self.sequences.len() - 1));
    }

    fn new_dict(&mut self) {
        self.dicts.push(Vec::new());
        self.stack.push(Value::Dict(self.dicts.len() - 1));
    }

    fn append(&mut self, at: usize, code: u8) -> Result<()> {
        let items = if code == b'e' { self.pop_mark()? } else { vec![self.pop()?] };
        match self.stack.last() {
            Some(Value::List(i)) => self.sequences[*i].extend(items),
            _ => return wrong(at, "items for something that isn't a list"),
        }
        Ok(())
    }

    fn set_items(&mut self, at: usize, code: u8) -> Result<()> {
        let items = if code == b'u' {
            self.pop_mark()?
        } else {
            let (value, key) = (self.pop()?, self.pop()?);
            vec![key, value]
        };
        let (pairs, rest) = items.as_chunks::<2>();
        match self.stack.last() {
            Some(Value::Dict(i)) if rest.is_empty() => {
                self.dicts[*i].extend(pairs.iter().map(|&[key, value]| (key, value)));
                Ok(())
            }
            _ => wrong(at, "entries for something that isn't a dictionary"),
        }
    }

    fn remember(&mut self, at: usize, code: u8) -> Result<()> {
        let key = match code {
            b'q' | b'h' => self.byte()?.into(),
            _ => self.u32()?,
        };
        if matches!(code, b'q' | b'r') {
            let value = *self.stack.last().ok_or_else(|| self.underflow())?;
            self.memo.insert(key, value);
        } else {
            match self.memo.get(&key) {
                Some(&value) => self.stack.push(value),
                None => return wrong(at, format!("memo {key} is empty")),
            }
        }
        Ok(())
    }

    /// Calls one of the allowed functions; only this reader's own data comes of it.
    fn call(&mut self, at: usize) -> Result<()> {
        let (arguments, function) = (self.pop()?, self.pop()?);
        let (Value::Global(function), Value::Tuple(tuple)) = (function, arguments) else {
            return wrong(at, "a call of something that isn't a function");
        };
        let given = &self.sequences[tuple];
        match (function, given.as_slice()) {
            (Global::OrderedDict, []) => self.new_dict(),
            (Global::RebuildTensor, [_, _, _, _, _, _] | [_, _, _, _, _, _, _]) => {
                self.tensors.push(tuple);
                self.stack.push(Value::Tensor(self.tensors.len() - 1));
            }
            (Global::RebuildParameter, &[tensor @ Value::Tensor(_), ..]) => self.stack.push(tensor),
            _ => return wrong(at, format!("{function:?} with {} arguments", given.len())),
        }
        Ok(())
    }

    fn byte(&mut self) -> Result<u8> {
        Ok(self.take(1)?[0])
    }

    fn u32(&mut self) -> Result<u32> {
        let bytes = self.take(4)?;
        Ok(bytes.iter().rev().fold(0, |n, &b| n << 8 | u32::from(b)))
    }

    /// What lies below the last mark belongs to the instruction that will close it.
    fn floor(&self) -> usize {
        self.marks.last().copied().unwrap_or(0)
    }

    fn underflow(&self) -> PickleError {
        PickleError::Wrong { at: self.at, what: "the stack is empty".into() }
    }

    fn pop(&mut self) -> Result<Value> {
        if self.stack.len() <= self.floor() {
            return Err(self.underflow());
        }
        self.stack.pop().ok_or_else(|| self.underflow())
    }

    fn pop_mark(&mut self) -> Result<Vec<Value>> {
        let mark = self.marks.pop().ok_or_else(|| self.underflow())?;
        Ok(self.stack.split_off(mark))
    }
}

fn wrong<T>(at: usize, what: impl Into<String>) -> Result<T> {
    Err(PickleError::Wrong { at, what: what.into() })
}
