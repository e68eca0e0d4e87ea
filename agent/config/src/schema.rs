//! A JSON Schema of offspot.yaml for editors, made from the tables that the rules use.

use serde_json::{Map, Value, json};

use crate::keys::{Form, Key, Takes, image, top};

/// The schema of offspot.yaml (draft 2020-12).
pub fn schema() -> Value {
    document("offspot.yaml", "Settings of an offspot box. What is absent stays as it is.", mapping(top::KEYS, &[]))
}

/// The schema of image.yaml (draft 2020-12).
pub fn image_schema() -> Value {
    let mut schema = document("image.yaml", "Recipe of a card.", mapping(image::KEYS, &["base"]));
    schema["additionalProperties"] = false.into();
    schema
}

fn document(title: &str, description: &str, body: Value) -> Value {
    let mut schema =
        json!({"$schema": "https://json-schema.org/draft/2020-12/schema", "title": title, "description": description});
    if let (Some(schema), Value::Object(body)) = (schema.as_object_mut(), body) {
        schema.extend(body);
    }
    schema
}

/// The schema of a mapping with these keys.
pub fn mapping(keys: &[Key], required: &[&str]) -> Value {
    let properties: Map<String, Value> = keys.iter().map(|key| (key.name.to_string(), property(key))).collect();
    json!({"type": ["object", "null"], "properties": properties, "required": required})
}

/// The schema of a list of such mappings, or of bare names too.
pub fn list(keys: &[Key], required: &[&str], bare: bool) -> Value {
    let mut entry = mapping(keys, required);
    entry["type"] = "object".into();
    let items = if bare { json!({"anyOf": [{"type": "string"}, entry]}) } else { entry };
    json!({"type": ["array", "null"], "items": items})
}

/// The schema of `containers`; what stands inside a service is compose's own.
pub fn containers() -> Value {
    let service = json!({"type": "object", "properties": {"image": {"type": "string", "minLength": 1, "description": "The image to run."}}, "required": ["image"]});
    let services = json!({"type": "object", "minProperties": 1, "additionalProperties": service, "description": "The services by name."});
    json!({"type": ["object", "null"], "properties": {"services": services}, "required": ["services"]})
}

fn property(key: &Key) -> Value {
    let mut schema = match key.takes {
        Takes::Text(_, form) => text(form),
        Takes::Any(Form::Schema(schema)) => schema(),
        Takes::Any(_) => json!({}),
        Takes::Flag => json!({"type": ["boolean", "null"]}),
        Takes::FlagOrAuto => json!({"enum": ["auto", true, false, null]}),
        Takes::Number(_, allowed) => {
            json!({"enum": allowed.iter().map(|number| json!(number)).chain([Value::Null]).collect::<Vec<_>>()})
        }
        Takes::List(_) | Takes::TextOrList(_) => {
            json!({"anyOf": [{"type": ["array"], "items": {"type": "string"}}, {"type": ["string", "null"]}]})
        }
    };
    schema["description"] = key.about.into();
    schema
}

fn text(form: Form) -> Value {
    match form {
        Form::Free => json!({"type": ["string", "number", "null"]}),
        Form::Words(words) => {
            json!({"enum": words().into_iter().map(Value::from).chain([Value::Null]).collect::<Vec<_>>()})
        }
        Form::Pattern(pattern) => json!({"type": ["string", "number", "null"], "pattern": pattern}),
        Form::Schema(schema) => schema(),
    }
}
