//! The JSON Schema of a configuration file, for editors.

use serde_json::{Map, Value, json};

use super::bounds::{CPU_OVER, CPU_SHARE};
use super::keys::{self, Key, Kind};
use super::written::OFF;
use super::{duration, limit, process, value};

/// Returns the schema (draft 2020-12). It is looser than the check: bounds on times and what
/// depends on more than one key can only be said in its descriptions.
#[must_use]
pub fn schema() -> Value {
    let mut schema = section("");
    let head = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "clawarden configuration",
    });
    if let (Value::Object(schema), Value::Object(mut head)) = (&mut schema, head) {
        head.append(schema);
        *schema = head;
    }
    schema
}

fn section(path: &str) -> Value {
    let fixed = || keys::within(path).filter(|key| !key.is_any());
    let properties: Map<_, _> = fixed().map(|key| (key.name().to_owned(), property(key))).collect();
    let required: Vec<_> = fixed().filter(|key| key.is_required).map(Key::name).collect();
    let any = keys::within(path).find(|key| key.is_any());
    let mut section = json!({
        "type": "object",
        "properties": properties,
        "additionalProperties": any.map_or(Value::Bool(false), property),
        "minProperties": 1,
    });
    if any.is_some() {
        section["propertyNames"] = json!({ "pattern": value::NAME_PATTERN });
    }
    // What a section under a name needs depends on whether the name is known.
    if !required.is_empty() && !path.ends_with(keys::ANY) {
        section["required"] = json!(required);
    }
    section
}

fn property(key: &Key) -> Value {
    let mut property = match key.kind {
        Kind::Section => section(key.path),
        Kind::Overrides | Kind::Processes => {
            json!({ "type": "array", "items": section(&format!("{}[]", key.path)) })
        }
        kind => scalar(kind),
    };
    property["description"] = Value::from(description(key));
    if let Some(default) = key.default.and_then(|text| serde_yaml::from_str::<Value>(text).ok()) {
        property["default"] = default;
    }
    property
}

fn scalar(kind: Kind) -> Value {
    let text = |pattern| json!({ "type": "string", "pattern": pattern });
    let words = |words| json!({ "type": "string", "enum": words });
    let list = |item| json!({ "type": "array", "items": item, "uniqueItems": true });
    let any_text = || json!({ "type": "string", "minLength": 1 });
    match kind {
        Kind::Section | Kind::Overrides | Kind::Processes => json!({}),
        Kind::Duration(_) => text(duration::PATTERN),
        Kind::Count(bounds) => {
            json!({ "type": "integer", "minimum": bounds.least, "maximum": bounds.most })
        }
        Kind::Flag => json!({ "type": "boolean" }),
        Kind::Choice(choice) => words(choice),
        Kind::Choices(choice) => list(words(choice)),
        Kind::Folder | Kind::File => text("^(/|~(/|$))"),
        Kind::Url => text("^wss?://[^@?#]+$"),
        Kind::Name => text("^[A-Za-z_][A-Za-z0-9_]*$"),
        Kind::Lanes => any_text(),
        Kind::Cpu => text(limit::CPU_PATTERN),
        Kind::Memory(_) => text(limit::BYTES_PATTERN),
        Kind::Limit(of) => json!({ "anyOf": [scalar(*of), { "const": OFF }] }),
        Kind::Programs => json!({ "anyOf": [any_text(), list(any_text())] }),
        Kind::Ending => json!({ "type": "string", "minLength": process::ENDING_MIN }),
        Kind::Variable => text("^[A-Za-z_][A-Za-z0-9_]*(=.*)?$"),
    }
}

fn description(key: &Key) -> String {
    format!("{}{}", key.doc, range(key.kind))
}

fn range(kind: Kind) -> String {
    match kind {
        Kind::Duration(bounds) => {
            format!(" From {} to {}.", duration::text(bounds.least), duration::text(bounds.most))
        }
        Kind::Memory(bounds) => format!(" From {} to {}.", bounds.least.text(), bounds.most.text()),
        Kind::Cpu => {
            let (least, most) = (CPU_SHARE.least, CPU_SHARE.most);
            let (short, long) = (duration::text(CPU_OVER.least), duration::text(CPU_OVER.most));
            format!(" From {least}% to {most}%, for {short} to {long}.")
        }
        Kind::Limit(of) => format!("{} `off`: no limit.", range(*of)),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn has_every_key_once() {
        let schema = schema();
        for key in keys::KEYS {
            let mut pointer = format!("/properties/{}", key.path.replace('.', "/properties/"));
            pointer = pointer.replace("[]", "/items");
            pointer = pointer.replace("properties/{}", "additionalProperties");
            let found = schema.pointer(&pointer);
            let found = found.unwrap_or_else(|| panic!("{pointer} in {schema:#}"));
            assert!(found["description"].as_str().unwrap().starts_with(key.doc));
        }
        assert_eq!(schema.to_string().matches("\"description\"").count(), keys::KEYS.len());
    }

    #[test]
    fn defaults_have_the_type_of_their_key() {
        let schema = schema();
        assert_eq!(schema["properties"]["interval"]["default"], "30s");
        assert_eq!(schema["properties"]["confirm"]["properties"]["looks"]["default"], 2);
        assert_eq!(schema["properties"]["allow_short"]["default"], false);
        assert_eq!(schema["properties"]["overrides"]["default"], json!([]));
    }

    #[test]
    fn an_editor_sees_bounds_choices_and_unknown_keys() {
        let schema = schema();
        assert_eq!(schema["additionalProperties"], false);
        let dead_lock = &schema["properties"]["policies"]["properties"]["dead_lock"];
        assert_eq!(
            dead_lock["properties"]["min_age"],
            json!({
                "type": "string",
                "pattern": "^[0-9]+(ms|s|m|h|d)$",
                "description": "How old the lock must be. From 5s to 1d.",
                "default": "30s",
            })
        );
        assert_eq!(dead_lock["properties"]["mode"]["enum"], json!(["off", "observe", "enforce"]));
        let item = &schema["properties"]["overrides"]["items"];
        assert_eq!(item["required"], json!(["match"]));
    }
}
