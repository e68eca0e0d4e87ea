//! What is chosen, and in what order; beside the real apt where it can be asked.

mod lock_parts;

use std::collections::BTreeMap;

use image_skel::index::{Pool, Suite};
use image_skel::resolve::{Wish, resolve};
use image_skel::tool::Outcome;
use lock_parts::apt::Apt;
use lock_parts::archive::index;

fn names(list: &str) -> Vec<String> {
    list.split_whitespace().map(str::to_owned).collect()
}

fn suite(name: &str) -> Suite {
    Suite { name: name.into(), automatic: !name.contains("backports"), security: name.contains("security") }
}

/// Resolves from indices; `a=1 b=2` in order of configuration.
fn chosen(suites: &[(&str, &str)], wanted: &str, from: &[(&str, &str)]) -> Outcome<String> {
    let mut pool = Pool::default();
    for (name, packages) in suites {
        pool.add(suite(name), index(packages))?;
    }
    let from: BTreeMap<_, _> = from.iter().map(|(name, suite)| ((*name).to_owned(), (*suite).to_owned())).collect();
    let packages = names(wanted);
    let wish = Wish { architecture: "arm64", packages: &packages, from: &from, held: BTreeMap::new(), moved: &[] };
    let mut found = resolve(&pool, &wish)?.packages;
    found.sort_by_key(|locked| locked.order);
    assert!(found.iter().map(|locked| locked.order).eq(1..=found.len() as u32));
    Ok(found.iter().map(|locked| format!("{}={}", locked.package, locked.version)).collect::<Vec<_>>().join(" "))
}

/// The same from one suite, and the set must be apt's.
fn as_apt(packages: &str, wanted: &str) -> String {
    let ours = chosen(&[("t", packages)], wanted, &[]).unwrap();
    let wanted: Vec<&str> = wanted.split_whitespace().collect();
    let apt = Apt::new(&index(packages)).install(&wanted).unwrap();
    let set: BTreeMap<_, _> = ours.split(' ').map(|pair| pair.split_once('=').unwrap()).collect();
    let apt: BTreeMap<_, _> = apt.iter().map(|(name, version)| (name.as_str(), version.as_str())).collect();
    assert_eq!(set, apt);
    ours
}

#[test]
fn dependencies_alternatives_and_what_is_provided() {
    let chain =
        "a 1; Depends: b (>= 1), c; Recommends: z\n b 1\n b 2\n b 10; Depends: d\n c 1; Pre-Depends: d\n d 1\n z 1";
    assert_eq!(as_apt(chain, "a"), "d=1 b=10 c=1 a=1");
    assert_eq!(as_apt("a 1; Depends: x | y\n x 1\n y 1", "a"), "x=1 a=1");
    assert_eq!(as_apt("a 1; Depends: x | y\n x 1\n y 1", "a y"), "y=1 a=1", "what is wanted meets it");
    let late = "a 1; Depends: x | y\n b 1; Depends: y\n x 1\n y 1";
    assert_eq!(chosen(&[("t", late)], "a b", &[]).unwrap(), "y=1 a=1 b=1", "apt would take x too");
    assert_eq!(as_apt("a 1; Depends: x (>= 2) | y\n x 1\n y 1", "a"), "y=1 a=1");
    assert_eq!(as_apt("a 1; Depends: x | y\n x 1; Depends: nowhere\n y 1", "a"), "y=1 a=1");
    assert_eq!(
        as_apt(
            "a 1; Depends: awk\n gawk 1; Provides: awk; Priority: optional\n mawk 1; Provides: awk; Priority: required",
            "a"
        ),
        "mawk=1 a=1"
    );
    assert_eq!(as_apt("a 1; Depends: abi (= 2)\n l 1; Provides: abi (= 1)\n m 1; Provides: abi (= 2)", "a"), "m=1 a=1");
    assert_eq!(
        as_apt("a 1; Depends: abi (>= 1)\n abi 1\n z 1; Provides: abi (= 3)", "a"),
        "abi=1 a=1",
        "a real one first"
    );
    assert_eq!(as_apt("a 1; Depends: p:any\n p 1; Multi-Arch: allowed", "a"), "p=1 a=1");
    assert_eq!(as_apt("a 1; Depends: x | y\n x 1; Conflicts: b\n y 1\n b 1", "a b"), "y=1 a=1 b=1");
    assert_eq!(as_apt("a 2:1; Breaks: b (<< 2)\n a 10\n b 2~~\n b 2", "a b"), "a=2:1 b=2");
    assert_eq!(as_apt("a 1; Provides: m; Conflicts: m\n b 1; Replaces: a", "a b"), "a=1 b=1");
    assert_eq!(as_apt("a 1; Architecture: all; Depends: b\n b 1; Depends: a", "a"), "a=1 b=1");
}

