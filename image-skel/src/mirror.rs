//! What the archives offer today, fetched from their mirrors and believed only as far as it is signed.

use std::io::Read;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, SystemTime};

use offspot_agent::fetch::Fetcher;
use offspot_agent::stream::decode::decode;
use offspot_agent::stream::limit::Limit;
use sha2::{Digest, Sha256};

use crate::index::{Pool, Suite};
use crate::release::{Listed, Release, Wanted};
use crate::skel::Archive;
use crate::tool::{Doing, Failure, Outcome};
use crate::trust::{Keyring, seconds};

/// Largest release file, in bytes; Debian's are 150 kB.
const MOST_RELEASE: u64 = 16 << 20;
/// Largest signature, in bytes.
const MOST_SIGNATURE: u64 = 1 << 20;
/// Largest index, unpacked, in bytes; Debian's are 60 MB.
const MOST_INDEX: u64 = 512 << 20;
/// How an index may be packed, the smallest first.
const PACKINGS: [&str; 3] = [".xz", ".gz", ""];
/// Tries of one file, where the server may do better the next time.
const TRIES: u32 = 3;
const PAUSE: Duration = Duration::from_secs(1);

/// Fetches metadata and checks it.
#[derive(Debug)]
pub struct Mirrors<'a> {
    /// Whom to believe.
    pub keyring: &'a Keyring,
    /// For what expires.
    pub now: SystemTime,
    /// Over HTTP.
    pub fetcher: Fetcher,
}

/// Why something could not be had.
enum Missing {
    /// The mirror does not have it.
    Absent(Failure),
    /// The mirror has something else, as while it is being updated.
    Other(Failure),
}

impl From<Missing> for Failure {
    fn from(missing: Missing) -> Failure {
        match missing {
            Missing::Absent(failure) | Missing::Other(failure) => failure,
        }
    }
}

