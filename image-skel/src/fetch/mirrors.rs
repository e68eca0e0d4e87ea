//! Where the debs of a suite may be had.

use crate::lock::{Lock, Locked, timestamp};
use crate::skel::Skel;
use crate::tool::{Failure, Outcome};

/// The URLs of one deb, in the order of its archive's mirrors.
pub fn urls(skel: &Skel, lock: &Lock, locked: &Locked) -> Outcome<Vec<String>> {
    let archive = skel.archives.iter().find(|archive| archive.suites.contains(&locked.suite));
    let archive = archive.ok_or_else(|| {
        Failure::new(format!(
            "{} is of the suite {}, which no archive of skel.toml has: add it there, or run `image-skel lock`",
            locked.package, locked.suite
        ))
    })?;
    let date = lock.date_of(locked);
    let url = |mirror: &String| {
        let mirror = match date {
            Some(date) => mirror.replace("{timestamp}", &timestamp(date)),
            None => mirror.clone(),
        };
        format!("{}/{}", mirror.trim_end_matches('/'), locked.filename)
    };
    // Without a date there is no such moment to ask for.
    let known = archive.mirrors.iter().filter(|mirror| date.is_some() || !mirror.contains("{timestamp}"));
    Ok(known.map(url).collect())
}
