//! The card made whole, on real loop devices: tables, kernel, e2fsck, resize2fs and mounts are the real ones.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;

use offspot_agent::card::{Card, Grown, Look, make_whole};
use offspot_agent::host::Host;
use offspot_agent::problem::Problem;
use offspot_agent::report::Reporter;
use offspot_tests::loop_card::{LoopCard, Recipe, Table, attempt, run};

/// One boot's part of the card.
struct Boot {
    grown: Result<Grown, Problem>,
    problems: Vec<String>,
    notes: Vec<String>,
}

fn boot(card: &LoopCard) -> Boot {
    let (report, status) = Reporter::new();
    let host = card.host();
    let named = Card::find(&host, Some(card.device().as_ref())).unwrap();
    let grown = make_whole(named, &host, &report);
    let status = status.borrow().clone();
    Boot {
        grown,
        problems: status.problems.iter().map(|problem| problem.facts().code.to_owned()).collect(),
        notes: status.notes,
    }
}

fn look(card: &LoopCard) -> Look {
    let host = card.host();
    Card::find(&host, Some(card.device().as_ref())).unwrap().unwrap().look(&host).unwrap()
}

/// A boot without any problem.
fn good_boot(card: &LoopCard) -> (Grown, Vec<String>) {
    let boot = boot(card);
    assert_eq!(boot.problems, [""; 0]);
    (boot.grown.unwrap(), boot.notes)
}

/// Grown to the end less 1 %, and in order.
fn assert_whole(card: &LoopCard) {
    card.unmount();
    let bytes: u64 = run("blockdev", &["--getsize64", &card.part(3)]).trim().parse().unwrap();
    let end = (136 << 20) + bytes;
    let free = card.size() - end;
    let margin = (card.size() / 100).min(64 << 20);
    assert!((margin..margin + (1 << 20)).contains(&free), "{free} bytes are free behind partition 3");
    let blocks: u64 = card.superblock("Block count").parse().unwrap();
    let block: u64 = card.superblock("Block size").parse().unwrap();
    assert!(bytes - blocks * block < 32 << 20, "the filesystem fills it");
    let (clean, said) = attempt("e2fsck", &["-fn", &card.part(3)]);
    assert!(clean, "{said}");
    let (fine, said) = attempt("sfdisk", &["--verify", card.device()]);
    assert!(fine && !said.contains("is not") && !said.contains("corrupt"), "{said}");
}

#[test]
fn an_mbr_card_grows_and_only_its_size_changes() {
    let card = LoopCard::new(&Recipe::default());
    let before = (card.bytes(0, 512), card.bytes(512, (136 << 20) - 512));
    let seen = look(&card);
    assert!(!seen.mounted && seen.bytes == 256 << 20 && seen.gained > 3400 << 20);
    let (grown, notes) = good_boot(&card);
    assert_eq!(notes.len(), 2, "{notes:?}");
    let space = grown.space().unwrap();
    let after = seen.after.unwrap();
    assert!(space.bytes.abs_diff(after.bytes) < 64 << 20 && space.inodes == after.inodes, "{space:?} {after:?}");
    fs::write(grown.folder().join("a"), "a").unwrap();
    grown.sync().unwrap();
    grown.settle();
    drop(grown);
    card.unmount();
    let sector = card.bytes(0, 512);
    let differ: Vec<usize> = (0..512).filter(|at| sector[*at] != before.0[*at]).collect();
    assert!(differ.iter().all(|at| (483..486).contains(at) || (490..494).contains(at)), "{differ:?}");
    assert!(card.bytes(512, (136 << 20) - 512) == before.1, "the rest of the table, p1 and p2 are as they were");
    assert_whole(&card);
}

#[test]
fn a_gpt_card_grows_and_its_backup_moves() {
    let card = LoopCard::new(&Recipe { table: Table::Gpt, ..Recipe::default() });
    let before = card.bytes(1 << 20, 135 << 20);
    drop(good_boot(&card));
    card.unmount();
    assert!(card.bytes(1 << 20, 135 << 20) == before, "p1 and p2 are as they were");
    let said = run("sgdisk", &["-v", card.device()]);
    assert!(said.contains("No problems found"), "{said}");
    assert_whole(&card);
}

