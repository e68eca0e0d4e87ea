//! What is handed out beside an image, checked by the programs that people unpack, flash and compare with.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use image_skel::image::{self, Layout};
use image_skel::outputs::{self, Options};
use image_skel::skel::Partitions;
use image_skel::tool;
use image_skel::tree::Tree;

const ALL: Options = Options { zst: true, xz: true, bmap: true };

/// A folder of one test, gone after it.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Scratch {
        let folder = std::env::temp_dir().join(format!("image-skel-{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        Scratch(folder)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// An image whose file systems hold what is zero and must reach the card all the same: a file of zeros on FAT, tables, journals.
fn image(out: &Path) -> Layout {
    let partitions = Partitions {
        disk_id: 0x0ff5_907d,
        boot_mib: 40,
        root_mib: 24,
        data_mib: 64,
        root_uuid: "6f7d2a10-0001-4c5e-9b0a-0ff5907d0002".into(),
        data_uuid: "6f7d2a10-0001-4c5e-9b0a-0ff5907d0003".into(),
        boot_id: 0x0ff5_9001,
    };
    let (mut boot, mut root) = (Tree::default(), Tree::default());
    boot.file("/zeros.bin", 0o644, vec![0; 1_000_000]);
    boot.file("/config.txt", 0o644, "arm_64bit=1\r\n");
    let noise: Vec<u8> = (0..4_000_000_u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 20) as u8).collect();
    root.file("/usr/noise", 0o644, noise);
    root.file("/etc/hostname", 0o644, "offspot\n");
    image::write(out, &partitions, &boot, &root, 1_767_225_600).unwrap()
}

fn run(name: &str, arguments: &[&str]) -> String {
    tool::run(name, arguments).unwrap()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn every_output_unpacks_to_the_image_and_the_sums_are_right() {
    let scratch = Scratch::new("outputs");
    let card = scratch.path("card.img");
    image(&card);
    let made = outputs::write(&card, ALL).unwrap();
    let names: Vec<_> = made.files.iter().map(|(path, _)| path.file_name().unwrap().to_str().unwrap()).collect();
    assert_eq!(names, ["card.img", "card.img.bmap", "card.img.xz", "card.img.zst", "SHA256SUMS"]);
    for (path, length) in &made.files {
        assert_eq!(fs::metadata(path).unwrap().len(), *length);
    }
    run("sh", &["-c", "cd \"$0\" && sha256sum --strict -c SHA256SUMS", text(&scratch.0)]);
    for (program, ending) in [("zstd", "zst"), ("xz", "xz")] {
        let line = format!("{program} -dc card.img.{ending} | cmp - card.img");
        run("bash", &["-o", "pipefail", "-c", &format!("cd '{}' && {line}", text(&scratch.0))]);
    }
    // The windows that both want are within what decoders give unasked, and the sizes are known beforehand.
    let listed = run("zstd", &["-lv", text(&scratch.path("card.img.zst"))]);
    assert!(listed.contains("Window Size: 128 MiB") && listed.contains("Check: XXH64"), "{listed}");
    assert_eq!(fs::read_dir(&scratch.0).unwrap().count(), 5);
}

#[test]
fn the_same_image_gives_the_same_outputs() {
    let scratch = Scratch::new("again");
    for folder in ["one", "two"] {
        fs::create_dir(scratch.path(folder)).unwrap();
        image(&scratch.path(folder).join("card.img"));
    }
    // One is full of holes, the other has none.
    let two = scratch.path("two").join("card.img");
    let bytes = fs::read(&two).unwrap();
    fs::write(&two, bytes).unwrap();
    for folder in ["one", "two"] {
        outputs::write(&scratch.path(folder).join("card.img"), ALL).unwrap();
    }
    run("diff", &["-r", text(&scratch.path("one")), text(&scratch.path("two"))]);
}

/// A block device over a file, gone after the test.
struct Card(String);

impl Card {
    fn over(file: &Path) -> Card {
        Card(run("losetup", &["-f", "--show", text(file)]).trim().to_owned())
    }
}

impl Drop for Card {
    fn drop(&mut self) {
        let _ = tool::run("losetup", &["-d", &self.0]);
    }
}

#[test]
fn bmaptool_flashes_a_used_card_so_that_nothing_of_before_is_taken_for_ours() {
    let scratch = Scratch::new("bmap");
    let (card, used) = (scratch.path("card.img"), scratch.path("used"));
    let layout = image(&card);
    outputs::write(&card, Options { zst: true, xz: false, bmap: true }).unwrap();
    fs::write(&used, vec![0xff; layout.length() as usize]).unwrap();
    let device = Card::over(&used);
    run(
        "bmaptool",
        &["copy", text(&scratch.path("card.img.zst")), &device.0, "--bmap", text(&scratch.path("card.img.bmap"))],
    );
    drop(device);
    let (from, to) = (fs::read(&card).unwrap(), fs::read(&used).unwrap());
    let ranges = outputs::ranges(&card).unwrap();
    let kept: u64 = ranges.iter().map(|range| range.end - range.start).sum();
    assert!(kept < layout.length() / 3, "{kept} of {} bytes are written", layout.length());
    let mut end = 0;
    for range in ranges.iter().map(|range| range.start as usize..range.end as usize) {
        assert!(from[range.clone()] == to[range.clone()], "{range:?}");
        assert!(from[end..range.start].iter().all(|byte| *byte == 0), "content outside of the map before {range:?}");
        // Whole blocks that nobody wrote.
        let quiet = end.next_multiple_of(4096)..(range.start / 4096 * 4096).max(end.next_multiple_of(4096));
        assert!(to[quiet].iter().all(|byte| *byte == 0xff), "more than the map was written before {range:?}");
        end = range.end;
    }
    for extent in [layout.root, layout.data] {
        let device = format!("{}?offset={}", text(&used), extent.start);
        run("e2fsck", &["-fn", &device]);
        let journal = run("debugfs", &["-R", "logdump -S", &device]);
        assert!(journal.contains("Journal start:            0"), "a journal to be replayed: {journal}");
    }
    let drive = format!("{}@@{}", text(&used), layout.boot.start);
    run("mcopy", &["-i", &drive, "::/zeros.bin", text(&scratch.path("zeros"))]);
    assert!(fs::read(scratch.path("zeros")).unwrap() == vec![0; 1_000_000]);
    journal_is_zero(&used, layout);
}

/// A journal's log begins behind its superblock; records of the card's past life there would be replayed as this one's.
fn journal_is_zero(used: &Path, layout: Layout) {
    let device = format!("{}?offset={}", text(used), layout.data.start);
    let blocks = run("debugfs", &["-R", "blocks <8>", &device]);
    let file = File::open(used).unwrap();
    let mut block = [0; 4096];
    let journal: Vec<u64> = blocks.split_whitespace().map(|number| number.parse().unwrap()).collect();
    assert!(journal.len() > 1000, "{blocks}");
    for number in &journal[1..] {
        file.read_exact_at(&mut block, layout.data.start + number * 4096).unwrap();
        assert!(block == [0; 4096], "block {number} of the journal");
    }
}

#[test]
fn a_file_that_is_no_image_is_refused() {
    let scratch = Scratch::new("none");
    let none = scratch.path("none.img");
    fs::write(&none, vec![0; 1 << 20]).unwrap();
    let said = outputs::write(&none, ALL).unwrap_err().to_string();
    assert!(said.contains("none.img: the first sector holds no partition table"), "{said}");
    assert_eq!(fs::read_dir(&scratch.0).unwrap().count(), 1);
}
