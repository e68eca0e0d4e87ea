//! The JSON Schema accepts the real files and refuses plain mistakes, in the eyes of another validator.

use std::io::Write;
use std::process::{Command, Stdio};

use offspot_config::{check, image_schema, schema, yaml};
use serde_json::{Value, json};

const VALIDATOR: &str = r#"
import json, sys, jsonschema
schema, documents = json.load(sys.stdin)
jsonschema.Draft202012Validator.check_schema(schema)
validator = jsonschema.Draft202012Validator(schema)
print(json.dumps([[error.json_path + ": " + error.message[:200] for error in validator.iter_errors(document)] for document in documents]))
"#;

fn validate(schema: &Value, documents: &[Value]) -> Vec<Vec<String>> {
    let mut child = Command::new("python3")
        .args(["-c", VALIDATOR])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3 is needed here");
    let input = json!([schema, documents]).to_string();
    let mut stdin = child.stdin.take().unwrap();
    let feeder = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
    let output = child.wait_with_output().unwrap();
    feeder.join().unwrap().unwrap();
    assert!(output.status.success(), "jsonschema is needed here (Debian: python3-jsonschema)");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn real(ending: &str) -> Vec<(String, Value)> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let wanted = files.filter(|file| file.to_string_lossy().ends_with(ending));
    wanted
        .map(|file| (file.display().to_string(), yaml::read(&std::fs::read(&file).unwrap()).root.unwrap().to_json()))
        .collect()
}

#[test]
fn real_files_are_valid() {
    let files = real("offspot.yaml");
    let documents: Vec<Value> = files.iter().map(|(_, document)| document.clone()).collect();
    for ((file, _), errors) in files.iter().zip(validate(&schema(), &documents)) {
        assert!(errors.is_empty(), "{file}: {errors:#?}");
    }
    let recipes = real(".image.yaml");
    let documents: Vec<Value> = recipes.iter().map(|(_, document)| document.clone()).collect();
    let errors = validate(&image_schema(), &documents);
    for ((file, _), errors) in recipes.iter().zip(errors) {
        let wanted = if file.contains("sample") { "wite_config" } else { "" };
        assert!(
            errors.iter().all(|error| error.contains(wanted)) && errors.is_empty() == wanted.is_empty(),
            "{file}: {errors:#?}"
        );
    }
}

#[test]
fn what_the_schema_refuses_the_rules_refuse_too() {
    let documents = [
        json!({"timezone": "utc"}),
        json!({"ap": {"ssid": "x", "channel_24": 14}}),
        json!({"ap": {"ssid": "x", "country": "UK"}}),
        json!({"ap": {"ssid": "!x"}}),
        json!({"ap": {"passphrase": "short"}}),
        json!({"ap": {"ssid": "x", "spoof": "maybe"}}),
        json!({"ethernet": {"type": "wifi"}}),
        json!({"containers": {"services": {"a": {"image": ""}}}}),
        json!({"containers": {"name": "x"}}),
        json!({"files": [{"content": "x"}]}),
        json!({"files": [{"to": "/data/x", "content": "x", "via": "rar"}]}),
        json!({"oci_images": [{"url": "http://x"}]}),
        json!({"firmware": {"brcm43455": "new"}}),
        json!({"status": {"health_limit": "soon"}}),
        json!({"registries": {"ghcr.io": {"insecure": "maybe"}}}),
        json!({"files": {"to": "x"}}),
    ];
    for (document, errors) in documents.iter().zip(validate(&schema(), &documents)) {
        assert!(!errors.is_empty(), "{document}");
        assert!(check(document.to_string().as_bytes()).has_errors(), "{document}");
    }
}
