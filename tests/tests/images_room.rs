//! The room that a load takes is said before and kept: on a nearly full filesystem it fits as planned, and with a block less it is not begun.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use offspot_agent::host::Host;
use offspot_agent::images::{self, Standing};
use offspot_tests::engine::PrivateEngine;
use offspot_tests::image_card::{Card, SmallDisk};
use offspot_tests::image_tarball::{Sample, docker, gnu, layer, put};

/// An image of many small files, a few folders and a large file, on a base that all share.
fn sample(name: &str) -> Sample {
    let mut sample = Sample::busybox(name);
    let files: Vec<_> = (0..800).map(|at| (format!("dir{}/{name}{at}", at % 9), vec![7; 37 * (at % 300)])).collect();
    let files: Vec<_> = files.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())).collect();
    sample.layers.push(layer(&files));
    sample.layers.push(layer(&[(&format!("large-{name}"), &vec![1; 12 << 20])]));
    sample
}

fn card(folder: &Path, disk: &SmallDisk) -> Card {
    let card = Card {
        engine: Some(PrivateEngine::start(&folder.join("e"), &disk.folder.join("data/docker"))),
        root: disk.folder.clone(),
    };
    for name in ["one:1", "two:1"] {
        put(&card.boot(&format!("{}.tar", &name[..3])), &gnu(&docker(&[&sample(name)])));
    }
    card
}

#[test]
fn what_is_planned_fits_to_the_block_and_a_block_less_is_not_begun() {
    let folder = std::env::temp_dir().join(format!("oi-room-{}", std::process::id()));
    let disk = SmallDisk::mount(&folder, 256);
    let card = card(&folder, &disk);
    let (mut standing, receipts) = (Standing::new(), card.receipts());
    let mut items = images::survey(&Host::new(&card.root), &[], &receipts);
    images::count(&mut items, &receipts);
    let prices: Vec<_> = items.iter().map(|item| item.price(&mut standing, &receipts)).collect();
    let (first, both) = (prices[0].peak(false), prices[0].bytes + prices[1].peak(false));
    assert!(both > first && prices[1].bytes < prices[0].bytes - (1 << 20), "the base is paid once: {prices:?}");
    assert!(prices.iter().all(|price| price.need.layer < 14 << 20 && price.need.load > 14 << 20), "{prices:?}");

    // A block less: neither is begun, for the first does not fit, and the second would have to pay for the base.
    disk.leave(first - 4096);
    let outcome = card.load();
    assert!(outcome.problems().iter().all(|said| said.starts_with("E-SPACE-BYTES")), "{:#?}", outcome.problems());
    outcome.expect_problem("E-SPACE-BYTES", "one.tar");
    assert_eq!((card.ids(), outcome.status.progress.done), (vec![], 0), "nothing was sent");

    disk.leave(both);
    let (free, done, least) = (disk.free(), AtomicBool::new(false), AtomicU64::new(u64::MAX));
    let outcome = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                least.fetch_min(disk.free(), Ordering::Relaxed);
                std::thread::sleep(std::time::Duration::from_millis(1));
            }
        });
        let outcome = card.load();
        done.store(true, Ordering::Relaxed);
        outcome
    });
    assert_eq!(outcome.problems(), Vec::<String>::new());
    let (kept, worst) = (free - disk.free(), free - least.into_inner());
    let planned = prices[0].bytes + prices[1].bytes;
    println!("planned {planned} at worst {both}; kept {kept}, at worst {worst}");
    assert!(kept <= planned && worst <= both);
    assert!(planned - kept < planned / 10, "and not much less than planned");
    for name in ["one:1", "two:1"] {
        assert_eq!(card.says(name), name);
    }
    drop(card);
    drop(disk);
}
