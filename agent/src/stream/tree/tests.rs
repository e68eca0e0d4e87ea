use super::*;

#[test]
fn folders_that_are_only_implied_take_room() {
    let base = std::env::temp_dir().join(format!("offspot-implied-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&base);
    std::fs::create_dir(&base).unwrap();
    let (told, _) = Reporter::new();
    let mut note = |_| Ok(());
    let mut tree = Tree::new(&base, Room { bytes: 1 << 20, inodes: 7 }, &told, &mut note).unwrap();
    let meta = Meta { mode: 0o644, owner: None, mtime: 0 };
    tree.file("a/b/c/file", meta, 0, &mut io::empty()).unwrap();
    tree.folder("a/b/d", meta).unwrap();
    assert_eq!(tree.room.inodes, 2);
    let error = tree.file("x/y/z/file", meta, 0, &mut io::empty()).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(Errno::ENOSPC as i32), "{error}");
    assert!(base.join("x").is_dir() && !base.join("x/y").exists());
    std::fs::remove_dir_all(base).unwrap();
}

/// What fills a tree with this room says in the end.
fn filled(name: &str, room: Room, fill: impl Fn(&mut Tree<'_>) -> io::Result<()>) -> (PathBuf, io::Result<()>) {
    let base = std::env::temp_dir().join(format!("offspot-tree-{name}-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&base);
    std::fs::create_dir(&base).unwrap();
    let mut note = |_| Ok(());
    let done = fill(&mut Tree::new(&base, room, &Reporter::new().0, &mut note).unwrap());
    (base, done)
}

const META: Meta = Meta { mode: 0o755, owner: None, mtime: 0 };

#[test]
fn members_that_leave_nothing_behind_count_as_well() {
    let kinds: [fn(&mut Tree<'_>) -> io::Result<()>; 5] = [
        |tree| tree.folder("./", META),
        |tree| tree.folder("__MACOSX/a", META),
        |tree| tree.symlink("__MACOSX/l", META, "x"),
        |tree| tree.hardlink("__MACOSX/l", "file"),
        |tree| tree.hardlink("file", "file"),
    ];
    for (number, kind) in kinds.into_iter().enumerate() {
        let endless = |tree: &mut Tree<'_>| {
            tree.file("file", META, 0, &mut io::empty())?;
            (0..100).try_for_each(|_| kind(tree))
        };
        for room in [Room { bytes: 1 << 20, inodes: 50 }, Room { bytes: 50 * NAME, inodes: u64::MAX }] {
            let (base, done) = filled("nothing", room, endless);
            let full = done.is_err_and(|error| error.raw_os_error() == Some(Errno::ENOSPC as i32));
            assert!(full, "kind {number}, {room:?}");
            std::fs::remove_dir_all(base).unwrap();
        }
    }
}

#[test]
fn a_long_link_takes_a_block() {
    for (length, fits) in [(59, true), (60, false)] {
        let room = Room { bytes: 1000, inodes: 9 };
        let (base, done) = filled("link", room, |tree| tree.symlink("l", META, &"x".repeat(length)));
        assert_eq!(done.is_ok(), fits, "{length}: {done:?}");
        std::fs::remove_dir_all(base).unwrap();
    }
}

#[test]
fn a_folder_named_again_is_as_it_was_named_last() {
    use std::os::unix::fs::MetadataExt;
    let root = geteuid().is_root();
    let (base, done) = filled("again", Room { bytes: 1 << 20, inodes: 9 }, |tree| {
        tree.folder("d", Meta { mode: 0o700, owner: root.then_some((1000, 1000)), mtime: 0 })?;
        tree.folder("d", Meta { owner: Some((0, 0)), ..META })
    });
    done.unwrap();
    let meta = std::fs::metadata(base.join("d")).unwrap();
    assert_eq!((meta.mode() & 0o7777, meta.uid() == 0), (0o755, root));
    std::fs::remove_dir_all(base).unwrap();
}
