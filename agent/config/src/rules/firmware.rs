//! Which Wi-Fi firmware there is.

use super::{Verdict, shown};
use crate::finding::Complaint;

/// Chipsets and their firmware choices.
pub const CHOICES: &[(&str, &[&str])] = &[
    (
        "brcm43455",
        &["raspios", "supports-19_2021-11-30", "supports-24_2021-10-05_noap+sta", "supports-32_2015-03-01_unreliable"],
    ),
    ("brcm43430", &["raspios", "supports-30_2018-09-28"]),
];

/// A choice that exists for this chipset.
pub fn firmware(chipset: &str, choice: &str) -> Verdict {
    let Some((_, choices)) = CHOICES.iter().find(|(name, _)| *name == chipset) else {
        return Err(Complaint::value(
            format!("{} is not a chipset", shown(chipset)),
            "Use brcm43455 (Pi 3B+, 4, 5) or brcm43430 (Pi 3, Zero W).",
        ));
    };
    if choices.contains(&choice) {
        return Ok(());
    }
    Err(Complaint::value(
        format!("{} is not a firmware of {chipset}", shown(choice)),
        format!("Use one of: {}.", choices.join(", ")),
    ))
}
