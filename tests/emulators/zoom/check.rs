//! Bodies and queries against what Zoom's own OpenAPI file says of them (`requests.json`, cut down to what is checked).

use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::LazyLock;

static REQUESTS: LazyLock<Value> =
    LazyLock::new(|| serde_json::from_str(include_str!("requests.json")).expect("the fixture is JSON"));

/// What is wrong with `body` as the body of `request`: `create`, `update` or `status`.
pub fn body(request: &str, body: &Value) -> Vec<Value> {
    let mut errors = Vec::new();
    value("", &REQUESTS[request], body, &mut errors);
    errors
}

/// What is wrong with `query` as that of `request`: `list_query`, `get_query` or `delete_query`.
pub fn query(request: &str, query: &BTreeMap<String, String>) -> Vec<Value> {
    let mut errors = Vec::new();
    for (key, text) in query {
        let schema = &REQUESTS[request][key];
        let found = match schema["type"].as_str() {
            Some("integer") => text.parse::<i64>().map_or(Value::Null, Value::from),
            Some("boolean") => text.parse::<bool>().map_or(Value::Null, Value::from),
            Some("string") => json!(text),
            _ => {
                errors.push(error(key, "Unknown parameter."));
                continue;
            }
        };
        value(key, schema, &found, &mut errors);
    }
    errors
}

fn error(field: &str, message: &str) -> Value {
    json!({ "field": field, "message": message })
}

fn value(field: &str, schema: &Value, found: &Value, errors: &mut Vec<Value>) {
    let has_type = match schema["type"].as_str() {
        Some("object") => found.is_object(),
        Some("array") => found.is_array(),
        Some("string") => found.is_string(),
        Some("integer") => found.is_i64(),
        Some("number") => found.is_number(),
        Some("boolean") => found.is_boolean(),
        _ => true,
    };
    if !has_type {
        errors.push(error(field, "Invalid field."));
        return;
    }
    if let Some(choices) = schema["enum"].as_array()
        && !choices.contains(found)
    {
        errors.push(error(field, "Invalid field."));
    }
    let number = found.as_f64();
    let length = found.as_str().map(|text| text.chars().count() as f64);
    let count = found.as_array().map(|list| list.len() as f64);
    for (limit, measure, is_most) in [
        ("maximum", number, true),
        ("minimum", number, false),
        ("maxLength", length, true),
        ("minLength", length, false),
        ("maxItems", count, true),
        ("minItems", count, false),
    ] {
        if let (Some(limit), Some(measure)) = (schema[limit].as_f64(), measure)
            && (if is_most { measure > limit } else { measure < limit })
        {
            errors.push(error(field, "Invalid field."));
        }
    }
    if let Some(entries) = found.as_object() {
        let path = |key: &str| if field.is_empty() { key.to_owned() } else { format!("{field}.{key}") };
        for (key, entry) in entries {
            match schema["properties"].get(key) {
                Some(schema) => value(&path(key), schema, entry, errors),
                None => errors.push(error(&path(key), "Unknown field.")),
            }
        }
        for key in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            if !entries.contains_key(key) {
                errors.push(error(&path(key), "Missing."));
            }
        }
    }
    for item in found.as_array().into_iter().flatten() {
        value(field, &schema["items"], item, errors);
    }
}
