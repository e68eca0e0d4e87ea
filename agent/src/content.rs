//! Content: the entries of `files`, placed below `/data`.
//!
//! An entry is staged in a folder of ours on the same filesystem, verified and synced there, and only then given its final name; the receipt
//! comes last. A receipt for the same entry means done, whatever has become of the file since.

use offspot_config::settings::{Checksum, ChecksumValue, FileEntry, Source, Via};

use crate::problem::Problem;

mod batch;
mod merge;
mod ours;
mod place;
mod quarantine;
mod source;
mod stage;
mod standing;
mod survey;
mod trouble;
mod unpack;
mod witness;

pub use place::place;
pub use source::said_digest as digest_at;
pub use survey::survey;

/// An entry and how it stands.
#[derive(Debug, Clone)]
pub struct Found {
    /// The entry.
    pub entry: FileEntry,
    /// How it stands.
    pub state: State,
}

/// How an entry stands before anything is done.
#[derive(Debug, Clone)]
pub enum State {
    /// Placed by this or an earlier boot.
    Done {
        /// What has become of it since, as in `changed since it was placed`; none where nothing has.
        changed_since: Option<String>,
    },
    /// To be placed.
    ToPlace {
        /// Bytes the data partition will hold more; 0 where only fetching it can tell.
        bytes: u64,
        /// Most bytes needed at once on the way, in whole blocks.
        peak: u64,
        /// Files and folders; an archive that is packed does not tell before it is unpacked.
        inodes: u64,
        /// Bytes of memory that unpacking it takes, beside what placing any file takes.
        memory: u64,
    },
    /// Not to be placed at all.
    Refused(Problem),
}

/// An entry that the plan has admitted.
#[derive(Debug, Clone)]
pub struct Placement {
    /// The entry.
    pub entry: FileEntry,
}

impl From<Found> for Placement {
    fn from(found: Found) -> Placement {
        Placement { entry: found.entry }
    }
}

/// Content has had its turn; the step after it needs this.
#[derive(Debug, Clone)]
pub struct Placed {
    /// The `to` of each entry that is not in its place.
    pub failed: Vec<String>,
}

/// What identifies an entry, as 16 hex digits: two entries with the same say the same.
///
/// Not a cryptographic digest: nobody gains by two entries of their own that look alike, and every boot takes it of every entry.
pub fn key(entry: &FileEntry) -> String {
    let mut mix = Mix(0xcbf2_9ce4_8422_2325);
    mix.text(&entry.to);
    match &entry.source {
        Source::Content(content) => mix.text("content").text(content.trim()),
        Source::Url(url) => mix.text("url").text(url),
    };
    mix.word(entry.via as u64 + 1).word(entry.size.map_or(0, |size| size.saturating_add(1)));
    if let Some(Checksum { algo, value }) = &entry.checksum {
        match value {
            ChecksumValue::Digest(digest) => mix.word(*algo as u64 + 1).text(&digest.to_ascii_lowercase()),
            ChecksumValue::Url(url) => mix.word(*algo as u64 + 101).text(url),
        };
    }
    format!("{:016x}", mix.0 ^ (mix.0 >> 32))
}

/// Eight bytes a step; each step is reversible, so that one changed word always shows.
struct Mix(u64);

impl Mix {
    fn word(&mut self, word: u64) -> &mut Self {
        self.0 = (self.0.rotate_left(23) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self
    }

    fn text(&mut self, text: &str) -> &mut Self {
        self.word(text.len() as u64);
        for chunk in text.as_bytes().chunks(8) {
            let mut word = [0; 8];
            word.iter_mut().zip(chunk).for_each(|(to, from)| *to = *from);
            self.word(u64::from_le_bytes(word));
        }
        self
    }
}

/// The name of what is kept of an entry while it is fetched: it speaks of the bytes, so that another entry of the same ones goes on with it,
/// and one of others never does.
fn part_name(entry: &FileEntry, key: &str) -> String {
    match &entry.checksum {
        Some(Checksum { algo, value: ChecksumValue::Digest(digest) }) => {
            format!("{algo:?}-{digest}").to_ascii_lowercase()
        }
        _ => key.to_owned(),
    }
}

fn is_archive(via: Via) -> bool {
    !matches!(via, Via::Direct | Via::Base64)
}

/// The part of an entry's `to` below `/data`.
fn below_data(to: &str) -> &std::path::Path {
    let rest = to.strip_prefix("/data").unwrap_or(to);
    std::path::Path::new(rest.trim_start_matches('/'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use offspot_config::settings::Algorithm;

    #[test]
    fn keys_tell_entries_apart() {
        let base = FileEntry {
            to: "/data/a".into(),
            source: Source::Content("hello".into()),
            mirrors: Vec::new(),
            via: Via::Direct,
            size: None,
            checksum: None,
        };
        let digest = |value: &str| Some(Checksum { algo: Algorithm::Md5, value: ChecksumValue::Digest(value.into()) });
        let others = [
            FileEntry { to: "/data/b".into(), ..base.clone() },
            FileEntry { source: Source::Content("hellp".into()), ..base.clone() },
            FileEntry { source: Source::Url("hello".into()), ..base.clone() },
            FileEntry { via: Via::Base64, ..base.clone() },
            FileEntry { size: Some(0), ..base.clone() },
            FileEntry { checksum: digest("00"), ..base.clone() },
            FileEntry { checksum: digest("01"), ..base.clone() },
        ];
        let mut keys: Vec<_> = others.iter().chain([&base]).map(key).collect();
        keys.sort();
        keys.dedup();
        assert_eq!(keys.len(), others.len() + 1);
        assert_eq!(key(&base), key(&FileEntry { source: Source::Content(" hello\n".into()), ..base.clone() }));
    }
}
