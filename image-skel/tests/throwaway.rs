#![allow(missing_docs)]
use image_skel::{control, lock::*, skel::*, store::*};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;
#[allow(dead_code)]
pub fn lock() -> Lock {
    let text = std::fs::read_to_string("/tmp/store/real.lock").unwrap();
    let packages = control::split(&text)
        .map(|(_, t)| {
            let s = control::stanza(t).unwrap();
            let g = |n: &str| s.get(n).unwrap().to_owned();
            Locked {
                package: g("Package"),
                version: g("Version"),
                architecture: g("Architecture"),
                filename: g("Filename"),
                size: g("Size").parse().unwrap(),
                sha256: g("SHA256"),
                suite: g("X-Suite"),
                order: g("X-Configure-Order").parse().unwrap(),
                fields: s.fields().map(|(a, b)| (a.to_owned(), b.to_owned())).collect(),
            }
        })
        .collect();
    Lock {
        packages,
        dates: BTreeMap::from([("trixie".into(), 1_790_000_000), ("trixie-security".into(), 1_790_100_000)]),
    }
}
#[allow(dead_code)]
pub fn skel() -> Skel {
    toml::from_str(&std::fs::read_to_string("/tmp/store/skel.toml").unwrap()).unwrap()
}
#[test]
fn real() {
    let store = Store::open(Path::new("/tmp/store/store")).unwrap();
    for _ in 0..2 {
        let t = Instant::now();
        store.bring(&skel(), &lock(), &Options::default()).unwrap();
        println!("bring {:?}", t.elapsed());
    }
}
pub fn lay(tree: &image_skel::tree::Tree, root: &Path) {
    use image_skel::tree::*;
    use std::os::unix::fs::*;
    let _ = std::fs::remove_dir_all(root);
    std::fs::create_dir(root).unwrap();
    for (path, node) in tree.iter() {
        let at = root.join(path.strip_prefix("/").unwrap());
        match &node.kind {
            Kind::Folder => {
                let _ = std::fs::create_dir(&at);
            }
            Kind::File(s) => std::fs::write(&at, s.read().unwrap()).unwrap_or_else(|e| panic!("{at:?} {e}")),
            Kind::Symlink(t) => symlink(t, &at).unwrap_or_else(|e| panic!("{at:?} {e}")),
            Kind::Hard(_) => {}
        }
        if !matches!(node.kind, Kind::Hard(_)) {
            lchown(&at, Some(node.uid), Some(node.gid)).unwrap();
        }
        if !matches!(node.kind, Kind::Hard(_) | Kind::Symlink(_)) {
            std::fs::set_permissions(&at, std::fs::Permissions::from_mode(node.mode)).unwrap();
        }
    }
    for (path, node) in tree.iter() {
        if let Kind::Hard(to) = &node.kind {
            std::fs::hard_link(root.join(to.strip_prefix("/").unwrap()), root.join(path.strip_prefix("/").unwrap()))
                .unwrap();
        }
    }
}
#[test]
fn root() {
    let store = Store::open(Path::new("/tmp/store/store")).unwrap();
    let debs = store.bring(&skel(), &lock(), &Options::default()).unwrap();
    let t = Instant::now();
    let mut tree = image_skel::root::unpack(&lock(), &debs).unwrap();
    println!("unpack {:?} {}", t.elapsed(), tree.iter().count());
    lay(&tree, Path::new("/tmp/store/root"));
    println!("laid {:?}", t.elapsed());
    let gone = image_skel::root::leave_out(&mut tree, &skel()).unwrap();
    println!("left out {:?} {} {}", t.elapsed(), tree.iter().count(), gone.len());
    lay(&tree, Path::new("/tmp/store/root2"));
    std::fs::write("/tmp/store/gone", gone.iter().map(|p| format!("{}\n", p.display())).collect::<String>()).unwrap();
}
