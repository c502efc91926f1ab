//! The JSON Schema of a configuration file, for editors.

use serde_json::{Map, Value, json};

use super::duration;
use super::keys::{self, Key, Kind};

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
    let keys = || keys::within(path);
    let properties: Map<_, _> = keys().map(|key| (key.name().to_owned(), property(key))).collect();
    let required: Vec<_> = keys().filter(|key| key.is_required).map(Key::name).collect();
    let mut section = json!({
        "type": "object",
        "properties": properties,
        "additionalProperties": false,
        "minProperties": 1,
    });
    if !required.is_empty() {
        section["required"] = json!(required);
    }
    section
}

fn property(key: &Key) -> Value {
    let mut property = match key.kind {
        Kind::Section => section(key.path),
        Kind::Sections => {
            json!({ "type": "array", "items": section(&format!("{}[]", key.path)) })
        }
        Kind::Duration(_) => json!({ "type": "string", "pattern": duration::PATTERN }),
        Kind::Count(bounds) => {
            json!({ "type": "integer", "minimum": bounds.least, "maximum": bounds.most })
        }
        Kind::Flag => json!({ "type": "boolean" }),
        Kind::Choice(words) => json!({ "type": "string", "enum": words }),
        Kind::Choices(words) => {
            let item = json!({ "type": "string", "enum": words });
            json!({ "type": "array", "items": item, "uniqueItems": true })
        }
        Kind::Folder => json!({ "type": "string", "pattern": "^(/|~(/|$))" }),
        Kind::Lanes => json!({ "type": "string", "minLength": 1 }),
    };
    property["description"] = Value::from(description(key));
    if let Some(default) = key.default.and_then(|text| serde_yaml::from_str::<Value>(text).ok()) {
        property["default"] = default;
    }
    property
}

fn description(key: &Key) -> String {
    match key.kind {
        Kind::Duration(bounds) => {
            let (least, most) = (duration::text(bounds.least), duration::text(bounds.most));
            format!("{} From {least} to {most}.", key.doc)
        }
        _ => key.doc.to_owned(),
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
