//! The card, its table and its filesystems.

use super::{Area, Facts};

/// The card, its table and its filesystems.
#[derive(Debug, Clone)]
#[allow(missing_docs, reason = "the sentence of each stands in `facts`")]
pub enum CardProblem {
    NoBoot { why: String },
    NotFound { why: String },
    NotAllowed { why: String },
    NoData { disk: String },
    NotLast { disk: String },
    TableDamaged { disk: String, why: String },
    PastEnd { disk: String, end: u64, sectors: u64 },
    ReadOnly { disk: String },
    Failing { doing: String, why: String },
    Tool { tool: String, why: String },
    Filesystem { partition: String, why: String },
    NotMounted { partition: String, why: String },
    NotGrown { partition: String, why: String },
    Receipts { why: String },
}

impl CardProblem {
    /// What an error of the kernel on `device` means.
    pub fn of_io(device: &str, doing: &str, error: &std::io::Error) -> CardProblem {
        let why = format!("{device}: {error}");
        match error.raw_os_error() {
            Some(nix::libc::EROFS) => CardProblem::ReadOnly { disk: device.to_owned() },
            Some(nix::libc::EACCES | nix::libc::EPERM) => CardProblem::NotAllowed { why },
            Some(nix::libc::ENOENT | nix::libc::ENXIO | nix::libc::ENODEV | nix::libc::ENOMEDIUM) => {
                CardProblem::NotFound { why }
            }
            _ => CardProblem::Failing { doing: doing.to_owned(), why },
        }
    }

    /// Code, subject, sentence and advice.
    pub fn facts(&self) -> Facts {
        match self {
            CardProblem::NoBoot { why } => Facts::new(
                "E-CARD-BOOT",
                Area::Card,
                format!("the boot partition cannot be written: {why}"),
                "slide the lock of the card or of its adapter; if it has none, replace the card",
            ),
            CardProblem::NotFound { why } => Facts::new(
                "E-CARD-NOT-FOUND",
                Area::Card,
                format!("the card was not found: {why}"),
                "start the agent with --card DEVICE, or put the card back in its slot",
            ),
            CardProblem::NotAllowed { why } => Facts::new(
                "E-CARD-NOT-ALLOWED",
                Area::Card,
                format!("the card may not be opened: {why}"),
                "start the agent as root",
            ),
            CardProblem::NoData { disk } => Facts::new(
                "E-CARD-NO-DATA",
                Area::Card,
                format!("{disk} has no third partition to hold the data"),
                "write the image to the card again: partition 3 is gone",
            ),
            CardProblem::NotLast { disk } => Facts::new(
                "E-CARD-NOT-LAST",
                Area::Card,
                format!("partition 3 of {disk} is not the last one on the disk, so it cannot grow"),
                "the box goes on with the space there is; remove the partition behind it to get the rest",
            ),
            CardProblem::TableDamaged { disk, why } => Facts::new(
                "E-CARD-TABLE",
                Area::Card,
                format!("the partition table of {disk} cannot be used: {why}"),
                "write the image to the card again",
            ),
            CardProblem::PastEnd { disk, end, sectors } => Facts::new(
                "E-CARD-PAST-END",
                Area::Card,
                format!("a partition of {disk} ends at sector {end}, but the card has only {sectors}"),
                "the card is smaller than the image, or counterfeit: use a larger one",
            ),
            CardProblem::ReadOnly { disk } => Facts::new(
                "E-CARD-READ-ONLY",
                Area::Card,
                format!("{disk} is read-only"),
                "slide the lock of the card or of its adapter; if it has none, the card is worn out: replace it",
            ),
            CardProblem::Failing { doing, why } => Facts::new(
                "E-CARD-FAILING",
                Area::Card,
                format!("the card failed while {doing}: {why}"),
                "try another reader or slot; if it happens again replace the card",
            ),
            CardProblem::Tool { tool, why } => Facts::new(
                "E-CARD-TOOL",
                Area::Card,
                format!("{tool} could not be run: {why}"),
                "install the package that holds it (e2fsprogs, dosfstools), or write the image to the card again",
            ),
            CardProblem::Filesystem { partition, why } => Facts::new(
                "E-CARD-FILESYSTEM",
                Area::Card,
                format!("the filesystem on {partition} could not be repaired: {why}"),
                "copy what matters from the card on a Linux machine, then write the image to it again",
            ),
            CardProblem::NotMounted { partition, why } => Facts::new(
                "E-CARD-MOUNT",
                Area::Card,
                format!("{partition} could not be mounted: {why}"),
                "write the image to the card again; if it happens again replace the card",
            ),
            CardProblem::NotGrown { partition, why } => Facts::new(
                "E-CARD-NOT-GROWN",
                Area::Card,
                format!("{partition} could not be grown: {why}"),
                "the box goes on with the space there is, and tries again at the next start",
            ),
            CardProblem::Receipts { why } => Facts::new(
                "E-CARD-RECEIPTS",
                Area::Card,
                format!("what has been done could not be recorded on the data partition: {why}"),
                "the card may be full or worn out: free space on it or replace it",
            ),
        }
    }
}
