//! A YAML file as a tree in which every key and value knows its line.

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{DuplicateKeyPolicy, NonFiniteFloatPolicy, Spanned};
use std::fmt;

/// What stands in the file at one place.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Null,
    Flag(bool),
    Whole(i128),
    Number(f64),
    Text(String),
    List(Vec<Node>),
    /// In the order of the file; a key may occur twice, which the reader refuses by name.
    Map(Vec<Entry>),
}

/// A value and the line on which it begins.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Node {
    pub(super) value: Value,
    pub(super) line: u64,
}

/// A key of a mapping with its value.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) line: u64,
    pub(super) node: Node,
}

/// Why a text is no YAML, and where.
#[derive(Debug)]
pub(super) struct SyntaxError {
    pub(super) line: Option<u64>,
    pub(super) message: String,
}

/// Parses one YAML document. A file that holds nothing but comments is an empty mapping.
pub(super) fn parse(text: &str) -> Result<Node, SyntaxError> {
    let options = serde_saphyr::options! {
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        strict_booleans: true,
        non_finite_float_policy: NonFiniteFloatPolicy::PassThrough,
        with_snippet: false,
    };
    serde_saphyr::from_str_with_options::<Spanned<Value>>(text, options).map(Node::from).map_err(|error| SyntaxError {
        line: error.location().map(|at| at.line()),
        message: error.render_with_formatter(&serde_saphyr::UserMessageFormatter),
    })
}

impl From<Spanned<Value>> for Node {
    fn from(spanned: Spanned<Value>) -> Self {
        Self { line: spanned.referenced.line(), value: spanned.value }
    }
}

impl fmt::Display for Node {
    /// On one line, as it could be written in the file; secrets are the caller's care.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.value {
            Value::Null => f.write_str("null"),
            Value::Flag(flag) => write!(f, "{flag}"),
            Value::Whole(number) => write!(f, "{number}"),
            Value::Number(number) => write!(f, "{number}"),
            Value::Text(text) => f.write_str(text),
            Value::List(items) => {
                f.write_str("[")?;
                separated(f, items.iter(), |f, item| write!(f, "{item}"))?;
                f.write_str("]")
            }
            Value::Map(entries) => {
                f.write_str("{ ")?;
                separated(f, entries.iter(), |f, entry| write!(f, "{}: {}", entry.key, entry.node))?;
                f.write_str(" }")
            }
        }
    }
}

fn separated<T>(
    f: &mut fmt::Formatter<'_>,
    items: impl Iterator<Item = T>,
    write: impl Fn(&mut fmt::Formatter<'_>, T) -> fmt::Result,
) -> fmt::Result {
    for (idx, item) in items.enumerate() {
        if idx > 0 {
            f.write_str(", ")?;
        }
        write(f, item)?;
    }
    Ok(())
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value, a list or a mapping")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        Value::deserialize(deserializer)
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Value, E> {
        Ok(Value::Flag(flag))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(Value::Whole(i128::from(number)))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
        Ok(Value::Whole(i128::from(number)))
    }

    fn visit_i128<E>(self, number: i128) -> Result<Value, E> {
        Ok(Value::Whole(number))
    }

    fn visit_u128<E: serde::de::Error>(self, number: u128) -> Result<Value, E> {
        i128::try_from(number).map(Value::Whole).map_err(|_too_large| E::custom("the number is too large"))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Value, E> {
        Ok(Value::Number(number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = sequence.next_element::<Spanned<Value>>()? {
            items.push(Node::from(item));
        }
        Ok(Value::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut entries = Vec::new();
        while let Some((key, value)) = map.next_entry::<Spanned<Value>, Spanned<Value>>()? {
            let key = Node::from(key);
            if matches!(key.value, Value::List(_) | Value::Map(_)) {
                return Err(A::Error::custom("a key is a word, not a list or a mapping"));
            }
            entries.push(Entry { key: key.to_string(), line: key.line, node: Node::from(value) });
        }
        Ok(Value::Map(entries))
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn every_value_knows_its_kind_and_line() {
        let node = parse("a: 7\nb:\n  c: [0.5, x, null]\n  d: true\ne: 10GB\n").unwrap();
        let Value::Map(entries) = &node.value else { unreachable!("{node}") };
        assert_eq!(
            entries.iter().map(|e| (e.key.as_str(), e.line)).collect::<Vec<_>>(),
            [("a", 1), ("b", 2), ("e", 5)]
        );
        assert_eq!(node.to_string(), "{ a: 7, b: { c: [0.5, x, null], d: true }, e: 10GB }");
        assert_eq!(entries[0].node.value, Value::Whole(7));
        assert_eq!(entries[2].node.value, Value::Text("10GB".into()));
    }

    #[test]
    fn a_key_given_twice_is_kept_twice() {
        let Value::Map(entries) = parse("a: 1\na: 2\n").unwrap().value else { unreachable!() };
        assert_eq!(entries.len(), 2);
    }

    #[test]
    fn text_that_is_no_yaml_names_its_line() {
        let error = parse("a: 1\nb: [1, 2\nc: {").unwrap_err();
        assert!(error.line.is_some(), "{}", error.message);
    }
}