#[test]
fn a_gpt_card_with_a_damaged_copy_is_repaired_and_says_so() {
    for (at, which) in [(512, "first"), (1024 + 40, "first"), ((1 << 30) - 512, "second")] {
        let card = LoopCard::new(&Recipe { table: Table::Gpt, ..Recipe::default() });
        let disk = OpenOptions::new().write(true).open(card.device()).unwrap();
        disk.write_all_at(&[0x5a; 8], at).unwrap();
        disk.sync_all().unwrap();
        let (_, notes) = good_boot(&card);
        assert!(notes[0].contains(&format!("the {which} copy")), "{notes:?}");
        card.unmount();
        assert!(run("sgdisk", &["-v", card.device()]).contains("No problems found"));
        assert_whole(&card);
    }
}

#[test]
fn sectors_of_4096_bytes() {
    for table in [Table::Mbr, Table::Gpt] {
        let card = LoopCard::new(&Recipe { table, sector: 4096, ..Recipe::default() });
        drop(good_boot(&card));
        assert_whole(&card);
        assert!(good_boot(&card).1.is_empty());
    }
}

#[test]
fn blocks_of_1024_bytes() {
    let card = LoopCard::new(&Recipe { block: 1024, ..Recipe::default() });
    drop(good_boot(&card));
    assert_whole(&card);
    assert!(good_boot(&card).1.is_empty());
}

#[test]
fn a_grown_card_is_not_written() {
    for table in [Table::Mbr, Table::Gpt] {
        let mut card = LoopCard::new(&Recipe { table, ..Recipe::default() });
        drop(good_boot(&card));
        // Still mounted: an agent run twice.
        let before = card.written();
        let (grown, notes) = good_boot(&card);
        assert_eq!((card.written(), notes.len()), (before, 0));
        drop(grown);
        // Unmounted, as at the next boot: nothing but what mounting itself writes.
        card.detach();
        card.attach();
        let checked = card.superblock("Last checked");
        let table_before = (card.bytes(0, 1 << 20), card.bytes(card.size() - (1 << 20), 1 << 20));
        let before = card.written();
        fs::create_dir_all(card.host().data()).unwrap();
        run("mount", &["-t", "ext4", "-o", "noinit_itable", &card.part(3), &card.host().data().to_string_lossy()]);
        let mount_alone = card.written() - before;
        card.unmount();
        let before = card.written();
        let (grown, notes) = good_boot(&card);
        assert!(notes.is_empty(), "{notes:?}");
        assert!(card.written() - before <= mount_alone, "{} > {mount_alone}", card.written() - before);
        grown.settle();
        drop(grown);
        card.unmount();
        assert_eq!(card.superblock("Last checked"), checked, "no check was forced");
        assert!(table_before == (card.bytes(0, 1 << 20), card.bytes(card.size() - (1 << 20), 1 << 20)));
    }
}

#[test]
fn a_power_cut_at_each_stage_is_made_good_by_the_next_boot() {
    let mut card = LoopCard::new(&Recipe::default());
    // The table is written, the kernel has not heard of it.
    run("sh", &["-c", &format!("echo ',3900M' | sfdisk -q --no-reread -N 3 {}", card.device())]);
    drop(good_boot(&card));
    assert_whole(&card);
    // The kernel has, the filesystem has not grown: the card is flashed with the small filesystem, and the large partition.
    run("mkfs.ext4", &["-q", "-F", "-b", "4096", "-i", "65536", &card.part(3), "65536"]);
    card.detach();
    card.attach();
    let (_, notes) = good_boot(&card);
    assert_eq!(notes.len(), 1, "{notes:?}");
    assert_whole(&card);
}

