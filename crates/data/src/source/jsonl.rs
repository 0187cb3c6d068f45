//! Records of JSON lines.

use std::path::Path;

use serde_json::Value;

use super::{At, Record, not_utf8, visit_lines};
use crate::table::Cell;
use crate::{Error, Result};

pub(super) fn visit(path: &Path, visit: &mut dyn FnMut(&Record<'_>) -> Result<()>) -> Result<()> {
    let mut empty = true;
    visit_lines(path, &mut |line, bytes| {
        empty = false;
        let text = std::str::from_utf8(bytes).map_err(|_| not_utf8(path, line))?;
        let value: Value = serde_json::from_str(text)
            .map_err(|error| Error::line(path, line, format!("not JSON: {error}")))?;
        let Value::Object(object) = &value else {
            return Err(Error::line(path, line, "expected a JSON object"));
        };
        let cells = object.iter().map(|(name, value)| (name.as_str(), cell(value))).collect();
        visit(&Record { at: At::Line(path, line), cells })
    })?;
    if empty { Err(Error::file(path, "the file is empty, expected JSON lines")) } else { Ok(()) }
}

/// A JSON value as a cell. Lists keep their texts, nested ones flattened; objects and lists of
/// numbers are no text.
pub(crate) fn cell(value: &Value) -> Cell<'_> {
    match value {
        Value::Null | Value::Object(_) => Cell::Null,
        Value::Bool(value) => Cell::Text(value.to_string().into()),
        Value::Number(number) => Cell::Number(number.to_string().into()),
        Value::String(text) if text.trim().is_empty() => Cell::Null,
        Value::String(text) => Cell::Text(text.as_str().into()),
        Value::Array(values) => {
            let mut parts = Vec::new();
            flatten(values, &mut parts);
            if parts.is_empty() { Cell::Null } else { Cell::List(parts) }
        }
    }
}

fn flatten<'a>(values: &'a [Value], parts: &mut Vec<std::borrow::Cow<'a, str>>) {
    for value in values {
        match value {
            Value::String(text) => parts.push(text.as_str().into()),
            Value::Array(values) => flatten(values, parts),
            _ => {}
        }
    }
}
