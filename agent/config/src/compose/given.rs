//! `configs` and `secrets`: files that are given into containers.

use std::collections::HashMap;

use super::model::{FileObject, FileSource, GivenFile};
use super::mounts;
use super::place::Place;
use super::{keys, words};

/// Which of the two, as they differ in a few words.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    Config,
    Secret,
}

impl Kind {
    /// The key of the top level and of services.
    pub fn key(self) -> &'static str {
        match self {
            Kind::Config => "configs",
            Kind::Secret => "secrets",
        }
    }

    /// Where it lies in a container when nothing else is said.
    fn folder(self) -> &'static str {
        match self {
            Kind::Config => "",
            Kind::Secret => "/run/secrets",
        }
    }
}

/// One entry of the top level; what is wrong is noted.
pub(super) fn object(kind: Kind, key: &str, place: &Place<'_>) -> Option<FileObject> {
    let (mut sources, mut elsewhere) = (Vec::new(), false);
    for (name, value) in place.entries() {
        match name.as_str() {
            _ if value.is_null() => {}
            "file" => sources.extend(mounts::host_path(&value, &value.text()?).map(FileSource::File)),
            "content" if kind == Kind::Config => sources.push(FileSource::Content(value.text()?)),
            "environment" => {
                elsewhere = true;
                value.refuse_known("nothing sets variables on a box: give its content, or a file");
            }
            "external" if value.node.as_bool() == Some(false) => {}
            "external" => {
                elsewhere = true;
                value.refuse_known("nothing outside keeps it on a box: give its content, or a file");
            }
            "driver" | "template_driver" | "driver_opts" => {
                value.refuse_known(format!("{name} is for swarms"));
            }
            "name" | "labels" => {}
            _ => keys::unknown(&name, &value),
        }
    }
    match (sources.pop(), sources.is_empty()) {
        (Some(from), true) => Some(FileObject { key: key.to_owned(), from }),
        (Some(_), false) => {
            place.refuse("file and content exclude each other");
            None
        }
        (None, _) if elsewhere => None,
        (None, _) => {
            place.refuse("its file or content is missing");
            None
        }
    }
}

/// The entries of a service, the last one for a target.
pub(super) fn given(kind: Kind, place: &Place<'_>) -> Vec<GivenFile> {
    let mut files: Vec<GivenFile> = Vec::new();
    let mut places: HashMap<String, usize> = HashMap::new();
    for item in place.items() {
        let Some(file) = one(kind, &item) else { continue };
        match places.get(&file.target) {
            Some(place) => files[*place] = file,
            None => {
                places.insert(file.target.clone(), files.len());
                files.push(file);
            }
        }
    }
    files
}

/// Owners of what is put into the container have to be numbers: who is called how there nobody asks it. Those of files say nothing.
pub(super) fn owners(kind: Kind, service: &Place<'_>, is_put: impl Fn(&str) -> bool) {
    let given = service.entries().into_iter().filter(|(name, place)| name == kind.key() && place.is_sequence());
    for item in given.flat_map(|(_, place)| place.items()).filter(Place::is_mapping) {
        let entries = item.entries();
        let source = entries.iter().find(|(name, _)| name == "source").and_then(|(_, place)| place.node.as_text());
        if !source.is_some_and(&is_put) {
            continue;
        }
        for (name, place) in entries.iter().filter(|(name, _)| matches!(name.as_str(), "uid" | "gid")) {
            let is_number = |text: &str| text.is_empty() || text.parse::<u32>().is_ok();
            if !place.is_null() && !place.text().is_some_and(|text| is_number(&text)) {
                place.refuse(format!("{name} must be a number where the content stands in the settings"));
            }
        }
    }
}

fn one(kind: Kind, place: &Place<'_>) -> Option<GivenFile> {
    if !place.is_mapping() {
        let source = place.text()?;
        let target = format!("{}/{source}", kind.folder());
        return Some(GivenFile { source, target, uid: None, gid: None, mode: None });
    }
    let (mut source, mut target, mut uid, mut gid, mut mode) = (None, None, None, None, None);
    for (name, value) in place.entries() {
        match name.as_str() {
            _ if value.is_null() => {}
            "source" => source = Some(value.text()?),
            "target" => target = Some(value.text()?),
            "uid" => uid = Some(value.text()?),
            "gid" => gid = Some(value.text()?),
            "mode" => mode = Some(value.mode_bits()?),
            _ => keys::unknown(&name, &value),
        }
    }
    let Some(source) = source else {
        place.refuse("source is missing");
        return None;
    };
    let target = match target.filter(|target| !target.is_empty()) {
        Some(target) if target.starts_with('/') => words::normal(&target),
        Some(target) => words::normal(&format!("{}/{target}", kind.folder())),
        None => format!("{}/{source}", kind.folder()),
    };
    Some(GivenFile { source, target, uid, gid, mode })
}
