//! The store: every deb is fetched once, from whichever mirror has the right bytes, and nothing else is believed.

mod deb_maker;
mod store_mirror;

use std::fs;
use std::path::{Path, PathBuf};

use deb_maker::{Plan, Scratch, build, lock, skel};
use image_skel::lock::Lock;
use image_skel::store::{Debs, Options, Store};
use image_skel::tool::Outcome;
use image_skel::tree::Source;
use store_mirror::{Fault, Mirror};

/// Three packages on a mirror's disk, and the lock that names them.
struct Case {
    scratch: Scratch,
    lock: Lock,
    mirror: PathBuf,
}

fn case() -> Case {
    let scratch = Scratch::new();
    let text = (0..20_000).map(|number| format!("{}\n", number * 7919 % 10_007)).collect::<String>();
    let debs = ["a", "b", "c"].map(|name| {
        let files = [("usr/share/text", text.as_str())];
        let files = if name == "a" { files.as_slice() } else { &[] };
        build(&scratch, &Plan { name, version: "1.0", control: "", scripts: &[], files }, "xz")
    });
    let mirror = scratch.join("mirror");
    let lock = lock(&mirror, &debs);
    Case { scratch, lock, mirror }
}

const QUIET: Options = Options { offline: false, jobs: std::num::NonZero::<usize>::MIN, progress: false };

impl Case {
    fn bring(&self, mirrors: &[&str]) -> Outcome<Debs> {
        self.store().bring(&skel(mirrors, &[], &[]), &self.lock, &QUIET)
    }

    fn store(&self) -> Store {
        Store::open(&self.scratch.join("store")).unwrap()
    }

    fn offline(&self) -> Outcome<Debs> {
        self.store().bring(&skel(&[], &[], &[]), &self.lock, &Options { offline: true, ..QUIET })
    }

    /// The folder of a package in the store.
    fn place(&self, package: usize) -> PathBuf {
        self.scratch.join("store/deb").join(&self.lock.packages[package].sha256)
    }

    /// Where a package lies on the mirror's disk.
    fn on_mirror(&self, package: usize) -> PathBuf {
        self.mirror.join(&self.lock.packages[package].filename)
    }
}

/// The one large file that is in the packages.
fn large(case: &Case, debs: &Debs) -> PathBuf {
    let (_, deb) = debs.of(&case.lock).next().unwrap();
    match deb.source(deb.blob(Path::new("/usr/share/text")).unwrap()) {
        Source::Disk { path, .. } => path,
        Source::Bytes(_) => panic!("contents lie on the disk"),
    }
}

#[test]
fn once_there_the_network_is_not_asked_again() {
    let case = case();
    let mirror = Mirror::of(&case.mirror, Fault::None);
    let debs = case.bring(&[&mirror.url]).unwrap();
    assert_eq!(debs.of(&case.lock).count(), 3);
    assert_eq!(case.offline().unwrap(), debs);
    assert_eq!(case.bring(&[&mirror.url]).unwrap(), debs);
    assert_eq!(mirror.asked("get /pool/"), 3);
}

#[test]
fn what_is_not_whole_is_taken_apart_again_and_damage_is_told() {
    let case = case();
    let mirror = Mirror::of(&case.mirror, Fault::None);
    let debs = case.bring(&[&mirror.url]).unwrap();
    let text = fs::read(large(&case, &debs)).unwrap();
    fs::write(large(&case, &debs), "").unwrap();
    fs::create_dir_all(case.place(0).join("unpacked.part/left/over")).unwrap();
    assert_eq!(fs::read(large(&case, &case.offline().unwrap())).unwrap(), text);
    fs::write(large(&case, &debs), vec![b'?'; text.len()]).unwrap();
    assert_eq!(fs::read(large(&case, &case.offline().unwrap())).unwrap(), text, "other bytes of the same length");

    let deb = case.place(0).join("a.deb");
    let mut bytes = fs::read(&deb).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&deb, bytes).unwrap();
    assert_eq!(case.offline().unwrap(), debs, "what was taken apart is still whole");
    fs::remove_file(case.place(0).join("unpacked/index.json")).unwrap();
    let error = case.offline().unwrap_err().to_string();
    assert!(error.contains("run `image-skel fetch` where there is one: a"), "{error}");
    assert_eq!(case.bring(&[&mirror.url]).unwrap(), debs, "the damaged deb is fetched again");
}

