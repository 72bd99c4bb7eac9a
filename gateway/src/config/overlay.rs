//! Layers of one table: the defaults name every key and its type, each layer above may only replace values.
//!
//! The control plane's configuration is laid out by the same rules.

use super::ConfigError;
use toml::{Table, Value};

/// Lays a file's text over the table.
///
/// # Errors
/// With the key that is unknown or of another type.
pub fn apply_text(table: &mut Table, text: &str) -> Result<(), ConfigError> {
    apply(table, text.parse()?, "")
}

/// Lays variables over the table; those without our prefix are none of our business. A list is written as in TOML.
///
/// # Errors
/// With the variable that names no key, or the key and what may stand there.
pub fn apply_environment(
    table: &mut Table,
    prefix: &str,
    environment: impl IntoIterator<Item = (String, String)>,
) -> Result<(), ConfigError> {
    for (name, text) in environment {
        let Some(path) = name.strip_prefix(prefix) else { continue };
        let path = path.to_lowercase().replace("__", ".");
        let Some(slot) = find(table, &path) else {
            return Err(ConfigError::UnknownKey { key: name });
        };
        let value = match slot {
            Value::String(_) => Value::String(text),
            _ => parse_value(&text),
        };
        replace(slot, value, &path)?;
    }
    Ok(())
}

fn apply(under: &mut Table, over: Table, prefix: &str) -> Result<(), ConfigError> {
    for (name, value) in over {
        let path = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
        match (under.get_mut(&name), value) {
            (None, _) => return Err(ConfigError::UnknownKey { key: path }),
            (Some(Value::Table(under)), Value::Table(over)) => apply(under, over, &path)?,
            (Some(slot), value) => replace(slot, value, &path)?,
        }
    }
    Ok(())
}

fn replace(slot: &mut Value, value: Value, path: &str) -> Result<(), ConfigError> {
    if slot.same_type(&value) && !value.is_table() {
        *slot = value;
        return Ok(());
    }
    let expected = format!("of type {}", slot.type_str());
    Err(ConfigError::BadValue { key: path.into(), expected, found: value.to_string() })
}

fn find<'a>(table: &'a mut Table, path: &str) -> Option<&'a mut Value> {
    match path.split_once('.') {
        None => table.get_mut(path),
        Some((first, rest)) => find(table.get_mut(first)?.as_table_mut()?, rest),
    }
}

/// A number as TOML writes it; anything else stays text, for the type check to name.
fn parse_value(text: &str) -> Value {
    let parsed = format!("value = {text}").parse::<Table>();
    let value = parsed.ok().and_then(|mut table| table.remove("value"));
    value.unwrap_or_else(|| Value::String(text.into()))
}
