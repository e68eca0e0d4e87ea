//! The image, booted on an emulated arm64 board without a network: a fresh card, the same card again, and one whose data partition is gone.
//!
//! What is said of a boot is read from outside: serial console, forwarded port, LED, and the card after the power went off.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};

use crate::agent_run::target_folder;
use crate::boot::free_port;
use crate::boot_card::BootCard;
use crate::checks::Checks;
use crate::led_watch::{Shown, Signal, Watch, decode};
use crate::probe::{Answers, Probe, answer};
use crate::qemu::{self, Console, Machine, Setup};
use crate::suite::{Count, ensure};
use crate::tool::{self, Doing, Outcome};
use crate::write_log::{self, Write};
use crate::{booted_card, http, packages, skel_image};

/// Larger than the image: there is something to grow into.
const CARD: u64 = 4 << 30;
/// A quiet machine needs a minute.
const BOOT_LIMIT: Duration = Duration::from_secs(600);
const PAGE_LIMIT: Duration = Duration::from_secs(60);
/// The LED holds steady for a minute; a code goes on until the power goes.
const LED_LIMIT: Duration = Duration::from_secs(45);
/// What may stay free behind partition 3: a hundredth of a card of this size, and less than one unit of alignment.
const FREE: u64 = CARD / 100 + (1 << 20);
const STATUS: &str = "OFFSPOT-STATUS.txt";
const SLOTS: [&str; 2] = ["offspot-status.json", "offspot-status-2.json"];

/// What one boot was like.
struct Boot {
    answers: Answers,
    pages: Vec<String>,
    led: Vec<Shown>,
    writes: Vec<Write>,
    /// Seconds from power on to the answers from inside.
    seconds: f64,
}

/// A fresh card becomes a served library.
pub fn first_boot() -> Outcome<Count> {
    packages::install_missing(packages::BOOT)?;
    let folder = folder()?;
    let card = BootCard::flash(&skel_image::made()?, &folder.join("card.img"), CARD)?;
    let (before, disk_id) = (card.clone(), card.bytes(0x1b8, 4)?);
    booted_card::lay(&card, &folder)?;
    let boot = boot(&card, "first", booted_card::PAGES, Signal::Steady)?;
    let card = BootCard::open(card.path())?;
    let mut checks = Checks::default();
    healthy(&mut checks, &card, &boot)?;
    grown(&mut checks, &before, &card, &boot)?;
    checks.hold(card.bytes(0x1b8, 4)? == disk_id, "the disk id stays as it was", "another");
    let receipts = booted_card::receipts(&card)?;
    for (did, wanted) in [("file", 2), ("image", 1), ("tarball", 1), ("boot", 1)] {
        let count = receipts.iter().filter(|line| line.contains(&format!("\"did\":\"{did}\""))).count();
        checks.hold(count == wanted, &format!("receipts of {did}: {wanted}"), format!("{count}: {receipts:#?}"));
    }
    let status = card.boot_text(STATUS)?;
    checks.hold(
        status.contains("a stick is used: sd") && status.contains("(vfat)"),
        "the status tells of the stick",
        &status,
    );
    timeline(&boot)?;
    let kept = json!({ "ready": own_milliseconds(&boot.answers)?, "receipts": receipts });
    fs::write(folder.join("first.json"), kept.to_string()).doing("first.json")?;
    Ok(checks.count())
}

