//! The network's part: a tarball that `oci_images` names by http(s), and a checksum that stands somewhere else.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use offspot_config::settings::OciImage;

use super::durable;
use super::survey::Tarball;
use crate::host::Host;
use crate::problem::{ImageProblem, Problem, SpaceProblem};
use crate::stream::fetch::{Answer, Fetcher, is_remote, shown};
use crate::stream::limit::Limit;

/// Tries of one tarball, and the pause between them.
const TRIES: u32 = 3;
const PAUSE: Duration = Duration::from_secs(2);
/// Left free for receipts and services when the length is not known.
const RESERVE: u64 = 16 << 20;
/// Longest text whose first word is a digest.
const DIGEST_TEXT: u64 = 2 << 10;

/// Where a path or `file://` URL is for us.
pub fn on_card(url: &str, host: &Host) -> PathBuf {
    host.path(url.strip_prefix("file://").unwrap_or(url))
}

/// Fetches the tarball of an absent item to its place in `/data/images`: beside it first, verified, synced, renamed.
pub fn fetch(item: &Tarball, report: &crate::report::Reporter) -> Result<(), Problem> {
    let fetcher = Fetcher::new();
    let entry = item.wanted.first();
    let Some((entry, url)) = entry.and_then(|entry| Some((entry, entry.url.as_deref()?))) else {
        return Err(failed(item, "it has no address"));
    };
    let mut part = item.file.clone().into_os_string();
    part.push(".part");
    let part = PathBuf::from(part);
    let fetched = fetch_to(&fetcher, (entry, url), item, &part, report).and_then(|()| settle(item, &part));
    if fetched.is_err() {
        let _ = fs::remove_file(&part);
    }
    fetched
}

fn fetch_to(
    fetcher: &Fetcher,
    (entry, url): (&OciImage, &str),
    item: &Tarball,
    part: &Path,
    report: &crate::report::Reporter,
) -> Result<(), Problem> {
    for left in (0..TRIES).rev() {
        let why = match fetcher.get(url) {
            Ok(answer) => match write(item, entry, answer, part, report)? {
                None => return Ok(()),
                Some(error) => format!("{}: {error}", shown(url)),
            },
            Err(unanswered) if !unanswered.again => return Err(failed(item, &unanswered.why)),
            Err(unanswered) => unanswered.why,
        };
        if left == 0 {
            return Err(failed(item, &why));
        }
        sleep(PAUSE);
    }
    Ok(())
}

/// Writes the answer beside the place; answers what went wrong with the network, fails on what another try would not mend.
fn write(
    item: &Tarball,
    entry: &OciImage,
    answer: Answer,
    part: &Path,
    report: &crate::report::Reporter,
) -> Result<Option<io::Error>, Problem> {
    let unwritten = |error: io::Error| match error.kind() {
        io::ErrorKind::StorageFull => SpaceProblem::Full { item: item.path.clone() }.into(),
        _ => failed(item, &error.to_string()),
    };
    let folder = part.parent().unwrap_or(Path::new("/"));
    fs::create_dir_all(folder).map_err(unwritten)?;
    let have = durable::available(folder).saturating_sub(RESERVE);
    let need = entry.filesize.or(answer.length).unwrap_or(0);
    if need > have {
        let item = item.path.clone();
        return Err(SpaceProblem::Bytes { item, need, have }.into());
    }
    let most = if need > 0 { need } else { have };
    let mut body = crate::stream::meter::Meter::new(Limit::new(answer.body, most), report);
    let mut file = File::create(part).map_err(unwritten)?;
    let written = match io::copy(&mut body, &mut file) {
        Ok(written) => written,
        Err(error) if error.kind() == io::ErrorKind::StorageFull => return Err(unwritten(error)),
        Err(error) => return Ok(Some(error)),
    };
    if need > 0 && written != need {
        return Err(failed(item, &format!("it has {written} bytes, expected {need}")));
    }
    file.sync_all().map_err(unwritten)?;
    Ok(None)
}

fn settle(item: &Tarball, part: &Path) -> Result<(), Problem> {
    let staged = Tarball { file: part.to_owned(), ..item.clone() };
    durable::verify(&staged)?;
    let renamed = fs::rename(part, &item.file).and_then(|()| durable::sync_folder_of(&item.file));
    renamed.map_err(|error| failed(item, &error.to_string()))
}

fn failed(item: &Tarball, why: &str) -> Problem {
    ImageProblem::Fetch { item: item.path.clone(), why: why.to_owned() }.into()
}

/// The digest that stands at `url`: the first word of a short text.
pub fn digest_at(url: &str, host: &Host) -> Result<String, String> {
    let body: Box<dyn Read> = if is_remote(url) {
        Fetcher::new().get(url).map_err(|unanswered| unanswered.why)?.body
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
