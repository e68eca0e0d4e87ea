//! Places the entries that the plan has admitted.

use std::collections::{BTreeMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use offspot_config::settings::FileEntry;

use super::batch::{Batch, tell_failed};
use super::source::Givers;
use super::stage::{Staged, Stager};
use super::standing::{Ground, normal};
use super::trouble::{self, Trouble};
use super::{Placed, Placement, is_archive, key, part_name, source};
use crate::fetch::Fetcher;
use crate::host::Host;
use crate::receipts::Receipts;
use crate::report::{Kind, Reporter, State};

/// Bytes from which on a batch gets its names: a cut costs no more than about this, and small entries share their flushes.
const BATCH: u64 = 64 << 20;
/// Tries of one entry that has to be fetched.
const TRIES: u32 = 3;
/// Wait before the second try; before each further one thrice as long.
const PAUSE: Duration = Duration::from_secs(2);

/// Places the admitted entries below `data` (the mounted data partition), a file inside an archive's target after that archive. Blocks.
///
/// A failure costs its own entry: it is reported by name, nothing of it stays, and the rest goes on. `replace`: each `to` that is to be placed
/// again even over something that is not ours.
pub fn place(
    host: &Host,
    data: &Path,
    items: Vec<Placement>,
    receipts: &Receipts,
    report: &Reporter,
    replace: &[String],
) -> Placed {
    for path in replace.iter().filter(|path| !items.iter().any(|item| item.entry.to == normal(path))) {
        report.note(format!("--replace {path}: no entry of files has this target"));
    }
    let replace: Vec<String> = replace.iter().map(|path| normal(path)).collect();
    let ours = super::ours::Ours::new(data);
    if items.is_empty() && !ours.staging.exists() && !ours.fetch.exists() {
        return Placed { failed: Vec::new() };
    }
    let ground = Ground::new(host, data, receipts, &replace);
    match ground.and_then(|ground| prepare(&ground, &items).map(|()| ground)) {
        Ok(ground) => all(&ground, report, &in_order(items)),
        Err(error) => {
            items.iter().for_each(|item| tell_failed(report, &item.entry.to, &error));
            Placed { failed: items.into_iter().map(|item| item.entry.to).collect() }
        }
    }
}

/// Records what an interrupted run had named, then throws away what it had not.
fn prepare(ground: &Ground<'_>, items: &[Placement]) -> io::Result<()> {
    let named = |(to, intent): (&String, &super::ours::Intent)| {
        let stat = ground.data.stat(super::below_data(to)).ok()??;
        let news = super::standing::was_named(intent, &stat) && !ground.receipts.holds(&intent.record);
        news.then(|| intent.record.clone())
    };
    let records: Vec<_> = ground.intents.iter().filter_map(named).collect();
    if !records.is_empty() {
        nix::unistd::syncfs(ground.data.root())?;
        ground.receipts.append_all(&records)?;
    }
    let interrupted = ground.ours.interrupted();
    ground.ours.clear()?;
    let keys: Vec<String> = items.iter().map(|item| key(&item.entry)).collect();
    let named = || items.iter().zip(&keys);
    let name = |item: &Placement, key: &String| part_name(&item.entry, key);
    ground.ours.clear_parts(&named().map(|(item, key)| name(item, key)).collect())?;
    let fetched = |item: &Placement| {
        is_archive(item.entry.via) && source::on_card(ground.host, &item.entry).is_none() && item.entry.source.is_url()
    };
    for (item, key) in named().filter(|(item, key)| interrupted.contains(key) && fetched(item)) {
        ground.ours.store_first(&name(item, key))?;
    }
    ground.ours.make()
}

fn all(ground: &Ground<'_>, report: &Reporter, entries: &[FileEntry]) -> Placed {
    let fetcher = Fetcher::new().on(ground.host);
    let batch = Batch::new(ground, report);
    let stager = Stager { ground, fetcher: &fetcher, report, batch: &batch, givers: Givers::default() };
    // Where each entry of this run really goes.
    let mut taken = BTreeMap::new();
    for entry in entries {
        report.item(Kind::File, &entry.to, State::Working, "");
        match one(&stager, &mut taken, entry) {
            Ok(staged) => batch.add(staged),
            Err(error) => batch.fail(&entry.to, &error),
        }
        if is_archive(entry.via) || batch.bytes() >= BATCH {
            batch.commit();
        }
        if is_archive(entry.via) && !batch.has_failed(&entry.to) {
            let forgotten = ground.ours.forget(&part_name(entry, &key(entry)));
            forgotten.unwrap_or_else(|error| tracing::warn!("what was fetched of {}: {error}", entry.to));
        }
    }
    batch.commit();
    fetcher.clock_note().into_iter().for_each(|note| report.note(note));
    let _ = std::fs::remove_dir_all(&ground.ours.staging);
    let _ = std::fs::remove_dir(&ground.ours.fetch);
    Placed { failed: batch.failed() }
}

fn one(stager: &Stager<'_>, taken: &mut BTreeMap<PathBuf, String>, entry: &FileEntry) -> io::Result<Staged> {
    let real = stager.ground.real(entry)?;
    if let Some(other) = taken.insert(real, entry.to.clone()) {
        return Err(Trouble::Outside(format!("{other} goes to the same place")).into());
    }
    let key = key(entry);
    let standing = stager.ground.standing(entry, &key)?;
    let mut pause = PAUSE;
    for _ in 1..TRIES {
        match stager.stage(entry, &key, standing.clone()) {
            Err(error) if trouble::again(&error) => {
                stager.report.item(Kind::File, &entry.to, State::Working, "trying again");
                sleep(pause);
                pause *= 3;
            }
            other => return other,
        }
    }
    stager.stage(entry, &key, standing)
}

/// As listed, but each entry behind the archives whose target it lies in.
fn in_order(items: Vec<Placement>) -> Vec<FileEntry> {
    let mut entries: Vec<FileEntry> = items.into_iter().map(|item| item.entry).collect();
    let archives: HashSet<PathBuf> =
        entries.iter().filter(|entry| is_archive(entry.via)).map(|entry| PathBuf::from(&entry.to)).collect();
    // Whatever holds an entry lies in one archive fewer than the entry does.
    let depth =
        |entry: &FileEntry| Path::new(&entry.to).ancestors().skip(1).filter(|at| archives.contains(*at)).count();
    entries.sort_by_cached_key(depth);
    entries
}

#[cfg(test)]
mod tests {
    use super::*;
    use offspot_config::settings::{Source, Via};

    fn item(to: String, via: Via) -> Placement {
        Placement {
            entry: FileEntry {
                to,
                source: Source::Content("x".into()),
                mirrors: Vec::new(),
                via,
                size: None,
                checksum: None,
            },
        }
    }

    #[test]
    fn entries_stand_behind_the_archives_that_hold_them() {
        let items =
            [("/data/s/t/x", Via::Direct), ("/data/st", Via::Direct), ("/data/s/t", Via::Zip), ("/data/s", Via::Tar)];
        let ordered = in_order(items.map(|(to, via)| item(to.into(), via)).into());
        let ordered: Vec<_> = ordered.iter().map(|entry| entry.to.as_str()).collect();
        assert_eq!(ordered, ["/data/st", "/data/s", "/data/s/t", "/data/s/t/x"]);
    }

    #[test]
    fn many_entries_are_ordered_in_no_time() {
        let begun = std::time::Instant::now();
        let inside = (0..24_000).map(|number| item(format!("/data/a/{number}"), Via::Direct));
        let ordered = in_order(inside.chain([item("/data/a".into(), Via::Tar)]).collect());
        assert!(ordered.first().is_some_and(|entry| entry.to == "/data/a") && ordered.len() == 24_001);
        assert!(begun.elapsed() < Duration::from_secs(5));
    }
}
