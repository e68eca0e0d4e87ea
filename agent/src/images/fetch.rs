//! The network's part: a tarball that `oci_images` names by http(s), and a checksum that stands somewhere else.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::PathBuf;

use offspot_config::settings::{Algorithm, Checksum, ChecksumValue, OciImage};

use super::durable;
use super::survey::Tarball;
use crate::fetch::metalink::{self, is_metalink};
use crate::fetch::{Expected, Failure, Fetcher, Mark, Unanswered, Wanted, bring, is_remote, shown};
use crate::host::Host;
use crate::problem::{ImageProblem, Problem, SpaceProblem};
use crate::report::Reporter;
use crate::stream::limit::Limit;

/// Left free for receipts and services.
const RESERVE: u64 = 16 << 20;
/// Longest text whose first word is a digest.
const DIGEST_TEXT: u64 = 2 << 10;

/// Where a path or `file://` URL is for us.
pub fn on_card(url: &str, host: &Host) -> PathBuf {
    host.path(url.strip_prefix("file://").unwrap_or(url))
}

/// Fetches the tarball of an absent item to its place in `/data/images`: verified, synced, renamed. What came before a failure is kept for
/// the next boot.
pub fn fetch(fetcher: &Fetcher, item: &Tarball, report: &Reporter) -> Result<(), Problem> {
    let Some(entry) = item.wanted.first().filter(|entry| entry.url.is_some()) else {
        return Err(failed(item, "it has no address"));
    };
    let unwritten = |error: io::Error| match error.kind() {
        io::ErrorKind::StorageFull => SpaceProblem::Full { item: item.path.clone() }.into(),
        _ => failed(item, &error.to_string()),
    };
    let (wanted, expected) = wanted(fetcher, item, entry)?;
    let part = part(item);
    for folder in [part.parent(), item.file.parent()].into_iter().flatten() {
        fs::create_dir_all(folder).map_err(unwritten)?;
    }
    let room = durable::available(part.parent().unwrap_or(&part)).saturating_sub(RESERVE);
    let brought =
        bring(fetcher, &wanted, &part, &expected, room, &mut |event| report.fetching(event)).map_err(|failure| {
            match failure {
                Failure::Source(no) => failed(item, &no.why),
                Failure::NoRoom { need, have } => SpaceProblem::Bytes { item: item.path.clone(), need, have }.into(),
                Failure::Here(error) => unwritten(error),
                Failure::Wrong { expected, found, .. } => {
                    ImageProblem::Checksum { item: item.path.clone(), expected, found }.into()
                }
            }
        })?;
    let settled = brought.part.settle(&item.file).and_then(|file| file.sync_all());
    settled.and_then(|()| durable::sync_folder_of(&item.file)).map_err(unwritten)
}

/// What is kept of a tarball while it is fetched is named after it.
fn part(item: &Tarball) -> PathBuf {
    let name = item.file.file_name().unwrap_or_default();
    item.host.state().join("fetch").join("images").join(name)
}

fn wanted(fetcher: &Fetcher, item: &Tarball, entry: &OciImage) -> Result<(Wanted, Expected), Problem> {
    let mut wanted = Wanted { size: entry.filesize, most: u64::MAX, ..Wanted::default() };
    let mut digest = expected(fetcher, item, entry)?;
    let mut said = None;
    for url in entry.url.iter().chain(&entry.mirrors).filter(|url| is_remote(url)) {
        if !is_metalink(url) {
            wanted.urls.push(url.clone());
            continue;
        }
        match metalink::fetch(fetcher, url) {
            Ok(link) => {
                wanted.urls.extend(link.urls);
                wanted.size = wanted.size.or(link.size);
                digest = digest.or(link.digest);
            }
            Err(Unanswered { why, .. }) => said = Some(why),
        }
    }
    if wanted.urls.is_empty() {
        return Err(failed(item, &said.unwrap_or_else(|| "it has no address".into())));
    }
    let expected = match digest {
        Some((algorithm, digest)) => Expected::Digest(algorithm, digest),
        None => Expected::Itself(item.path.clone()),
    };
    Ok((wanted, expected))
}

fn expected(fetcher: &Fetcher, item: &Tarball, entry: &OciImage) -> Result<Option<(Algorithm, String)>, Problem> {
    let Some(Checksum { algo, value }) = &entry.checksum else { return Ok(None) };
    let digest = match value {
        ChecksumValue::Digest(digest) => Ok(digest.to_ascii_lowercase()),
        ChecksumValue::Url(url) => digest_at(fetcher, url, &item.host),
    };
    digest.map(|digest| Some((*algo, digest))).map_err(|why| failed(item, &why))
}

fn failed(item: &Tarball, why: &str) -> Problem {
    ImageProblem::Fetch { item: item.path.clone(), why: why.to_owned() }.into()
}

/// The digest that stands at `url`: the first word of a short text.
pub fn digest_at(fetcher: &Fetcher, url: &str, host: &Host) -> Result<String, String> {
    let body: Box<dyn Read> = if is_remote(url) {
        let wanted = Wanted { urls: vec![url.to_owned()], most: DIGEST_TEXT, is_page: true, ..Wanted::default() };
        Box::new(fetcher.resume(wanted, Mark::default()).map_err(|unanswered| unanswered.why)?)
    } else {
        let path = on_card(url, host);
        // A pipe or device would never end.
        if !path.is_file() {
            return Err(format!("{url}: there is no such file"));
        }
        Box::new(File::open(path).map_err(|error| format!("{url}: {error}"))?)
    };
    let mut text = String::new();
    Limit::new(body, DIGEST_TEXT).read_to_string(&mut text).map_err(|error| format!("{}: {error}", shown(url)))?;
    let word = text.split_ascii_whitespace().next().unwrap_or_default().to_ascii_lowercase();
    if word.is_empty() { Err(format!("{}: nothing stands there", shown(url))) } else { Ok(word) }
}