/// The same card again: nothing is redone, next to nothing written, and it is ready sooner.
pub fn second_boot() -> Outcome<Count> {
    let folder = folder()?;
    let kept: Value =
        serde_json::from_slice(&fs::read(folder.join("first.json")).doing("first.json")?).doing("first.json")?;
    let card = BootCard::open(&folder.join("card.img"))?;
    let boot = boot(&card, "second", booted_card::PAGES, Signal::Steady)?;
    let mut checks = Checks::default();
    healthy(&mut checks, &card, &boot)?;
    let receipts = booted_card::receipts(&card)?;
    let held: Vec<&str> = kept["receipts"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let more: Vec<&String> = receipts.iter().skip(held.len()).collect();
    let one_more = receipts.iter().zip(&held).all(|(now, then)| now == then) && more.len() == 1;
    checks.hold(
        one_more && more[0].contains("\"did\":\"boot\""),
        "one receipt more, that of the boot",
        format!("{more:#?}"),
    );
    written(&mut checks, &card, &boot)?;
    let (first, second) = (kept["ready"].as_u64().unwrap_or(0), own_milliseconds(&boot.answers)?);
    checks.hold(second < first, "the agent is ready sooner", format!("{second} ms, {first} ms the first time"));
    println!("agent without the engine's start: {second} ms, {first} ms the first time");
    timeline(&boot)?;
    fs::remove_file(card.path()).doing("card")?;
    Ok(checks.count())
}

/// Partition 3 reads as zeros, and partition 1 was not unmounted: the box boots all the same, and says what is wrong.
pub fn without_data() -> Outcome<Count> {
    packages::install_missing(packages::BOOT)?;
    let folder = folder()?;
    let card = BootCard::flash(&skel_image::made()?, &folder.join("zeroed.img"), CARD)?;
    booted_card::lay(&card, &folder)?;
    card.wipe(3)?;
    card.soil()?;
    let boot = boot(&card, "zeroed", &[], Signal::Code(3))?;
    let mut checks = Checks::default();
    let (status, object) = (card.boot_text(STATUS)?, newest(&card)?);
    checks.hold(
        status.starts_with("STOPPED: "),
        "line 1 of the status says STOPPED",
        status.lines().next().unwrap_or(""),
    );
    checks.equal(&object["exit_code"].to_string(), "3", "the exit code is the card's, 3");
    system_is_sound(&mut checks, &boot)?;
    checks.hold(
        !card.is_soiled()?,
        "partition 1, which was pulled out while it was written, is repaired",
        "it is marked still",
    );
    checks.hold(status.contains("has been repaired"), "and the status says so", &status);
    let code = boot.led.iter().any(|shown| shown.signal == Signal::Code(3));
    checks.hold(code, "LED: one long flash and three short", shown(&boot.led));
    let data = card.part(3);
    let touched = write_log::within(&boot.writes, data);
    checks.hold(touched.is_empty(), "nothing is written to partition 3", format!("{touched:?}"));
    fs::remove_file(card.path()).doing("card")?;
    Ok(checks.count())
}

fn folder() -> Outcome<PathBuf> {
    let folder = target_folder()?.join("booted");
    fs::create_dir_all(&folder).doing(folder.display())?;
    Ok(folder)
}

/// One boot, from power on to power off.
fn boot(card: &BootCard, name: &str, pages: &[&str], last: Signal) -> Outcome<Boot> {
    let folder = folder()?;
    let (port, log) = (free_port()?, folder.join(format!("{name}.writes")));
    let mut probe = Probe::new(&folder.join("probe.img"), name != "zeroed")?;
    let setup = Setup {
        machine: Machine::Virt,
        memory: 1024,
        port,
        network: false,
        console: Console::Log(folder.join(format!("{name}.console"))),
        words: Probe::words(),
        probe: Some(folder.join("probe.img")),
        stick: (name == "first").then(|| booted_card::stick(&folder)).transpose()?,
        write_log: Some(log.clone()),
        folder: folder.clone(),
    };
    let mut guest = qemu::power_on(card, &setup)?;
    let watch = Watch::start(&guest.socket(), guest.wire)?;
    let answers = probe.answers(&mut guest, BOOT_LIMIT)?;
    let seconds = guest.up().as_secs_f64();
    let journal = folder.join(format!("{name}.journal"));
    fs::write(&journal, answer(&answers, "journal")?).doing(journal.display())?;
    println!("booted and answered after {seconds:.0} s; journal in {}", journal.display());
    let address = format!("127.0.0.1:{port}");
    let pages =
        pages.iter().map(|page| http::wait_for(&address, page, PAGE_LIMIT).unwrap_or_else(|why| why.to_string()));
    let pages = pages.collect();
    watch.wait_for(last, LED_LIMIT);
    probe.switch_off(&mut guest)?;
    let (led, writes) = (decode(&watch.samples()), write_log::read(&log)?);
    fs::remove_file(&log).doing(log.display())?;
    println!("LED: {}", shown(&led));
    Ok(Boot { answers, pages, led, writes, seconds })
}

/// What holds of every boot that is ready.
fn healthy(checks: &mut Checks, card: &BootCard, boot: &Boot) -> Outcome<()> {
    let status = card.boot_text(STATUS)?;
    checks.hold(status.starts_with("READY: "), "line 1 of the status says READY", status.get(..800).unwrap_or(&status));
    checks.equal(newest(card)?["verdict"].as_str().unwrap_or(""), "READY", "the newest JSON slot says READY");
    for ((page, wanted), seen) in booted_card::PAGES.iter().zip(booted_card::ANSWERS).zip(&boot.pages) {
        checks.equal(seen, wanted, &format!("the container answers {page} over the forwarded port"));
    }
    let signals: Vec<Signal> = boot.led.iter().map(|shown| shown.signal).collect();
    let told = signals.iter().position(|signal| *signal == Signal::Working);
    let ready = signals.iter().position(|signal| *signal == Signal::Steady);
    checks.hold(told.is_some() && told < ready, "LED: slow even blinking, then steady", shown(&boot.led));
    system_is_sound(checks, boot)?;
    for number in [2, 3] {
        let sound = tool::run("e2fsck", &["-fn", &card.ext4(number)?]);
        checks.hold(sound.is_ok(), &format!("partition {number} is sound"), format!("{sound:?}"));
        let features = card.superblock(number, "Filesystem features")?;
        let state = card.superblock(number, "Filesystem state")?;
        let clean = state == "clean" && !features.contains("needs_recovery");
        checks.hold(clean, &format!("partition {number} was unmounted"), format!("{state}, {features}"));
    }
    checks.hold(!card.is_soiled()?, "partition 1 is not marked as dirty", "it is");
    Ok(())
}

/// What holds of every boot.
fn system_is_sound(checks: &mut Checks, boot: &Boot) -> Outcome<()> {
    checks.equal(answer(&boot.answers, "state")?, "running", "systemd says that the system is running");
    checks.equal(answer(&boot.answers, "failed")?, "", "no failed unit");
    checks.equal(answer(&boot.answers, "cycles")?, "", "no ordering cycle");
    let emergency = answer(&boot.answers, "emergency")?;
    checks.equal(emergency, "inactive\ninactive", "neither emergency nor rescue");
    let mounts = answer(&boot.answers, "mounts")?;
    let firmware = mounts.lines().find(|line| line.contains(" /boot/firmware vfat "));
    let read_only = firmware.is_some_and(|line| line.contains(" ro,"));
    checks.hold(read_only, "/boot/firmware is a real vfat, read-only in between", mounts);
    let on = |start: &str, option: &str| mounts.lines().any(|line| line.contains(start) && line.contains(option));
    checks.hold(on(" / ext4 ", "noatime"), "the root partition keeps no access times", mounts);
    checks.hold(on(" /tmp tmpfs ", "") && on(" /var/log tmpfs ", ""), "/tmp and /var/log are in memory", mounts);
    let controllers = answer(&boot.answers, "controllers")?;
    checks.hold(controllers.contains("memory"), "memory can be limited", controllers);
    checks.hold(answer(&boot.answers, "swaps")?.lines().count() == 1, "no swap", answer(&boot.answers, "swaps")?);
    let units = answer(&boot.answers, "units")?;
    let idle = ["hostapd", "dnsmasq", "ssh", "getty"].iter().all(|name| !units.contains(name));
    checks.hold(idle, "no access point, no DHCP server, no ssh and no login by themselves", units);
    Ok(())
}

/// Table and file system of partition 3 reach to the card's end, and the kernel grew it while it was mounted.
fn grown(checks: &mut Checks, before: &BootCard, card: &BootCard, boot: &Boot) -> Outcome<()> {
    let kept = (1..=2).all(|number| before.part(number) == card.part(number));
    checks.hold(kept, "partitions 1 and 2 are where they were", format!("{card:?}"));
    let (then, now) = (before.part(3), card.part(3));
    let grown = now.start == then.start && now.end() <= CARD && CARD - now.end() < FREE;
    checks.hold(grown, "partition 3 reaches to the card's end", format!("{now:?}"));
    let number = |field: &str| card.superblock(3, field)?.parse::<u64>().doing(field);
    let (blocks, size) = (number("Block count")?, number("Block size")?);
    checks.hold(blocks == now.length / size, "its file system fills it", format!("{blocks} blocks of {size}"));
    let journal = answer(&boot.answers, "journal")?;
    let line = journal.lines().find(|line| line.contains("resized filesystem to"));
    checks.hold(
        line.is_some_and(|line| line.contains(&blocks.to_string())),
        "the kernel grew it online",
        format!("{line:?}"),
    );
    let data = answer(&boot.answers, "mounts")?.lines().any(|line| line.contains(" /data ext4 rw"));
    checks.hold(data, "it is mounted on /data", "not mounted");
    Ok(())
}

/// What a boot with nothing to do may write: one receipt record, the status, and what logs it.
fn written(checks: &mut Checks, card: &BootCard, boot: &Boot) -> Outcome<()> {
    let root = write_log::files(card, 2, &boot.writes)?;
    tell("partition 2", &root);
    checks.hold(
        root.keys().all(|path| write_log::is_own(path)),
        "no file of partition 2 is written",
        format!("{root:?}"),
    );
    let data = write_log::files(card, 3, &boot.writes)?;
    // The engine keeps all that is its own below one folder.
    let (engine, rest): (BTreeMap<_, _>, BTreeMap<_, _>) =
        data.into_iter().partition(|(path, _)| path == "/docker" || path.starts_with("/docker/"));
    let ours: Vec<&String> = rest.keys().filter(|path| !write_log::is_own(path)).collect();
    tell("partition 3, the engine's", &engine);
    tell("partition 3, other", &rest);
    checks.hold(
        ours == ["/.offspot/receipts"],
        "of ours only the receipts of partition 3 are written",
        format!("{ours:?}"),
    );
    status_writes(checks, card, boot)
}

fn status_writes(checks: &mut Checks, card: &BootCard, boot: &Boot) -> Outcome<()> {
    let writes = write_log::within(&boot.writes, card.part(1));
    let mut held = Vec::new();
    for (name, most) in [(STATUS, 2), (SLOTS[0], 1), (SLOTS[1], 1)] {
        let extents = write_log::fat_extents(card, name)?;
        let times = extents.iter().map(|extent| write_log::most_often(&writes, extent.start, extent.length)).max();
        let times = times.unwrap_or(0);
        checks.hold((1..=most).contains(&times), &format!("{name} is written at most {most} times"), times);
        held.extend(extents);
    }
    let within =
        |write: &Write| held.iter().any(|own| write.start >= own.start && write.start < own.start + own.length);
    let part = card.part(1);
    let sectors = writes.iter().filter(|write| !within(write)).map(|write| (write.start - part.start) / 512);
    let mut other: Vec<u64> = sectors.collect();
    println!(
        "partition 1: {} writes, of these {} not into the status files, at sectors {other:?}",
        writes.len(),
        other.len()
    );
    let root = write_log::fat_root(card)?;
    let root = (root.start - part.start) / 512..(root.start + root.length - part.start) / 512;
    // The dirty mark, the count of free clusters, and the times in the folder.
    other.retain(|sector| *sector > 1 && !root.contains(sector));
    checks.hold(
        other.is_empty(),
        "nothing else of partition 1 is written but dirty mark and times",
        format!("{other:?}"),
    );
    Ok(())
}

fn tell(what: &str, files: &BTreeMap<String, usize>) {
    println!("{what}: {} blocks", files.values().sum::<usize>());
    files.iter().take(40).for_each(|(path, blocks)| println!("  {blocks:>6}  {path}"));
}

/// The slot with the higher number that is whole.
fn newest(card: &BootCard) -> Outcome<Value> {
    let slots = SLOTS.map(|name| card.boot_text(name));
    let whole = slots.iter().flatten().filter_map(|text| offspot_agent::report::json::unseal(text));
    whole
        .max_by_key(|object| object["seq"].as_u64())
        .ok_or_else(|| tool::Failure::new("no whole JSON status on the card"))
}

/// What the agent needed but for the engine's start, in milliseconds: that is the emulation's share, and differs by more than all the rest.
fn own_milliseconds(answers: &Answers) -> Outcome<u64> {
    let status: Value = serde_json::from_str(answer(answers, "status")?).doing("/run/offspot/status.json")?;
    let steps = status["timeline"]["steps"].as_array().cloned().unwrap_or_default();
    ensure(!steps.is_empty(), "the status has no timeline")?;
    Ok(steps.iter().filter(|step| step["phase"] != "engine").filter_map(|step| step["ms"].as_u64()).sum())
}

/// Where the time went.
fn timeline(boot: &Boot) -> Outcome<()> {
    println!("{}", answer(&boot.answers, "time")?);
    answer(&boot.answers, "chain")?.lines().take(14).for_each(|line| println!("{line}"));
    answer(&boot.answers, "blame")?.lines().take(12).for_each(|line| println!("{line}"));
    let status: Value = serde_json::from_str(answer(&boot.answers, "status")?).doing("/run/offspot/status.json")?;
    println!("agent's own timeline: {}", status["timeline"]);
    println!("{}", answer(&boot.answers, "security")?.lines().last().unwrap_or_default());
    println!("power on to all answered: {:.0} s", boot.seconds);
    Ok(())
}

fn shown(led: &[Shown]) -> String {
    led.iter().map(Shown::to_string).collect::<Vec<_>>().join(", then ")
}
