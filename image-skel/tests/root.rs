//! The root tree and dpkg's database, judged by the real dpkg.

mod deb_maker;

use std::fs;
use std::path::{Path, PathBuf};

use deb_maker::{Plan, Scratch, architecture, build, lay, lock, skel};
use image_skel::lock::Lock;
use image_skel::root;
use image_skel::store::{Debs, Options, Store};
use image_skel::tool::{self, Outcome};
use image_skel::tree::{Kind, Owner, Tree};

const BASE: Plan<'_> = Plan {
    name: "base",
    version: "13",
    control: "Essential: yes\nPriority: Required\nReplaces: old(<<2)\n",
    scripts: &[
        ("conffiles", "/etc/base.conf\n"),
        ("triggers", "interest-noawait /usr/lib/x\ninterest ldconfig\nactivate y\n"),
    ],
    files: &[
        ("lib", "-> usr/lib"),
        ("usr/lib/", ""),
        ("etc/base.conf", "a = 1\n"),
        ("usr/bin/tool", "tool"),
        ("usr/bin/same", "=> usr/bin/tool"),
        ("usr/bin/also", "=> usr/bin/tool"),
        ("usr/bin/taken", "of base"),
        ("usr/share/doc/base/copyright", "(c)"),
        ("usr/share/doc/base/examples/a", "example"),
        ("usr/share/man/man1/tool.1", "manual"),
        ("var/empty/", ""),
    ],
};

const LIBRARY: Plan<'_> = Plan {
    name: "libx1",
    version: "1:1.0-1+b2",
    control: "Multi-Arch: same\nSource: x (1:1.0-1)\nHomepage: https://example.org\nDepends: base(>=1),\n old | other (<< 3~)\nSection: libs\n",
    scripts: &[
        ("md5sums", "0cc175b9c0f1b6a831c399e269772661  lib/x/libx.so.1\n"),
        ("postinst", "#!/bin/sh\n"),
        ("shlibs", "libx 1 libx1\n"),
        ("triggers", "interest ldconfig\n"),
    ],
    files: &[("lib/x/libx.so.1", "a"), ("lib/x/libx.so", "-> libx.so.1")],
};

const OLD: Plan<'_> = Plan {
    name: "old",
    version: "1",
    control: "",
    scripts: &[],
    files: &[
        ("usr/bin/taken", "of old"),
        ("usr/bin/taken2", "=> usr/bin/taken"),
        ("usr/share/doc/old/copyright", "(c)"),
    ],
};

struct Case {
    scratch: Scratch,
    lock: Lock,
    debs: Debs,
}