#[test]
fn a_bound_found_late_is_kept_to() {
    let packages = "a 1; Depends: l, k\n l 3\n l 2\n k 1; Depends: l (<< 3)";
    assert_eq!(chosen(&[("t", packages)], "a", &[]).unwrap(), "l=2 k=1 a=1");
    let packages = "w 1; Depends: x | y\n x 1; Depends: l (= 9)\n y 1; Depends: l (= 2)\n l 3\n l 2";
    assert_eq!(chosen(&[("t", packages)], "w l", &[]).unwrap(), "l=2 y=1 w=1");
}

#[test]
fn suites() {
    let t = "linux 6; Depends: base\n base 1\n tool 1\n tool 2+deb13u1";
    let backports = "linux 7; Depends: base (>= 2), helper\n base 2\n helper 1\n tool 3";
    let security = "tool 2+deb13u1\n base 1+deb13u1";
    let all = [("t", t), ("t-security", security), ("t-backports", backports)];
    assert_eq!(chosen(&all, "linux tool", &[]).unwrap(), "base=1+deb13u1 linux=6 tool=2+deb13u1");
    let from = [("linux", "t-backports")];
    assert_eq!(chosen(&all, "linux tool", &from).unwrap(), "base=2 helper=1 linux=7 tool=2+deb13u1");
    let error = chosen(&all, "linux tool", &[("tool", "t-updates")]).unwrap_err().to_string();
    assert!(error.contains("must come from t-updates"), "{error}");
    let mut pool = Pool::default();
    for (name, packages) in all {
        pool.add(suite(name), index(packages)).unwrap();
    }
    assert_eq!(pool.offers("tool").unwrap()[1].package.locked.suite, "t-security", "of equal versions");
}

#[test]
fn what_cannot_be_met_is_told_with_the_way_to_it() {
    for (packages, wanted, why) in [
        (
            "a 1; Depends: b\n b 1; Depends: c (>= 2) | d\n c 1",
            "a",
            "a → b → c (>= 2) | d: of c there is 1 (t); there is no d in t",
        ),
        ("a 1; Depends: b\n b 1; Conflicts: c\n c 1", "c a", "a → b: b 1 conflicts with or breaks c (c)"),
        ("a 1; Provides: v", "v", "v is only provided, by a: name one of these"),
        ("a 1; Depends: p:any\n p 1; Multi-Arch: foreign", "a", "a → p:any: of p there is 1 (t)"),
        ("a 1; Architecture: armhf", "a", "of a there is 1 (t)"),
        ("a 1; Depends: x | y\n x 1; Depends: q\n y 1; Depends: r", "a", "a → x → q: there is no q in t"),
    ] {
        let error = chosen(&[("t", packages)], wanted, &[]).unwrap_err().to_string();
        assert_eq!(error, why);
    }
}

#[test]
fn circles_are_broken_the_same_way_every_time() {
    let packages = "top 1; Depends: b\n a 1; Depends: b\n b 1; Pre-Depends: a; Depends: c\n c 1; Depends: b";
    assert_eq!(chosen(&[("t", packages)], "top", &[]).unwrap(), "a=1 b=1 c=1 top=1");
    let packages = "top 1; Depends: a\n a 1; Pre-Depends: b\n b 1; Depends: a";
    assert_eq!(chosen(&[("t", packages)], "top", &[]).unwrap(), "b=1 a=1 top=1");
}