impl Mirrors<'_> {
    /// Adds what one suite offers to `pool`, from the first mirror that serves it well, and gives its date in seconds since 1970.
    /// Mirrors of a date (`{timestamp}`) do not know what is newest, and are not asked.
    pub fn suite(&self, archive: &Archive, wanted: &Wanted<'_>, pool: &mut Pool) -> Outcome<i64> {
        let mut why = Vec::new();
        for mirror in archive.mirrors.iter().filter(|mirror| !mirror.contains("{timestamp}")) {
            // Twice, because a mirror may be changing under our hands.
            for _ in 0..2 {
                match self.one_mirror(mirror.trim_end_matches('/'), wanted) {
                    Ok((release, indices)) => {
                        let automatic = !release.not_automatic;
                        for text in indices {
                            let suite = Suite { name: wanted.suite.into(), automatic, security: archive.security };
                            pool.add(suite, text)?;
                        }
                        return Ok(release.date);
                    }
                    Err(Missing::Other(failure)) => why.push(failure.to_string()),
                    Err(Missing::Absent(failure)) => {
                        why.push(failure.to_string());
                        break;
                    }
                }
            }
        }
        why.dedup();
        let none = "no mirror is named that knows what is newest".to_owned();
        let why = if why.is_empty() { none } else { why.join("\n  ") };
        let (archive, suite) = (&archive.name, wanted.suite);
        Err(Failure::new(format!(
            "{archive} {suite}:\n  {why}\n  name another mirror in skel.toml, or try again later"
        )))
    }

    fn one_mirror(&self, mirror: &str, wanted: &Wanted<'_>) -> Result<(Release, Vec<String>), Missing> {
        let folder = format!("{mirror}/dists/{}", wanted.suite);
        let release = self.release(&folder).and_then(|text| {
            let release = Release::parse(&text).doing(&folder)?;
            release.accept(wanted, seconds(self.now)).doing(&folder)?;
            Ok(release)
        });
        let release = release.map_err(Missing::Absent)?;
        let mut indices = Vec::new();
        for component in wanted.components {
            let all = release.all_apart.then_some("all");
            for architecture in [wanted.architecture].into_iter().chain(all) {
                indices.push(self.index(&folder, &release, &format!("{component}/binary-{architecture}/Packages"))?);
            }
        }
        Ok((release, indices))
    }

    /// The signed text of a release file. Only what the signature covers is handed on.
    fn release(&self, folder: &str) -> Outcome<String> {
        let inline = format!("{folder}/InRelease");
        match self.get(&inline, MOST_RELEASE) {
            Ok(document) => Ok(self.keyring.cleartext(&document, self.now).doing(&inline)?.0),
            Err(Missing::Other(failure)) => Err(failure),
            Err(Missing::Absent(failure)) => {
                let name = format!("{folder}/Release");
                let apart = self.get(&name, MOST_RELEASE);
                let document = apart.map_err(|_| failure)?;
                let signature = match self.get(&format!("{name}.gpg"), MOST_SIGNATURE) {
                    Err(Missing::Absent(_)) => Vec::new(),
                    other => other?,
                };
                self.keyring.detached(&document, &signature, self.now).doing(&name)?;
                String::from_utf8(document).doing(&name)
            }
        }
    }

    fn index(&self, folder: &str, release: &Release, name: &str) -> Result<String, Missing> {
        let packed = PACKINGS.iter().find_map(|packing| {
            let name = format!("{name}{packing}");
            release.file(&name).map(|listed| (name, listed))
        });
        let Some((packed_name, listed)) = packed else {
            return Err(Missing::Absent(Failure::new(format!("{folder}: its release file does not list {name}"))));
        };
        let packed = self.listed(folder, release, &packed_name, listed)?;
        let text = unpack(&packed, release.file(name)).doing(format!("{folder}/{packed_name}"));
        text.map_err(Missing::Absent)
    }

    /// A file of the release file's table: by its digest if it can be had so, because that cannot change while we are at it.
    fn listed(&self, folder: &str, release: &Release, name: &str, listed: &Listed) -> Result<Vec<u8>, Missing> {
        let above = name.rsplit_once('/').map(|(above, _)| above).unwrap_or_default();
        let by_hash = release.by_hash.then(|| format!("{folder}/{above}/by-hash/SHA256/{}", listed.sha256));
        let mut last = None;
        for url in by_hash.into_iter().chain([format!("{folder}/{name}")]) {
            match self.get(&url, listed.size).and_then(|bytes| is_listed(bytes, listed, &url)) {
                Ok(bytes) => return Ok(bytes),
                Err(missing) => last = Some(missing),
            }
        }
        Err(last.unwrap_or_else(|| Missing::Absent(Failure::new(name))))
    }

    fn get(&self, url: &str, most: u64) -> Result<Vec<u8>, Missing> {
        if let Some(path) = url.strip_prefix("file://") {
            let file = std::fs::File::open(Path::new(path)).doing(url).map_err(Missing::Absent)?;
            return read(file, most).doing(url).map_err(Missing::Other);
        }
        let mut tries = 1;
        loop {
            let answer = self.fetcher.get(url).map_err(|error| (error.why.clone(), error.again));
            let read = answer.and_then(|answer| {
                let again = |error: &std::io::Error| error.kind() != std::io::ErrorKind::InvalidData;
                read(answer.body, most).map_err(|error| (format!("{url}: {error}"), again(&error)))
            });
            match read {
                Ok(bytes) => return Ok(bytes),
                Err((_, true)) if tries < TRIES => sleep(PAUSE * tries),
                Err((why, again)) => {
                    let failure = Failure::new(why);
                    return Err(if again { Missing::Other(failure) } else { Missing::Absent(failure) });
                }
            }
            tries += 1;
        }
    }
}

fn is_listed(bytes: Vec<u8>, listed: &Listed, place: &str) -> Result<Vec<u8>, Missing> {
    if bytes.len() as u64 == listed.size && sha256(&bytes) == listed.sha256 {
        return Ok(bytes);
    }
    Err(Missing::Other(Failure::new(format!("{place}: wrong-hash: not the file that the release file lists"))))
}

/// Unpacks to no more than the size that the release file has for it, and to exactly that file.
fn unpack(packed: &[u8], listed: Option<&Listed>) -> Outcome<String> {
    let (_, reader) = decode(packed).doing("unpacking")?;
    let bytes = read(reader, listed.map_or(MOST_INDEX, |listed| listed.size.min(MOST_INDEX))).doing("unpacking")?;
    let bytes = match listed {
        Some(listed) => is_listed(bytes, listed, "unpacked")?,
        None => bytes,
    };
    String::from_utf8(bytes).doing("unpacked")
}

fn read(source: impl Read, most: u64) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    Limit::new(source, most).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