impl Case {
    fn of(plans: &[Plan<'_>]) -> Case {
        let scratch = Scratch::new();
        let built: Vec<PathBuf> = plans.iter().map(|plan| build(&scratch, plan, "xz")).collect();
        let mirror = scratch.join("mirror");
        let lock = lock(&mirror, &built);
        let skel = skel(&[&format!("file://{}", mirror.display())], &[], &[]);
        let options = Options { progress: false, ..Options::default() };
        let debs = Store::open(&scratch.join("store")).unwrap().bring(&skel, &lock, &options).unwrap();
        Case { scratch, lock, debs }
    }

    fn unpack(&self) -> Outcome<Tree> {
        root::unpack(&self.lock, &self.debs)
    }

    fn tree(&self) -> Tree {
        self.unpack().unwrap()
    }

    /// What `dpkg -V` prints; with what code it ends hangs on its version.
    fn verify(&self) -> String {
        let root = format!("--root={}", self.scratch.join("root").display());
        let output = tool::program("dpkg").args([root.as_str(), "-V"]).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    }

    fn dpkg(&self, arguments: &[&str]) -> Result<String, String> {
        let root = format!("--root={}", self.scratch.join("root").display());
        tool::run("dpkg", &[&[root.as_str()], arguments].concat()).map_err(|failure| failure.to_string())
    }

    /// Lays the tree out for dpkg.
    fn laid(&self, tree: &Tree) -> &Case {
        let _ = fs::remove_dir_all(self.scratch.join("root"));
        lay(tree, &self.scratch.join("root"));
        self
    }
}

fn text(tree: &Tree, path: &str) -> String {
    String::from_utf8(tree.read(path).unwrap()).unwrap()
}

#[test]
fn dpkg_finds_every_package_and_nothing_amiss() {
    let case = Case::of(&[LIBRARY, OLD, BASE]);
    let tree = case.tree();
    case.laid(&tree);
    let listed = case.dpkg(&["-l"]).unwrap();
    for (name, version) in [("base", "13"), (&format!("libx1:{}", architecture()), "1:1.0-1+b2"), ("old", "1")] {
        let line = listed.lines().find(|line| line.split_whitespace().nth(1) == Some(name));
        assert!(line.is_some_and(|line| line.starts_with("ii ") && line.contains(version)), "{name}: {listed}");
    }
    assert_eq!(case.dpkg(&["-V"]).unwrap(), "");
    assert_eq!(case.dpkg(&["--audit"]).unwrap(), "");
    assert!(case.dpkg(&["-S", "/usr/bin/taken"]).unwrap().starts_with("base: "));
    fs::write(case.scratch.join("root/usr/bin/tool"), "changed").unwrap();
    fs::write(case.scratch.join("root/etc/base.conf"), "changed").unwrap();
    let amiss: Vec<String> = case.verify().lines().map(|line| line.split_once('/').unwrap().1.to_owned()).collect();
    assert_eq!(amiss, ["etc/base.conf", "usr/bin/also", "usr/bin/same", "usr/bin/tool"]);
}

#[test]
fn dpkg_would_write_the_status_just_so() {
    let case = Case::of(&[LIBRARY, OLD, BASE]);
    let tree = case.tree();
    case.laid(&tree);
    tool::run_with_input(
        "dpkg",
        &["--force-not-root", &format!("--root={}", case.scratch.join("root").display()), "--set-selections"],
        b"old hold\n",
    )
    .unwrap();
    let rewritten = fs::read_to_string(case.scratch.join("root/var/lib/dpkg/status")).unwrap();
    assert!(rewritten.contains("Package: old\nStatus: hold ok installed\n"), "{rewritten}");
    assert_eq!(rewritten.replace("hold ok", "install ok"), text(&tree, "/var/lib/dpkg/status"));
}

#[test]
fn the_database_has_what_dpkg_keeps() {
    let case = Case::of(&[LIBRARY, OLD, BASE]);
    let tree = case.tree();
    let info = |name: &str| format!("/var/lib/dpkg/info/{name}");
    let library = info(&format!("libx1:{}", architecture()));
    assert_eq!(text(&tree, &format!("{library}.list")), "/.\n/lib\n/lib/x\n/lib/x/libx.so.1\n/lib/x/libx.so\n");
    assert_eq!(text(&tree, &format!("{library}.shlibs")), "libx 1 libx1\n");
    let script = tree.get(format!("{library}.postinst")).unwrap();
    assert_eq!((script.mode, &script.owner), (0o755, &Owner::Package("libx1".into())));
    assert!(tree.get(info("base.control")).is_none());
    let sums = text(&tree, &info("base.md5sums"));
    assert!(sums.contains("  usr/bin/same\n") && !sums.contains("base.conf"), "{sums}");
    assert_eq!(text(&tree, "/var/lib/dpkg/triggers/File"), "/usr/lib/x base/noawait\n");
    assert_eq!(text(&tree, "/var/lib/dpkg/triggers/ldconfig"), format!("libx1:{}\nbase\n", architecture()));
    for empty in ["available", "diversions", "statoverride"] {
        assert_eq!(text(&tree, &format!("/var/lib/dpkg/{empty}")), "");
    }
}

#[test]
fn links_at_the_top_are_there_before_anything_lands_behind_them() {
    let case = Case::of(&[LIBRARY, BASE]);
    let tree = case.tree();
    assert_eq!(tree.get("/lib").unwrap().kind, Kind::Symlink("usr/lib".into()));
    assert_eq!(text(&tree, "/usr/lib/x/libx.so.1"), "a");
    assert!(tree.iter().all(|(path, _)| !path.starts_with("/lib") || path == Path::new("/lib")));
}

#[test]
fn of_two_the_replacing_one_has_it_whichever_comes_first() {
    for plans in [[BASE, OLD], [OLD, BASE]] {
        let case = Case::of(&plans);
        let tree = case.tree();
        assert_eq!(text(&tree, "/usr/bin/taken"), "of base");
        assert_eq!(tree.get("/usr/bin/taken").unwrap().owner, Owner::Package("base".into()));
        assert_eq!(text(&tree, "/usr/bin/taken2"), "of old");
        let list = text(&tree, "/var/lib/dpkg/info/old.list");
        assert!(list.contains("/usr/bin/taken2\n") && !list.contains("/usr/bin/taken\n"), "{list}");
        assert_eq!(case.laid(&tree).dpkg(&["-V"]).unwrap(), "");
    }
}

#[test]
fn two_that_do_not_agree_are_both_named() {
    let other = |name, files| Plan { name, version: "2", control: "", scripts: &[], files };
    for (one, two) in [
        (OLD, other("other", &[("usr/bin/taken", "of other")])),
        (other("old", &[("usr/bin/taken", "1")]), other("other", &[("usr/bin/taken/x", "2")])),
        (other("old", &[("usr/bin/taken/x", "1")]), other("other", &[("usr/bin/taken", "-> x")])),
        // A newer one than base replaces.
        (Plan { version: "2", ..OLD }, BASE),
    ] {
        let error = Case::of(&[one, two]).unpack().unwrap_err().to_string();
        assert!(error.starts_with("/usr/bin/taken is in old ") && error.contains(" and in "), "{error}");
    }
    let through_link = other("other", &[("usr/lib/x/libx.so.1", "b")]);
    let error = Case::of(&[BASE, LIBRARY, through_link]).unpack().unwrap_err().to_string();
    assert!(error.starts_with("/usr/lib/x/libx.so.1 is in libx1 1:1.0-1+b2 and in other 2"), "{error}");
}

#[test]
fn a_deb_that_is_not_what_the_lock_says_is_refused() {
    let mut case = Case::of(&[BASE]);
    case.lock.packages[0].version = "14".into();
    let error = case.unpack().unwrap_err().to_string();
    assert!(
        error.contains("base: its deb says Version: 13, the lock 14: run `image-skel lock --update base`"),
        "{error}"
    );
}

#[test]
fn dpkg_misses_just_what_is_left_out() {
    let case = Case::of(&[BASE, LIBRARY, OLD]);
    let mut tree = case.tree();
    let leave = ["/usr/share/doc/**", "/usr/share/man/**", "/usr/bin/{also,tool}", "/etc/base.conf"];
    let missing = root::leave_out(&mut tree, &skel(&[], &leave, &["/usr/share/doc/*/copyright"])).unwrap();
    let mut said: Vec<PathBuf> = case
        .laid(&tree)
        .verify()
        .lines()
        .map(|line| line.split_once('/').unwrap().1)
        .map(|path| Path::new("/").join(path))
        .collect();
    said.sort();
    said.dedup();
    assert_eq!(said, missing);
    let paths: Vec<&str> = missing.iter().map(|path| path.to_str().unwrap()).collect();
    assert_eq!(
        paths,
        [
            "/etc",
            "/etc/base.conf",
            "/usr/bin/also",
            "/usr/bin/tool",
            "/usr/share/doc/base/examples",
            "/usr/share/doc/base/examples/a",
            "/usr/share/man",
            "/usr/share/man/man1",
            "/usr/share/man/man1/tool.1",
        ]
    );
    assert_eq!(text(&tree, "/usr/bin/same"), "tool", "a further name of what went has the content");
    assert!(tree.get("/var/empty").is_some() && tree.get("/usr/share/doc/old/copyright").is_some());
}

#[test]
fn a_glob_for_nothing_is_an_error() {
    let case = Case::of(&[BASE]);
    let tree = case.tree();
    for (leave, keep, why) in [
        (
            ["/usr/share/doc/**", "/usr/games/**"].as_slice(),
            [].as_slice(),
            "leave_out: nothing of any package for /usr/games/**",
        ),
        (&["/var/lib/dpkg/**"], &[], "leave_out: nothing of any package for /var/lib/dpkg/**"),
        (&["/usr/share/*/copyright"], &[], "leave_out: nothing of any package"),
        (
            &["/usr/share/man/**"],
            &["/usr/share/doc/*/copyright"],
            "keep: nothing of any package for /usr/share/doc/*/copyright",
        ),
        (&["/usr/share/["], &[], "skel.toml: leave_out"),
    ] {
        let mut changed = tree.clone();
        let error = root::leave_out(&mut changed, &skel(&[], leave, keep)).unwrap_err().to_string();
        assert!(error.contains(why), "{error}, not {why}");
        assert_eq!(changed, tree);
    }
}