/// Moves `moved` on from what `old` gave.
fn moved(old: &str, new: &str, wanted: &str, moved: &str) -> Outcome<String> {
    let held: BTreeMap<String, String> = chosen(&[("t", old)], wanted, &[])?
        .split(' ')
        .map(|pair| pair.split_once('=').unwrap())
        .map(|(name, version)| (name.to_owned(), version.to_owned()))
        .collect();
    let mut pool = Pool::default();
    pool.add(suite("t"), index(&format!("{new}\n{old}")))?;
    let (packages, moved) = (names(wanted), names(moved));
    let wish = Wish { architecture: "arm64", packages: &packages, from: &BTreeMap::new(), held, moved: &moved };
    let found = resolve(&pool, &wish)?.packages;
    Ok(found.iter().map(|locked| format!("{}={}", locked.package, locked.version)).collect::<Vec<_>>().join(" "))
}

#[test]
fn an_update_moves_what_it_names_and_what_that_forces() {
    let old = "s 1; Depends: l (= 1), c\n l 1\n c 1\n z 1";
    let new = "s 2; Depends: l (= 2), c\n l 2\n c 2\n z 2";
    assert_eq!(moved(old, new, "s z", "z").unwrap(), "c=1 l=1 s=1 z=2");
    assert_eq!(moved(old, new, "s z", "s").unwrap(), "c=1 l=2 s=2 z=1");
    assert_eq!(moved(old, new, "s z", "l").unwrap(), "c=1 l=2 s=2 z=1", "s was made for the old l");
    assert_eq!(moved(old, new, "s z", "").unwrap(), "c=1 l=1 s=1 z=1");
    assert_eq!(moved(old, "c 2; Breaks: z (<< 2)\n z 2", "s z", "c").unwrap(), "c=2 l=1 s=1 z=2");
    assert!(moved(old, "c 2; Breaks: z", "s z", "c").is_err());
}

/// Numbers that look random, and are the same every time.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

fn some_archive(numbers: &mut Numbers) -> String {
    let mut lines = String::new();
    for package in 0..24 {
        for version in 1..=1 + numbers.below(2) {
            let mut relation = |bound: bool| {
                let name = format!("p{}", numbers.below(24));
                match numbers.below(6) {
                    0 => format!("v{}", numbers.below(4)),
                    1 | 2 if bound => format!("{name} (>= {})", 1 + numbers.below(2)),
                    3 if bound => format!("{name} (<< 2)"),
                    _ => name,
                }
            };
            let (one, two, three) = (relation(true), relation(true), relation(false));
            let against = if package % 5 == 0 { format!("; Conflicts: {}", relation(true)) } else { String::new() };
            let provides = if package % 4 == 0 { format!("; Provides: v{}", package / 6) } else { String::new() };
            let depends = match numbers.below(4) {
                0 => String::new(),
                1 => format!("; Depends: {one}"),
                2 => format!("; Depends: {one} | {two}"),
                _ => format!("; Depends: {one}, {two} | {three}"),
            };
            lines.push_str(&format!("p{package} {version}{depends}{against}{provides}\n"));
        }
    }
    lines
}

/// Whatever is found, apt must find to hold together and to need nothing more; and where nothing is found, apt must find nothing either.
#[test]
fn made_up_archives_are_judged_by_apt() {
    let (mut found, mut none) = (0, 0);
    for seed in 0..16 {
        let packages = some_archive(&mut Numbers(seed));
        let apt = Apt::new(&index(&packages));
        match chosen(&[("t", &packages)], "p1 p2 p3", &[]) {
            Ok(ours) => {
                let set: Vec<&str> = ours.split(' ').collect();
                assert_eq!(apt.install(&set).unwrap().len(), set.len(), "seed {seed}: {ours}");
                found += 1;
            }
            Err(error) => {
                assert!(apt.install(&["p1", "p2", "p3"]).is_err(), "seed {seed}: apt sees a way, but: {error}");
                none += 1;
            }
        }
    }
    assert!(found > 3 && none > 0, "{found} found, {none} not");
}
