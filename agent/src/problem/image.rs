//! Image tarballs.

use super::{Area, Facts};

/// Image tarballs.
#[derive(Debug, Clone)]
#[allow(missing_docs, reason = "the sentence of each stands in `facts`")]
pub enum ImageProblem {
    Empty { item: String },
    NotArchive { item: String, why: String },
    Truncated { item: String, why: String },
    Unreadable { item: String, why: String },
    WrongArch { item: String, is: String, wants: String },
    Digest { item: String, part: String },
    Checksum { item: String, expected: String, found: String },
    NameTwice { item: String, name: String, other: String },
    Refused { item: String, why: String },
    NoMemory { item: String, need: u64, have: u64 },
    Missing { name: String },
    Fetch { item: String, why: String },
    Registry { item: String, why: String },
    PulledDigest { item: String, part: String },
}

impl ImageProblem {
    /// Code, subject, sentence and advice.
    pub fn facts(&self) -> Facts {
        match self {
            ImageProblem::Empty { item } => Facts::new(
                "E-IMAGE-EMPTY",
                Area::Image,
                format!("{item} is empty (0 bytes)"),
                "copy it to the card again",
            ),
            ImageProblem::NotArchive { item, why } => Facts::new(
                "E-IMAGE-NOT-ARCHIVE",
                Area::Image,
                format!("{item} is not an image tarball: {why}"),
                "make it with docker save or skopeo, and copy it to the card again",
            ),
            ImageProblem::Truncated { item, why } => Facts::new(
                "E-IMAGE-TRUNCATED",
                Area::Image,
                format!("{item} ends too early: {why}"),
                "copy it to the card again, and eject the card before pulling it out",
            ),
            ImageProblem::Unreadable { item, why } => Facts::new(
                "E-IMAGE-UNREADABLE",
                Area::Image,
                format!("{item} could not be read: {why}"),
                "copy it to the card again; if that fails too replace the card",
            ),
            ImageProblem::WrongArch { item, is, wants } => Facts::new(
                "E-IMAGE-ARCH",
                Area::Image,
                format!("{item} is for {is}, this board needs {wants}"),
                format!("save the image again for the platform {wants}"),
            ),
            ImageProblem::Digest { item, part } => Facts::new(
                "E-TRUST-IMAGE-DIGEST",
                Area::ImageTrust,
                format!("{part} of {item} does not match its digest"),
                "the tarball is damaged: copy it to the card again",
            ),
            ImageProblem::Checksum { item, expected, found } => Facts::new(
                "E-TRUST-IMAGE-CHECKSUM",
                Area::ImageTrust,
                format!("{item} has checksum {found}, expected {expected}"),
                "copy it to the card again, or correct the checksum in offspot.yaml",
            ),
            ImageProblem::NameTwice { item, name, other } => Facts::new(
                "E-IMAGE-TWICE",
                Area::Image,
                format!("{item} holds another image named {name} than {other} does"),
                "keep one of the two tarballs",
            ),
            ImageProblem::Refused { item, why } => Facts::new(
                "E-IMAGE-REFUSED",
                Area::Image,
                format!("the engine did not take {item}: {why}"),
                "save the image again, for example with docker save",
            ),
            ImageProblem::NoMemory { item, need, have } => Facts::new(
                "E-IMAGE-MEMORY",
                Area::Image,
                format!(
                    "a layer of {item} has {need} bytes, and the engine has {have} bytes of memory to unpack it in"
                ),
                "start the box again: the engine then unpacks on the card",
            ),
            ImageProblem::Missing { name } => Facts::new(
                "E-IMAGE-MISSING",
                Area::Image,
                format!("there is no image {name}: neither in the engine nor as a tarball on the card"),
                "put its tarball into offspot/images on the boot partition or /data/images",
            ),
            ImageProblem::Fetch { item, why } => Facts::new(
                "E-FETCH-IMAGE",
                Area::Image,
                format!("{item} could not be fetched: {why}"),
                "connect the box to the internet, or put the tarball into offspot/images on the boot partition",
            ),
            ImageProblem::Registry { item, why } => Facts::new(
                "E-IMAGE-REGISTRY",
                Area::Image,
                format!("{item} cannot be used as its registry has it: {why}"),
                "ask those who made the image, or put its tarball into offspot/images on the boot partition",
            ),
            ImageProblem::PulledDigest { item, part } => Facts::new(
                "E-TRUST-IMAGE-DIGEST",
                Area::ImageTrust,
                format!("{part} of {item} does not match its digest"),
                "the registry, or something on the way to it, changes what it sends: start the box again on another network, or put the tarball into offspot/images on the boot partition",
            ),
        }
    }
}
