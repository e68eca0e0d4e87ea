//! Places content below a root, as one step of a boot would: for loops that cut it short.
//!
//! `place-content ROOT LIST [--replace TO]…`; each line of LIST is `to|via|source|checksum|size`, where a source that begins with `=` is content. The
//! last line of its output is `peak BYTES`, the largest resident size.

use std::path::Path;
use std::process::ExitCode;

use offspot_agent::content::{Placement, State, place, survey};
use offspot_agent::host::Host;
use offspot_agent::receipts::Receipts;
use offspot_agent::report::Reporter;
use offspot_config::settings::{Algorithm, Checksum, ChecksumValue, FileEntry, Source, Via};
use offspot_tests::agent_run::high_water;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let (Some(root), Some(list)) = (arguments.next(), arguments.next()) else {
        eprintln!("place-content ROOT LIST [--replace TO]…");
        return ExitCode::from(2);
    };
    let replace: Vec<String> = arguments.filter(|argument| argument != "--replace").collect();
    let outcome = run(Path::new(&root), Path::new(&list), &replace);
    println!("peak {}", high_water(std::process::id()));
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(2)
        }
    }
}

fn run(root: &Path, list: &Path, replace: &[String]) -> std::io::Result<bool> {
    let host = Host::new(root);
    let entries: Vec<FileEntry> = std::fs::read_to_string(list)?.lines().filter_map(entry).collect();
    let (receipts, _) = Receipts::open(&host.state())?;
    let (report, watch) = Reporter::new();
    let mut refused = false;
    let mut items = Vec::new();
    for found in survey(&host, &entries, &receipts, replace) {
        match &found.state {
            State::Done { changed_since } => {
                println!("{} done {}", found.entry.to, changed_since.as_deref().unwrap_or(""));
            }
            State::ToPlace { bytes, peak, inodes, .. } => {
                println!("{} to place {bytes} {peak} {inodes}", found.entry.to);
                items.push(Placement::from(found));
            }
            State::Refused(problem) => {
                println!("{problem}");
                refused = true;
            }
        }
    }
    let placed = place(&host, &host.data(), items, &receipts, &report, replace);
    let status = watch.borrow();
    status.notes.iter().for_each(|note| println!("note: {note}"));
    status.problems.iter().for_each(|problem| println!("{problem}"));
    Ok(placed.failed.is_empty() && !refused)
}

fn entry(line: &str) -> Option<FileEntry> {
    let mut fields = line.split('|');
    let (to, via, source) = (fields.next()?, fields.next()?, fields.next()?);
    let via = match via {
        "base64" => Via::Base64,
        "tar" => Via::Tar,
        "gztar" => Via::Gztar,
        "bztar" => Via::Bztar,
        "xztar" => Via::Xztar,
        "zip" => Via::Zip,
        "zstdtar" => Via::Zstdtar,
        _ => Via::Direct,
    };
    let source = match source.strip_prefix('=') {
        Some(content) => Source::Content(content.into()),
        None => Source::Url(source.into()),
    };
    let digest = fields.next().filter(|digest| !digest.is_empty());
    let checksum =
        digest.map(|digest| Checksum { algo: Algorithm::Sha256, value: ChecksumValue::Digest(digest.into()) });
    let size = fields.next().and_then(|size| size.parse().ok());
    Some(FileEntry { to: to.into(), source, mirrors: Vec::new(), via, size, checksum })
}
