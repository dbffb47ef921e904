//! Attributes of nodes: making and reading them.

use crate::proto::{AttributeProto, NodeProto};

/// An integer attribute.
#[must_use]
pub fn int(name: &str, value: i64) -> AttributeProto {
    AttributeProto { name: name.into(), r#type: 2, i: Some(value), ..Default::default() }
}

/// A list of integers.
#[must_use]
pub fn ints(name: &str, values: &[i64]) -> AttributeProto {
    AttributeProto { name: name.into(), r#type: 7, ints: values.to_vec(), ..Default::default() }
}

/// A string attribute.
#[must_use]
pub fn string(name: &str, value: &str) -> AttributeProto {
    let s = Some(value.as_bytes().to_vec());
    AttributeProto { name: name.into(), r#type: 3, s, ..Default::default() }
}

/// The attribute of that name.
pub(crate) fn find<'a>(node: &'a NodeProto, name: &str) -> Option<&'a AttributeProto> {
    node.attribute.iter().find(|a| a.name == name)
}

/// The integer attribute of that name, or the operator's default.
pub(crate) fn int_or(node: &NodeProto, name: &str, default: i64) -> i64 {
    find(node, name).and_then(|a| a.i).unwrap_or(default)
}

/// The list of integers of that name.
pub(crate) fn ints_of<'a>(node: &'a NodeProto, name: &str) -> Option<&'a [i64]> {
    find(node, name).map(|a| a.ints.as_slice())
}

/// The string of that name, or the operator's default.
pub(crate) fn string_or<'a>(node: &'a NodeProto, name: &str, default: &'a str) -> &'a str {
    find(node, name)
        .and_then(|a| a.s.as_deref())
        .and_then(|s| std::str::from_utf8(s).ok())
        .unwrap_or(default)
}
