//! The files of the corpus: one file is one case; a folder below `changes` is a case of several steps.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use offspot_config::{compose, yaml};

use crate::agent_run::workspace;

/// Stands for the root of the box.
pub const PLACEHOLDER: &str = "/box";

/// One or more compose files of the same project, brought up one after another.
#[derive(Debug, Clone)]
pub struct Case {
    /// Name of the file, without ending, or of the folder.
    pub name: String,
    /// Name of the project.
    pub project: String,
    /// What is brought up.
    pub steps: Vec<Step>,
}

/// One compose file.
#[derive(Debug, Clone)]
pub struct Step {
    /// As it stands in the corpus.
    pub text: String,
    /// Folders of what lies on the box from this step on, beside what was there before.
    pub box_files: Vec<PathBuf>,
}

impl Step {
    /// Whether the file says of itself that not all of its services come up.
    pub fn fails(&self) -> bool {
        self.text.starts_with("# Not all come up")
    }
}

/// The folder of the corpus.
pub fn folder() -> PathBuf {
    workspace().join("tests/data/compose")
}

/// The whole corpus: the plain files, then the changes.
pub fn all() -> Vec<Case> {
    let folder = folder();
    let mut cases: Vec<Case> = files(&folder).iter().map(|file| plain(file)).collect();
    cases.extend(entries(&folder.join("changes")).iter().filter(|path| path.is_dir()).map(|path| changing(path)));
    for case in &mut cases {
        case.steps[0].box_files.insert(0, folder.join("box"));
    }
    cases
}

/// The images that the corpus names.
pub fn images(cases: &[Case]) -> BTreeSet<String> {
    let steps = cases.iter().flat_map(|case| &case.steps);
    let lines = steps.flat_map(|step| step.text.lines());
    let words = lines.flat_map(|line| line.split_once("image: "));
    let names = words.map(|(_, rest)| rest.split([',', '}', ' ']).next().unwrap_or_default().trim_matches(['"', '\'']));
    names.filter(|name| !name.contains('$') && !name.ends_with("/tiny:1")).map(str::to_owned).collect()
}

fn plain(file: &Path) -> Case {
    let step = Step { text: fs::read_to_string(file).unwrap(), box_files: Vec::new() };
    Case { name: stem(file), project: project(&step.text), steps: vec![step] }
}

fn changing(folder: &Path) -> Case {
    let step =
        |file: &PathBuf| Step { text: fs::read_to_string(file).unwrap(), box_files: vec![file.with_extension("box")] };
    let steps: Vec<Step> = files(folder).iter().map(step).collect();
    Case { name: format!("changes/{}", stem(folder)), project: project(&steps[0].text), steps }
}

fn project(text: &str) -> String {
    let root = yaml::read(text.as_bytes()).root.expect("a document");
    let entries = root.as_mapping().unwrap_or_default();
    let name = entries.iter().find(|(key, _)| key.key_text() == "name");
    name.and_then(|(_, name)| name.as_text()).unwrap_or(compose::NAME).to_owned()
}

fn stem(path: &Path) -> String {
    path.file_stem().unwrap().to_string_lossy().into_owned()
}

fn files(folder: &Path) -> Vec<PathBuf> {
    entries(folder).into_iter().filter(|path| path.extension().is_some_and(|end| end == "yml")).collect()
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let mut all: Vec<PathBuf> = fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path()).collect();
    all.sort();
    all
}