#[test]
fn a_resize_that_was_killed_is_repaired() {
    let card = LoopCard::new(&Recipe { card: 65536, image: 1024, data: 512, ..Recipe::default() });
    drop(good_boot(&card));
    card.unmount();
    let (part, small) = (card.part(3), "131072");
    let mut seen_damaged = 0;
    // strace ends resize2fs at its k-th write.
    for k in [1, 2, 3, 5, 8, 21, 55] {
        run("mkfs.ext4", &["-q", "-F", "-b", "4096", "-i", "65536", "-E", "lazy_itable_init=0", &part, small]);
        let data = card.host().data();
        run("mount", &["-t", "ext4", &part, &data.to_string_lossy()]);
        fs::write(data.join("kept"), vec![7; 1 << 20]).unwrap();
        card.unmount();
        run("e2fsck", &["-fp", &part]);
        let inject = format!("inject=pwrite64,write:signal=KILL:when={k}");
        attempt("strace", &["-f", "-o", "/dev/null", "-e", &inject, "resize2fs", &part]);
        let boot = boot(&card);
        let stopped = boot.grown.as_ref().err().map(ToString::to_string);
        assert_eq!((boot.problems, stopped), (Vec::new(), None), "killed at write {k}");
        eprintln!("killed at write {k}: {:?}", boot.notes);
        seen_damaged += usize::from(boot.notes.iter().any(|note| note.contains("repaired")));
        assert_eq!(fs::read(data.join("kept")).unwrap(), vec![7; 1 << 20]);
        drop(boot.grown);
        assert_whole(&card);
    }
    assert!(seen_damaged > 0, "no kill hit resize2fs at work");
}

#[test]
fn a_filesystem_that_was_not_unmounted_is_replayed_and_says_so() {
    let mut card = LoopCard::new(&Recipe::default());
    let (grown, _) = good_boot(&card);
    fs::write(grown.folder().join("a"), "a").unwrap();
    grown.sync().unwrap();
    // The card as a power cut leaves it: mounted.
    let copy = card.file().with_extension("cut");
    run("cp", &["--sparse=always", &card.file().to_string_lossy(), &copy.to_string_lossy()]);
    drop(grown);
    card.detach();
    fs::rename(copy, card.file()).unwrap();
    card.attach();
    let (grown, notes) = good_boot(&card);
    assert!(notes.len() == 1 && notes[0].contains("not unmounted"), "{notes:?}");
    assert_eq!(fs::read(grown.folder().join("a")).unwrap(), b"a");
    drop(grown);
    assert_whole(&card);
}

#[test]
fn a_damaged_filesystem_is_repaired_and_the_repair_can_be_taken_back() {
    let card = LoopCard::new(&Recipe::default());
    drop(good_boot(&card));
    let data = card.host().data();
    fs::create_dir(data.join("folder")).unwrap();
    fs::write(data.join("folder/file"), "kept").unwrap();
    card.unmount();
    // A folder's inode is cleared, and the damage has been seen.
    run("debugfs", &["-w", "-R", "clri folder", &card.part(3)]);
    run("debugfs", &["-w", "-R", "ssv state 2", &card.part(3)]);
    let (grown, notes) = good_boot(&card);
    assert!(notes.iter().any(|note| note.contains("e2undo")), "{notes:?}");
    drop(grown);
    assert_whole(&card);
    // Forced, for mounting has changed the superblock since.
    let undo = card.host().path("/var/lib/offspot/data-1.e2undo");
    run("e2undo", &["-f", &undo.to_string_lossy(), &card.part(3)]);
    assert!(!attempt("e2fsck", &["-fn", &card.part(3)]).0, "the damage is back");
}

#[test]
fn a_partition_without_a_filesystem_is_named_and_not_formatted() {
    let card = LoopCard::new(&Recipe::default());
    let disk = OpenOptions::new().write(true).open(card.part(3)).unwrap();
    disk.write_all_at(&vec![0; 1 << 20], 0).unwrap();
    disk.sync_all().unwrap();
    let boot = boot(&card);
    let facts = boot.grown.unwrap_err().facts();
    assert_eq!(facts.code, "E-CARD-FILESYSTEM");
    assert_eq!(card.bytes(136 << 20, 1 << 20), vec![0; 1 << 20]);
}

#[test]
fn what_keeps_it_small_is_named_and_the_story_goes_on() {
    let card = LoopCard::new(&Recipe::default());
    run("sh", &["-c", &format!("echo 'start=500MiB, size=8MiB' | sfdisk -q --no-reread -a {}", card.device())]);
    let boot = boot(&card);
    assert_eq!((boot.problems.as_slice(), boot.grown.is_ok()), (["E-CARD-NOT-LAST".to_owned()].as_slice(), true));
    drop(boot.grown);
    card.unmount();
    let small = LoopCard::new(&Recipe { card: 300, ..Recipe::default() });
    let boot = self::boot(&small);
    assert_eq!(boot.problems, ["E-CARD-PAST-END"]);
    assert_eq!(boot.grown.unwrap_err().facts().code, "E-CARD-MOUNT", "a filesystem of which the end is missing");
}

