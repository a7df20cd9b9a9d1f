//! JSON as Go's decoder takes it, which manifests were always read with: names of fields in any case, unknown fields
//! ignored, absence and `null` mean the zero value.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::error::{Error, Result};

/// What can be filled from a JSON value. `at` says where the value stands.
pub(super) trait Decode {
    fn decode(&mut self, value: &Value, at: &str) -> Result<()>;
}

/// The first JSON value of a text; what follows is not looked at.
pub(super) fn first_value(text: &[u8]) -> Result<Value> {
    // Bytes that are no UTF-8 are no error there.
    let text = String::from_utf8_lossy(text);
    let first = serde_json::Deserializer::from_str(&text)
        .into_iter::<Value>()
        .next();
    match first {
        Some(Ok(value)) => Ok(value),
        Some(Err(error)) => {
            let position = crate::error::Position {
                line: error.line(),
                column: error.column(),
            };
            let reason = match error.classify() {
                serde_json::error::Category::Eof => "it ends too early",
                _ => "it is no JSON",
            };
            Err(wrong(reason.to_owned()).with_position(position))
        }
        None => Err(wrong("it is empty".to_owned())),
    }
}

/// Gives every field of an object to `set`, by its name in small letters.
pub(super) fn fields(
    value: &Value,
    at: &str,
    mut set: impl FnMut(&str, &Value, &str) -> Result<()>,
) -> Result<()> {
    let object = match value {
        Value::Null => return Ok(()),
        Value::Object(object) => object,
        other => return Err(mismatch(at, "an object", other)),
    };
    for (name, value) in object {
        let at = match at {
            "" => name.clone(),
            at => format!("{at}.{name}"),
        };
        set(&name.to_ascii_lowercase(), value, &at)?;
    }
    Ok(())
}

impl Decode for String {
    fn decode(&mut self, value: &Value, at: &str) -> Result<()> {
        match value {
            Value::Null => {}
            Value::String(text) => self.clone_from(text),
            other => return Err(mismatch(at, "a text", other)),
        }
        Ok(())
    }
}

impl Decode for bool {
    fn decode(&mut self, value: &Value, at: &str) -> Result<()> {
        match value {
            Value::Null => {}
            Value::Bool(value) => *self = *value,
            other => return Err(mismatch(at, "true or false", other)),
        }
        Ok(())
    }
}

impl Decode for i64 {
    fn decode(&mut self, value: &Value, at: &str) -> Result<()> {
        match (value, value.as_i64()) {
            (Value::Null, _) => {}
            (_, Some(number)) => *self = number,
            (other, None) => return Err(mismatch(at, "a whole number", other)),
        }
        Ok(())
    }
}

impl<T: Decode + Default> Decode for Option<T> {
    fn decode(&mut self, value: &Value, at: &str) -> Result<()> {
        if value.is_null() {
            *self = None;
            return Ok(());
        }
        self.get_or_insert_default().decode(value, at)
    }
}

impl<T: Decode + Default> Decode for Vec<T> {
    fn decode(&mut self, value: &Value, at: &str) -> Result<()> {
        self.clear();
        let elements = match value {
            Value::Null => return Ok(()),
            Value::Array(elements) => elements,
            other => return Err(mismatch(at, "a list", other)),
        };
        for (number, element) in elements.iter().enumerate() {
            let mut item = T::default();
            item.decode(element, &format!("{at}[{number}]"))?;
            self.push(item);
        }
        Ok(())
    }
}

impl Decode for BTreeMap<String, String> {
    fn decode(&mut self, value: &Value, at: &str) -> Result<()> {
        let object = match value {
            Value::Null => {
                self.clear();
                return Ok(());
            }
            Value::Object(object) => object,
            other => return Err(mismatch(at, "an object", other)),
        };
        for (name, value) in object {
            let mut text = String::new();
            text.decode(value, &format!("{at}.{name}"))?;
            self.insert(name.clone(), text);
        }
        Ok(())
    }
}

fn mismatch(at: &str, wanted: &str, found: &Value) -> Error {
    let found = match found {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    };
    match at {
        "" => wrong(format!("it must be {wanted}, not {found}")),
        at => wrong(format!("`{at}` must be {wanted}, not {found}")),
    }
}

fn wrong(what: String) -> Error {
    Error::new("manifest", format!("the manifest cannot be read: {what}"))
}
