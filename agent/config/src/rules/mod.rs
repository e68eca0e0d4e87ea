//! What a value of each key may be. Pure functions of texts and numbers; where the value stands is for the caller to know.

pub mod amounts;
pub mod content;
pub mod firmware;
pub mod names;
pub mod network;
pub mod ports;
pub mod wifi;

use crate::code;
use crate::finding::Complaint;

/// The checked value, or what is wrong with it.
pub type Verdict<T = ()> = Result<T, Complaint>;

/// Refuses control characters, line ends and tabs included, and invisible marks of direction.
pub fn one_line(text: &str) -> Verdict {
    let odd = |letter: char| letter.is_control() || is_invisible(letter);
    match text.chars().find(|letter| odd(*letter)) {
        None => Ok(()),
        Some(letter) => {
            let message = format!("it holds a control or invisible character (U+{:04X})", letter as u32);
            Err(Complaint::new(code::CONTROL, message, "Type the value anew, on one line."))
        }
    }
}

/// Line ends, marks of direction and of nothing; the joiner U+200D is part of emoji and of some scripts.
fn is_invisible(letter: char) -> bool {
    letter != '\u{200d}'
        && matches!(letter, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2064}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// A value as it may appear in a message: escaped, quoted, not too long, without the password of an address.
pub fn shown(text: &str) -> String {
    let text = crate::excerpt::mask_user_info(text);
    let cut: String = text.chars().take(48).collect();
    let more = if cut.len() < text.len() { "…" } else { "" };
    format!("{:?}{more}", cut)
}
