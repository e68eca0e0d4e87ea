//! The network's part: a tarball that `oci_images` names by http(s), and a checksum that stands somewhere else.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::PathBuf;

use offspot_config::settings::{Algorithm, Checksum, ChecksumValue, OciImage};

use super::durable;
use super::name::ImageName;
use super::survey::Tarball;
use crate::content::digest_at;
use crate::fetch::part::sweep as sweep_parts;
use crate::fetch::{Expected, Failure, Fetcher, Wanted, bring, is_remote, metalink};
use crate::host::Host;
use crate::problem::{ImageProblem, Problem, SpaceProblem};
use crate::report::{Kind, Reporter};

/// Left free for receipts and services.
const RESERVE: u64 = 16 << 20;

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
    let title = item.names().first().map_or_else(|| item.path.clone(), ImageName::familiar);
    report.fetches(Kind::Image, &title);
    let room = || Ok(durable::available(part.parent().unwrap_or(&part)).saturating_sub(RESERVE));
    let brought =
        bring(fetcher, &wanted, &part, &expected, &room, &mut |event| report.fetching(event)).map_err(|failure| {
            match failure {
                Failure::Source(no) => failed(item, &no.why),
                Failure::NoRoom { need, have } => SpaceProblem::Bytes { item: item.path.clone(), need, have }.into(),
                Failure::Here(error) => unwritten(error),
                Failure::Wrong { expected, found, .. } => {
                    ImageProblem::Checksum { item: item.path.clone(), expected, found }.into()
                }
            }
        })?;
    // Under its own name it is believed.
    let settled = brought.part.sync().and_then(|()| brought.part.settle(&item.file));
    settled.and_then(|_| durable::sync_folder_of(&item.file)).map_err(unwritten)
}

/// What is kept of a tarball while it is fetched is named after it, and after its digest.
fn part(item: &Tarball) -> PathBuf {
    let mut name = item.file.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let checksum = item.wanted.first().and_then(|entry| entry.checksum.as_ref());
    if let Some(Checksum { value: ChecksumValue::Digest(digest), .. }) = checksum {
        name = format!("{name}-{}", digest.get(..16).unwrap_or(digest));
    }
    parts(&item.host).join(name)
}

fn parts(host: &Host) -> PathBuf {
    host.state().join("fetch").join("images")
}

/// Removes what was begun of tarballs that nobody wants any more.
pub fn sweep(host: &Host, items: &[Tarball]) -> io::Result<()> {
    // Most boots have none.
    if !parts(host).exists() {
        return Ok(());
    }
    let name = |item: &Tarball| part(item).file_name().map(|name| name.to_string_lossy().into_owned());
    let wanted: BTreeSet<String> = items.iter().filter(|item| item.is_remote()).filter_map(name).collect();
    sweep_parts(&parts(host), |name| wanted.contains(name))
}

fn wanted(fetcher: &Fetcher, item: &Tarball, entry: &OciImage) -> Result<(Wanted, Expected), Problem> {
    let mut wanted = Wanted { size: entry.filesize, most: u64::MAX, ..Wanted::default() };
    let digest = expected(fetcher, item, entry)?;
    let addresses = entry.url.iter().chain(&entry.mirrors).filter(|url| is_remote(url));
    let said = metalink::expand(fetcher, addresses, &mut wanted, digest.is_some());
    let said = said.map_err(|no| failed(item, &no.why))?;
    let expected = match digest.or(said) {
        Some((algorithm, digest)) => Expected::Digest(algorithm, digest),
        None => Expected::Itself(item.path.clone()),
    };
    Ok((wanted, expected))
}

fn expected(fetcher: &Fetcher, item: &Tarball, entry: &OciImage) -> Result<Option<(Algorithm, String)>, Problem> {
    let Some(Checksum { algo, value }) = &entry.checksum else { return Ok(None) };
    let digest = match value {
        ChecksumValue::Digest(digest) => Ok(digest.to_ascii_lowercase()),
        ChecksumValue::Url(url) => digest_at(&item.host, fetcher, url, *algo),
    };
    digest.map(|digest| Some((*algo, digest))).map_err(|why| failed(item, &why))
}

fn failed(item: &Tarball, why: &str) -> Problem {
    ImageProblem::Fetch { item: item.path.clone(), why: why.to_owned() }.into()
}
