//! The corpus of compose files uses every key, in each of its forms.

use std::collections::BTreeSet;

use offspot_config::yaml;
use offspot_tests::parity::case::{self, Case};
use offspot_tests::parity::features::FEATURES;
use offspot_tests::parity::keys::{KEYS, used};

fn texts(cases: &[Case]) -> impl Iterator<Item = &str> {
    cases.iter().flat_map(|case| &case.steps).map(|step| step.text.as_str())
}

#[test]
fn every_key_is_in_some_file_and_no_file_has_another() {
    let cases = case::all();
    let mut found: BTreeSet<String> = BTreeSet::new();
    for text in texts(&cases) {
        found.extend(used(&yaml::read(text.as_bytes()).root.expect("a document")));
    }
    let missing: Vec<&&str> = KEYS.iter().filter(|key| !found.contains(**key)).collect();
    assert!(missing.is_empty(), "no file uses {missing:?}");
    let unknown: Vec<&String> = found.iter().filter(|path| !KEYS.contains(&path.as_str())).collect();
    assert!(unknown.is_empty(), "not among the keys: {unknown:?}");
}

#[test]
fn every_feature_is_in_some_file() {
    let cases = case::all();
    let all: Vec<&str> = texts(&cases).collect();
    let missing: Vec<&str> = FEATURES
        .iter()
        .filter(|(_, look)| !all.iter().any(|text| text.contains(look)))
        .map(|(name, _)| *name)
        .collect();
    assert!(missing.is_empty(), "no file has {missing:?}");
}

/// As many are promised.
#[test]
fn there_are_sixty_files() {
    let plain = case::all().iter().filter(|case| case.steps.len() == 1).count();
    assert!(plain >= 60, "{plain} files");
}
