//! Lines 12 and 13 of what is fetched: what the agent itself does for each byte and each file. Two sizes of each are measured, and the
//! difference divided: what every run costs is in neither.

use std::cell::Cell;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::bed::{Bed, Session};
use super::fetched::Made;
use super::results::{Row, ratio};
use crate::figures::{self, cost};
use crate::image_build::sha256_of_file;
use crate::servers::nginx::Nginx;
use crate::tool::{Doing, Failure, Outcome, text};

const ROOM: u64 = 1 << 30;

/// Measures both lines on a fresh card, with what lies in `work` and is served.
pub fn measure(bed: &Bed, work: &Path, nginx: &Nginx, made: &Made) -> Outcome<Vec<Row>> {
    bed.make_card("contents", &[], ROOM, "timezone: UTC\n")?;
    let session = bed.power_on()?;
    session.agent(&[])?;
    Measuring { session, work: work.to_owned(), nginx, made, placed: Cell::new(0) }.rows()
}

struct Measuring<'a> {
    session: Session<'a>,
    work: PathBuf,
    nginx: &'a Nginx,
    made: &'a Made,
    /// How many entries the agent has placed.
    placed: Cell<u32>,
}

impl Measuring<'_> {
    fn rows(&self) -> Outcome<Vec<Row>> {
        let (callgrind, strace) = (figures::callgrind(&self.out())?, figures::strace(&self.out())?);
        let (instructions, calls) = (figures::instructions, figures::syscalls);
        let (bytes, unpacked, files) = (self.made.small(), self.made.small_unpacked(), self.made.small_files());

        let summed =
            self.each(bytes, |size| self.ours(&format!("{size}.bin"), "direct", true, &callgrind), instructions)?;
        let plain =
            self.each(bytes, |size| self.ours(&format!("{size}.bin"), "direct", false, &callgrind), instructions)?;
        let curl = self.each(bytes, |size| self.curl(size, &callgrind), instructions)?;
        let sha256sum = self.each(bytes, |size| self.sha256sum(size, &callgrind), instructions)?;
        let archive = |wrapper: &[String], size| self.ours(&format!("{size}.tar.zst"), "zstdtar", true, wrapper);
        let laid_out = self.each(unpacked, |size| archive(&callgrind, size), instructions)?;
        let each_file = self.each(files, |size| archive(&strace, size), calls)?;
        let piped = self.each(files, |size| self.piped(size, &strace), calls)?;

        let row = |number, what: &str, most, peer: f64, ours: f64| {
            let peer = if peer.is_nan() { "-".to_owned() } else { ratio(peer) };
            Row::new(number, what).at_most(most, ours).say(&peer, &ratio(ours))
        };
        let with_digest = "instructions a byte, fetched file with digest (peer: curl and sha256sum)";
        let without = "instructions a byte, fetched file without digest (peer: curl)";
        let pipe = "system calls a file, fetched .tar.zst (peer: curl, tee, sha256sum, zstd, tar)";
        Ok(vec![
            row(12, with_digest, 70.0, curl + sha256sum, summed),
            row(12, without, 15.0, curl, plain),
            row(12, "instructions a byte laid out, fetched .tar.zst with digest", 70.0, f64::NAN, laid_out),
            row(13, pipe, 6.0, piped, each_file),
        ])
    }

    fn out(&self) -> PathBuf {
        self.work.join("figures")
    }

    /// What the larger size costs more than the smaller, by the units that it has more.
    fn each(
        &self,
        units: [u64; 2],
        run: impl Fn(usize) -> Outcome<()>,
        count: fn(&Path) -> Outcome<u64>,
    ) -> Outcome<f64> {
        let one = |size| run(size).and_then(|()| count(&self.out()));
        let (small, large) = (one(0)?, one(1)?);
        Ok(large.saturating_sub(small) as f64 / (units[1] - units[0]) as f64)
    }

    /// The agent fetches to where nothing was so far.
    fn ours(&self, name: &str, via: &str, with_digest: bool, wrapper: &[String]) -> Outcome<()> {
        self.placed.set(self.placed.get() + 1);
        let to = format!("/data/contents/{}-{name}", self.placed.get());
        let mut entry = json!({"to": to, "url": self.nginx.url(&format!("/{name}")), "via": via});
        if with_digest {
            entry["checksum"] = json!({"algo": "sha-256", "value": sha256_of_file(&self.work.join(name))?});
        }
        self.session.settings(&json!({"timezone": "UTC", "files": [entry]}).to_string())?;
        let said = self.session.agent(wrapper)?.said;
        match self.session.root().join(&to[1..]).exists() {
            true => Ok(()),
            false => Err(Failure::new(format!("{name} was not placed:\n{said}"))),
        }
    }

    fn curl(&self, size: usize, wrapper: &[String]) -> Outcome<()> {
        let to = self.session.root().join("data/contents/curl");
        self.peer(wrapper, &["curl", "-sSf", "-o", text(&to)?, &self.nginx.url(&format!("/{size}.bin"))])
    }

    fn sha256sum(&self, size: usize, wrapper: &[String]) -> Outcome<()> {
        self.peer(wrapper, &["sha256sum", text(&self.work.join(format!("{size}.bin")))?])
    }

    fn piped(&self, size: usize, wrapper: &[String]) -> Outcome<()> {
        let to = self.session.root().join(format!("data/contents/piped-{size}"));
        fs::create_dir(&to).doing(to.display())?;
        let url = self.nginx.url(&format!("/{size}.tar.zst"));
        let script = format!("curl -sSf {url} | tee >(sha256sum >/dev/null) | zstd -dcq | tar -x -C {}", text(&to)?);
        self.peer(wrapper, &["bash", "-c", &script])
    }

    fn peer(&self, wrapper: &[String], program: &[&str]) -> Outcome<()> {
        let words: Vec<String> = program.iter().map(|word| (*word).to_owned()).collect();
        cost(&[wrapper, &words].concat()).map(drop)
    }
}