#[test]
fn a_cut_answer_is_resumed() {
    let mut case = case();
    case.lock.packages.truncate(1);
    let mirror = Mirror::of(&case.mirror, Fault::CutOnce);
    case.bring(&[&mirror.url]).unwrap();
    let size = case.lock.packages[0].size;
    assert_eq!(mirror.asked(&format!("if-range: \"{size}\"")), 1);
    assert_eq!(*mirror.sent.lock().unwrap(), size);
    let left: Vec<_> = fs::read_dir(case.place(0)).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left.len(), 2, "{left:?}");
}

#[test]
fn a_beginning_from_elsewhere_is_not_believed() {
    let mut case = case();
    case.lock.packages.truncate(1);
    let (size, part) = (case.lock.packages[0].size as usize, case.place(0).join("a.deb.part"));
    let whole = fs::read(case.on_mirror(0)).unwrap();
    let wrong = vec![7; size / 2];
    // Half of it; half of something else; all of it, but the rename; more than it can be.
    for beginning in [&whole[..size / 2], &wrong, &whole, &[whole.as_slice(), b"x"].concat()] {
        let _ = fs::remove_dir_all(case.place(0));
        fs::create_dir_all(case.place(0)).unwrap();
        fs::write(&part, beginning).unwrap();
        let mirror = Mirror::of(&case.mirror, Fault::None);
        case.bring(&[&mirror.url]).unwrap();
        assert_eq!(mirror.asked("get /"), 1, "{} bytes there", beginning.len());
    }
}

#[test]
fn wrong_bytes_are_named_and_the_next_mirror_is_asked() {
    let mut case = case();
    case.lock.packages.truncate(1);
    let right = Mirror::of(&case.mirror, Fault::None);
    for (fault, why) in [
        (Fault::Wrong, "wrong bytes: SHA256 "),
        (Fault::Longer, "bytes, expected "),
        (Fault::Endless, "it is longer than "),
    ] {
        let wrong = Mirror::of(&case.mirror, fault);
        let error = case.bring(&[&wrong.url]).unwrap_err().to_string();
        assert!(error.contains(&wrong.url) && error.contains(why), "{error}");
        assert_eq!(wrong.asked("get /"), 1, "{error}");
        assert!(!case.place(0).join("a.deb").exists());
        case.bring(&[&wrong.url, &right.url]).unwrap();
        fs::remove_dir_all(case.place(0)).unwrap();
    }
}

#[test]
fn all_that_is_gone_is_named_with_what_each_mirror_said() {
    let case = case();
    for package in [0, 1] {
        fs::remove_file(case.on_mirror(package)).unwrap();
    }
    let mirror = Mirror::of(&case.mirror, Fault::None);
    let folder = format!("file://{}", case.mirror.display());
    let error = case.bring(&[&mirror.url, &folder, "ftp://x"]).unwrap_err().to_string();
    for said in [
        "2 packages of the lock are to be had from no mirror:\n  a 1.0 (trixie)\n",
        "\n  b 1.0 (trixie)\n",
        &format!("    {}/pool/a.deb: the server says 404 Not Found: there is no such file\n", mirror.url),
        &format!("    {folder}/pool/b.deb: No such file"),
        "    ftp://x/pool/a.deb: neither http, https nor file\n",
        "file://FOLDER",
        "`image-skel lock --update a b`",
    ] {
        assert!(error.contains(said), "{said} is not in: {error}");
    }
    assert!(case.place(2).join("c.deb").exists(), "what there is, is kept");
    let error = case.offline().unwrap_err().to_string();
    assert!(error.starts_with("2 packages of the lock are not in the store") && error.ends_with(": a b"), "{error}");
}

