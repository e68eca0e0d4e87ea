//! Every real file, with the findings it is to have. `UPDATE_GOLDEN=1` writes them anew.

use std::path::{Path, PathBuf};

use offspot_config::{check, check_image, render};

fn files(endings: &[&str]) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    let wanted = |path: &PathBuf| endings.iter().any(|ending| path.to_string_lossy().ends_with(ending));
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).filter(wanted).collect();
    files.sort();
    files
}

fn compare(file: &Path, found: &str) {
    let name = file.file_name().unwrap().to_string_lossy();
    let golden = file.parent().unwrap().parent().unwrap().join("golden").join(format!("{name}.txt"));
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::create_dir_all(golden.parent().unwrap()).unwrap();
        std::fs::write(&golden, found).unwrap();
    }
    let wanted = std::fs::read_to_string(&golden).unwrap_or_else(|error| panic!("{}: {error}", golden.display()));
    assert_eq!(found, wanted, "{name}");
}

#[test]
fn settings() {
    let files = files(&[".offspot.yaml", "files_offspot.yaml"]);
    assert_eq!(files.len(), 15);
    for file in files {
        let checked = check(&std::fs::read(&file).unwrap());
        compare(&file, &format!("{}\n{:#?}\n", render(&checked.findings, "offspot.yaml"), checked.settings));
        assert!(!checked.has_errors(), "{}", file.display());
    }
}

#[test]
fn recipes() {
    let files = files(&[".image.yaml"]);
    assert_eq!(files.len(), 2);
    for file in files {
        let checked = check_image(&std::fs::read(&file).unwrap());
        compare(&file, &format!("{}\n{:#?}\n", render(&checked.findings, "image.yaml"), checked.recipe));
    }
}

#[test]
fn files_that_are_something_else() {
    for file in files(&["compose.yml", "cache-policy.yaml"]) {
        let checked = check(&std::fs::read(&file).unwrap());
        compare(&file, &render(&checked.findings, "offspot.yaml"));
    }
}

/// Put together from what people do; one file with every kind of mistake.
#[test]
fn mistakes() {
    for file in files(&[".mistakes.yaml"]) {
        let bytes = std::fs::read(&file).unwrap();
        let checked = check(&bytes);
        compare(&file, &format!("{}\n{:#?}\n", render(&checked.findings, "offspot.yaml"), checked.settings));
    }
}
