//! `firmware`: which Wi-Fi firmware, by chipset.

use super::{Form, Key, Takes};
use crate::rules::firmware::{CHOICES, firmware};

/// The keys of `firmware`; each stands for itself.
#[rustfmt::skip]
pub const KEYS: &[Key] = &[
    Key { name: "brcm43455", takes: Takes::Text(|text| firmware("brcm43455", text), Form::Words(|| CHOICES[0].1.to_vec())), about: "Wi-Fi firmware of a Pi 3B+, 4 or 5." },
    Key { name: "brcm43430", takes: Takes::Text(|text| firmware("brcm43430", text), Form::Words(|| CHOICES[1].1.to_vec())), about: "Wi-Fi firmware of a Pi 3 or Zero W." },
];