#[test]
fn a_read_only_card_and_a_card_without_data_stop_the_story() {
    let card = LoopCard::new(&Recipe::default());
    let before = card.written();
    run("blockdev", &["--setro", card.device()]);
    assert_eq!(boot(&card).grown.unwrap_err().facts().code, "E-CARD-READ-ONLY");
    run("blockdev", &["--setrw", card.device()]);
    assert_eq!(card.written(), before);
    attempt("partx", &["-d", card.device()]);
    run("sfdisk", &["-q", "--no-reread", "--delete", card.device(), "3"]);
    assert_eq!(boot(&card).grown.unwrap_err().facts().code, "E-CARD-NO-DATA");
}

#[test]
fn a_kernel_that_has_not_read_the_table_is_told() {
    let card = LoopCard::new(&Recipe::default());
    run("partx", &["-d", card.device()]);
    drop(good_boot(&card));
    assert_whole(&card);
}

#[test]
fn only_the_named_card_is_touched() {
    let card = LoopCard::new(&Recipe::default());
    let other = LoopCard::new(&Recipe { image: 420, card: 512, ..Recipe::default() });
    let before = (other.written(), other.bytes(0, 512 << 20));
    // Without a name there is no card, and the data folder is a folder.
    let host = card.host();
    let (report, _) = Reporter::new();
    assert!(Card::find(&host, None).unwrap().is_none());
    let plain = make_whole(None, &host, &report).unwrap();
    assert!(plain.folder().is_dir() && plain.space().unwrap().bytes > 0);
    plain.sync().unwrap();
    plain.settle();
    drop(good_boot(&card));
    assert!((other.written(), other.bytes(0, 512 << 20)) == before);
    // A partition of it names the card as well; what is no disk is refused.
    assert_eq!(Card::find(&host, Some(card.part(3).as_ref())).unwrap().unwrap().name(), &card.device()[5..]);
    for wrong in [card.file(), "/dev/null".into(), "/dev/no-such-card".into()] {
        assert_eq!(Card::find(&host, Some(&wrong)).unwrap_err().facts().code, "E-CARD-NOT-FOUND");
    }
}

#[test]
fn a_partition_that_is_mounted_elsewhere_is_not_taken() {
    let card = LoopCard::new(&Recipe::default());
    let elsewhere = card.host().path("/elsewhere");
    fs::create_dir_all(&elsewhere).unwrap();
    run("mount", &["-t", "ext4", &card.part(3), &elsewhere.to_string_lossy()]);
    let before = card.bytes(0, 512);
    let boot = boot(&card);
    run("umount", &[&elsewhere.to_string_lossy()]);
    assert_eq!(boot.grown.unwrap_err().facts().code, "E-CARD-MOUNT");
    assert_eq!(card.bytes(0, 512), before);
}

#[test]
fn a_small_partition_in_use_is_grown_as_far_as_can_be() {
    let card = LoopCard::new(&Recipe::default());
    let data = card.host().data();
    fs::create_dir_all(&data).unwrap();
    run("mount", &["-t", "ext4", &card.part(3), &data.to_string_lossy()]);
    let held = fs::File::open(&data).unwrap();
    let first = boot(&card);
    assert!(first.grown.is_ok());
    // Where the kernel grows a mounted ext4 nothing is left to say.
    assert!(first.problems.is_empty() || first.problems == ["E-CARD-NOT-GROWN"], "{:?}", first.problems);
    drop((first.grown, held));
    drop(good_boot(&card));
    assert_whole(&card);
}

#[test]
fn a_live_host_has_a_card_or_says_why() {
    match Card::find(&Host::new("/"), None) {
        Ok(card) => assert!(card.is_some_and(|card| !card.name().is_empty())),
        Err(problem) => assert_eq!(problem.facts().code, "E-CARD-NOT-FOUND"),
    }
}
