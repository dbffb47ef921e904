//! Tensors: making them and reading their values.

use crate::proto::TensorProto;
use crate::{Error, Result};

/// Types of elements, with the numbers that the format gives them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(i32)]
pub enum Element {
    /// 32-bit float.
    F32 = 1,
    /// Unsigned byte.
    U8 = 2,
    /// Signed byte.
    I8 = 3,
    /// 32-bit integer.
    I32 = 6,
    /// 64-bit integer.
    I64 = 7,
    /// Truth value, one byte.
    Bool = 9,
    /// 16-bit float.
    F16 = 10,
    /// 64-bit float.
    F64 = 11,
    /// 16-bit float with eight bits of exponent.
    Bf16 = 16,
}

impl Element {
    /// The type with the format's number `code`, if this crate knows it.
    #[must_use]
    pub fn from_code(code: i32) -> Option<Self> {
        use Element::{Bf16, Bool, F16, F32, F64, I8, I32, I64, U8};
        [F32, U8, I8, I32, I64, Bool, F16, F64, Bf16].into_iter().find(|&e| e as i32 == code)
    }

    /// Is it a floating-point type?
    #[must_use]
    pub fn is_float(self) -> bool {
        matches!(self, Self::F32 | Self::F16 | Self::F64 | Self::Bf16)
    }

    /// The name people use.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "float32",
            Self::U8 => "uint8",
            Self::I8 => "int8",
            Self::I32 => "int32",
            Self::I64 => "int64",
            Self::Bool => "bool",
            Self::F16 => "float16",
            Self::F64 => "float64",
            Self::Bf16 => "bfloat16",
        }
    }
}

impl TensorProto {
    fn raw(dims: &[usize], element: Element, raw_data: Vec<u8>) -> Self {
        let dims = dims.iter().map(|&d| d as i64).collect();
        Self { dims, data_type: element as i32, raw_data, ..Default::default() }
    }

    /// A tensor of 32-bit floats, row by row.
    #[must_use]
    pub fn f32(dims: &[usize], values: &[f32]) -> Self {
        Self::raw(dims, Element::F32, values.iter().flat_map(|v| v.to_le_bytes()).collect())
    }

    /// A tensor of the 16-bit floats nearest to `values`, row by row.
    #[must_use]
    pub fn f16(dims: &[usize], values: &[f32]) -> Self {
        let bytes = values.iter().flat_map(|&v| crate::float16::nearest(v).to_le_bytes());
        Self::raw(dims, Element::F16, bytes.collect())
    }

    /// A tensor of 64-bit floats, row by row.
    #[must_use]
    pub fn f64(dims: &[usize], values: &[f64]) -> Self {
        Self::raw(dims, Element::F64, values.iter().flat_map(|v| v.to_le_bytes()).collect())
    }

    /// A tensor of 64-bit integers, row by row.
    #[must_use]
    pub fn i64(dims: &[usize], values: &[i64]) -> Self {
        Self::raw(dims, Element::I64, values.iter().flat_map(|v| v.to_le_bytes()).collect())
    }

    /// A tensor of 32-bit integers, row by row.
    #[must_use]
    pub fn i32(dims: &[usize], values: &[i32]) -> Self {
        Self::raw(dims, Element::I32, values.iter().flat_map(|v| v.to_le_bytes()).collect())
    }

    /// A tensor of signed bytes, row by row.
    #[must_use]
    pub fn i8(dims: &[usize], values: &[i8]) -> Self {
        Self::raw(dims, Element::I8, values.iter().map(|v| v.cast_unsigned()).collect())
    }

    /// One byte, without dimensions.
    #[must_use]
    pub fn byte(value: u8) -> Self {
        Self::raw(&[], Element::U8, vec![value])
    }

    /// The dimensions; an error if one is negative or their product doesn't fit.
    pub fn shape(&self) -> Result<Vec<usize>> {
        let bad =
            || Error::NotOnnx(format!("the tensor {:?} has dimensions {:?}", self.name, self.dims));
        let shape: Option<Vec<usize>> =
            self.dims.iter().map(|&d| usize::try_from(d).ok()).collect();
        let shape = shape.ok_or_else(bad)?;
        let product = shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d));
        product.filter(|&n| n < usize::MAX / 8).ok_or_else(bad)?;
        Ok(shape)
    }
}

/// The values of a float32 tensor.
pub(crate) fn floats(tensor: &TensorProto) -> Result<Vec<f32>> {
    if tensor.data_type != Element::F32 as i32 {
        return Err(Error::Mismatch(format!("the tensor {:?} isn't float32", tensor.name)));
    }
    let values = if tensor.raw_data.is_empty() {
        tensor.float_data.clone()
    } else {
        words(tensor)?.map(f32::from_le_bytes).collect()
    };
    checked(tensor, values)
}

/// The values of an integer or boolean tensor.
pub(crate) fn integers(tensor: &TensorProto) -> Result<Vec<i64>> {
    let raw = !tensor.raw_data.is_empty();
    let values = match Element::from_code(tensor.data_type) {
        Some(Element::I64) if raw => words(tensor)?.map(i64::from_le_bytes).collect(),
        Some(Element::I64) => tensor.int64_data.clone(),
        Some(Element::I32) if raw => {
            words(tensor)?.map(|b| i64::from(i32::from_le_bytes(b))).collect()
        }
        Some(Element::Bool | Element::U8) if raw => {
            tensor.raw_data.iter().map(|&b| i64::from(b)).collect()
        }
        Some(Element::I8) if raw => {
            tensor.raw_data.iter().map(|&b| i64::from(b.cast_signed())).collect()
        }
        Some(Element::I32 | Element::Bool | Element::U8 | Element::I8) => {
            tensor.int32_data.iter().map(|&v| i64::from(v)).collect()
        }
        _ => {
            let name = &tensor.name;
            return Err(Error::Mismatch(format!("the tensor {name:?} doesn't hold integers")));
        }
    };
    checked(tensor, values)
}

fn words<const N: usize>(tensor: &TensorProto) -> Result<impl Iterator<Item = [u8; N]>> {
    let (words, rest) = tensor.raw_data.as_chunks::<N>();
    if rest.is_empty() {
        return Ok(words.iter().copied());
    }
    let wanted = tensor.shape()?.iter().product::<usize>() * N;
    Err(Error::TensorLength { tensor: tensor.name.clone(), found: tensor.raw_data.len(), wanted })
}

fn checked<T>(tensor: &TensorProto, values: Vec<T>) -> Result<Vec<T>> {
    let wanted = tensor.shape()?.iter().product();
    if values.len() == wanted {
        return Ok(values);
    }
    Err(Error::TensorLength { tensor: tensor.name.clone(), found: values.len(), wanted })
}
