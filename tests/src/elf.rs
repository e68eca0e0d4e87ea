//! As much of ELF as it takes to see whether a binary needs a loader.

use crate::tool::{Failure, Outcome};

const AARCH64: u16 = 183;
const PT_INTERP: u32 = 3;

/// What a binary is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Elf {
    /// Made for 64-bit ARM.
    pub is_aarch64: bool,
    /// No `PT_INTERP`: the kernel alone can start it.
    pub is_static: bool,
}

/// Looks at a 64-bit little-endian ELF file.
pub fn look(bytes: &[u8]) -> Outcome<Elf> {
    parse(bytes).ok_or_else(|| Failure::new("not a 64-bit little-endian ELF file"))
}

fn parse(bytes: &[u8]) -> Option<Elf> {
    if bytes.get(..6)? != b"\x7fELF\x02\x01" {
        return None;
    }
    let half = |at: usize| Some(u16::from_le_bytes(bytes.get(at..at + 2)?.try_into().ok()?));
    let word = |at: usize| Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
    let table = u64::from_le_bytes(bytes.get(32..40)?.try_into().ok()?) as usize;
    let (size, count) = (usize::from(half(54)?), usize::from(half(56)?));
    let kinds: Option<Vec<u32>> = (0..count).map(|index| word(table + index * size)).collect();
    Some(Elf { is_aarch64: half(18)? == AARCH64, is_static: !kinds?.contains(&PT_INTERP) })
}

#[cfg(test)]
mod tests {
    #[test]
    fn this_test_is_dynamic_and_text_is_no_elf() {
        let own = std::env::current_exe().and_then(std::fs::read).expect("own binary");
        assert!(!super::look(&own).expect("an ELF file").is_static);
        assert!(super::look(b"#!/bin/sh").is_err());
    }
}