#[test]
fn a_busy_mirror_is_tried_thrice_and_then_given_up() {
    let case = case();
    let mirror = Mirror::of(&case.mirror, Fault::Busy);
    let error = case.bring(&[&mirror.url]).unwrap_err().to_string();
    assert!(error.contains("503") && error.contains("did not answer before"), "{error}");
    assert_eq!(mirror.asked("get /"), 3);
}

#[test]
fn the_moment_of_the_lock_is_asked_of_a_snapshot() {
    let case = case();
    let moment = case.mirror.join("archive/20261112T075541Z");
    fs::create_dir_all(&moment).unwrap();
    fs::rename(case.mirror.join("pool"), moment.join("pool")).unwrap();
    let mirror = Mirror::of(&case.mirror, Fault::None);
    case.bring(&[&format!("{}/archive/{{timestamp}}/", mirror.url)]).unwrap();
    assert_eq!(mirror.asked("get /archive/20261112t075541z/pool/"), 3);
}

#[test]
fn an_export_is_a_mirror_for_ever() {
    let case = case();
    let folder = case.scratch.join("export with a blank");
    let error = case.store().export(&case.lock, &folder).unwrap_err().to_string();
    assert!(error.contains("run `image-skel fetch`"), "{error}");
    case.bring(&[&format!("file://{}", case.mirror.display())]).unwrap();
    for _ in 0..2 {
        case.store().export(&case.lock, &folder).unwrap();
        let size = case.lock.packages[0].size as usize;
        fs::write(folder.join(&case.lock.packages[0].filename), vec![0; size]).unwrap();
    }
    case.store().export(&case.lock, &folder).unwrap();
    fs::remove_dir_all(case.scratch.join("store")).unwrap();
    fs::remove_dir_all(&case.mirror).unwrap();
    case.bring(&[&format!("file://{}", folder.display())]).unwrap();
}

#[test]
fn two_runs_at_once_fetch_nothing_twice() {
    let case = case();
    let mirror = Mirror::of(&case.mirror, Fault::None);
    let options = Options { jobs: std::num::NonZero::new(3).unwrap(), ..QUIET };
    let skel = skel(&[&mirror.url], &[], &[]);
    let debs = std::thread::scope(|scope| {
        let runs = [0; 4].map(|_| scope.spawn(|| case.store().bring(&skel, &case.lock, &options).unwrap()));
        runs.map(|run| run.join().unwrap())
    });
    assert!(debs.iter().all(|one| one == &debs[0]));
    assert_eq!(mirror.asked("get /"), 3);
}

#[test]
fn a_lock_cannot_lead_out_of_the_store() {
    let case = case();
    for (sha256, filename) in
        [("../../x", "pool/a.deb"), ("", "pool/a.deb"), ("", "../a.deb"), ("", "/a.deb"), ("", "pool/a"), ("", "..")]
    {
        let mut lock = case.lock.clone();
        let locked = &mut lock.packages[0];
        if !sha256.is_empty() || filename == "pool/a.deb" {
            locked.sha256 = sha256.into();
        }
        locked.filename = filename.into();
        let error = case.store().bring(&skel(&[], &[], &[]), &lock, &QUIET).unwrap_err().to_string();
        assert!(error.starts_with("a: the lock gives it no proper SHA256 and Filename"), "{error}");
    }
    let mut lock = case.lock.clone();
    lock.packages[1].suite = "sid".into();
    let error = case.store().bring(&skel(&[], &[], &[]), &lock, &QUIET).unwrap_err().to_string();
    assert!(error.contains("b is of the suite sid, which no archive of skel.toml has"), "{error}");
}
