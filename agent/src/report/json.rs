//! The status as JSON, `schema: 1`: what `/run/offspot/status.json` and the two slots on the boot partition hold.

use serde_json::{Value, json};

use super::{Context, Item, State, Status, Verdict};
use crate::problem::Facts;

/// The whole status as one JSON object.
pub fn object(status: &Status, context: &Context, seq: u64) -> Value {
    let problems: Vec<Value> = status
        .problems
        .iter()
        .map(|problem| {
            let Facts { code, area, item, later, sentence, advice } = problem.facts();
            json!({ "code": code, "area": area, "item": item, "later": later, "sentence": sentence, "advice": advice })
        })
        .collect();
    let foremost = status.foremost();
    // What failed comes first: a list that is cut loses its end.
    let (failed, rest): (Vec<&Item>, Vec<&Item>) = status.items.iter().partition(|item| item.state == State::Failed);
    let items: Vec<Value> = failed.into_iter().chain(rest).map(|item| of_item(item, status)).collect();
    json!({
        "schema": 1,
        "seq": seq,
        "boot_id": context.boot_id,
        "boots": context.boots(),
        "agent": env!("CARGO_PKG_VERSION"),
        "verdict": status.verdict,
        "phase": status.phase,
        "done": status.progress.done,
        "total": status.progress.total,
        "rate": status.progress.rate().filter(|_| status.verdict == Verdict::Working),
        "remaining": status.progress.remaining().filter(|_| status.verdict == Verdict::Working),
        "exit_code": status.exit_code(),
        "led": match status.verdict {
            Verdict::Degraded | Verdict::Stopped => foremost.map_or(1, |facts| facts.area.led_count()),
            Verdict::Working | Verdict::Ready | Verdict::Interrupted => 0,
        },
        "settings": context.settings(),
        "problems": problems,
        "items": items,
        "notes": status.notes,
        "timeline": status.timeline.to_json(),
    })
}

/// An item; the one that is being worked on with its bytes.
fn of_item(item: &Item, status: &Status) -> Value {
    let mut object = json!(item);
    let current = status.current.as_ref().filter(|current| current.is(item));
    if let (Some(object), Some(Value::Object(bytes))) =
        (object.as_object_mut(), current.map(|it| it.progress.to_json()))
    {
        object.extend(bytes);
    }
    object
}

/// The object as text with its checksum as last member: CRC-32 (hex) of all bytes before `,"crc32"`.
pub fn sealed(object: &Value) -> String {
    let mut text = object.to_string();
    text.pop();
    let crc = crc32fast::hash(text.as_bytes());
    text.push_str(&format!(",\"crc32\":\"{crc:08x}\"}}"));
    text
}

/// The object of a sealed text, with white space behind it allowed; `None` where it is torn or damaged.
pub fn unseal(text: &str) -> Option<Value> {
    // By bytes: most of a slot is blanks, and going back through it letter by letter takes longer than all the rest.
    let text = &text[..text.as_bytes().trim_ascii_end().len()];
    let (body, seal) = text.rsplit_once(",\"crc32\":\"")?;
    let crc = u32::from_str_radix(seal.strip_suffix("\"}")?, 16).ok()?;
    if crc != crc32fast::hash(body.as_bytes()) {
        return None;
    }
    serde_json::from_str(text).ok()
}

/// A sealed text of at most `room` bytes: lists are cut, and say so, rather than the text torn.
pub fn sealed_within(mut object: Value, room: usize) -> String {
    let mut text = sealed(&object);
    for list in ["notes", "items", "problems"] {
        while text.len() > room {
            let Some(members) = object[list].as_array_mut().filter(|members| !members.is_empty()) else {
                break;
            };
            members.truncate(members.len() / 2);
            object["cut"] = json!(true);
            text = sealed(&object);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flipped_byte_or_a_torn_end_is_seen() {
        let text = sealed(&json!({ "schema": 1, "seq": 3 }));
        assert_eq!(unseal(&format!("{text}  \r\n")).unwrap()["seq"], 3);
        assert!(unseal(&text.replace("3,", "4,")).is_none());
        assert!(unseal(&text[..text.len() - 1]).is_none());
    }

    #[test]
    fn a_long_list_is_cut_to_the_room_there_is() {
        let long = json!({ "schema": 1, "items": vec!["x".repeat(100); 500], "notes": [], "problems": [] });
        let text = sealed_within(long, 4096);
        assert!(text.len() <= 4096);
        let object = unseal(&text).unwrap();
        assert_eq!(object["cut"], true);
        assert!(!object["items"].as_array().unwrap().is_empty());
    }
}
