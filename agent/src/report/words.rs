//! `OFFSPOT-STATUS.txt`: the status for people. Plain ASCII, CRLF, at most 60 lines.

use super::progress::speed;
use super::{Context, Item, Kind, Phase, State, Status, Verdict};

/// Most lines of the file.
const LINES: usize = 60;
/// Most lines of the problems, and of the notes.
const PROBLEM_LINES: usize = 30;
const NOTE_LINES: usize = 8;
/// Most characters of a line.
const WIDTH: usize = 100;

/// The text; the verdict stands on line 1.
pub fn text(status: &Status, context: &Context) -> String {
    let mut lines = vec![verdict_line(status), led_line(status), String::new()];
    lines.extend(problem_lines(status));
    let mut tail = note_lines(status);
    tail.extend(tail_lines(context));
    lines.extend(item_lines(status, LINES.saturating_sub(lines.len() + tail.len() + 1)));
    lines.push(String::new());
    lines.extend(tail);
    lines.truncate(LINES);
    lines.iter().map(|line| ascii(line) + "\r\n").collect()
}

fn verdict_line(status: &Status) -> String {
    let count = status.problems.len();
    let problems = if count == 1 { "1 problem".to_owned() } else { format!("{count} problems") };
    match status.verdict {
        Verdict::Working => format!("WORKING: {}. Do not unplug.", working(status)),
        Verdict::Ready => "READY: content, images and services are in place.".into(),
        Verdict::Degraded => format!("DEGRADED: {problems}, named below; the rest is in place."),
        Verdict::Interrupted => {
            "INTERRUPTED: the work was stopped before its end; it goes on when the box is started again.".into()
        }
        Verdict::Stopped => format!("STOPPED: the data partition cannot be used; {problems}, named below."),
    }
}

/// What it is at, with a percentage where the size is known.
pub fn working(status: &Status) -> String {
    let doing = match status.phase {
        Phase::Alive => "starting",
        Phase::Settings => "reading offspot.yaml",
        Phase::Card => "making the card whole",
        Phase::Plan => "planning",
        Phase::Host => "setting up the host",
        Phase::Content => "placing content",
        Phase::Engine => "starting the container engine",
        Phase::Images => "loading images",
        Phase::Services => "starting services",
        Phase::Done => "finishing",
    };
    let progress = &status.progress;
    let percent = (progress.done * 100).checked_div(progress.total).map(|percent| format!("{} %", percent.min(99)));
    let speed = Some(speed(progress.rate(), progress.remaining())).filter(|speed| !speed.is_empty());
    let told = [Some(doing.to_owned()), percent, speed];
    told.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// How far the item is that is being worked on: `12 of 80 MB, 300 kB/s, 4 min left`.
fn item_progress(item: &Item, status: &Status) -> Option<String> {
    let progress = &status.current.as_ref().filter(|current| current.is(item))?.progress;
    let megabytes = |bytes: u64| bytes / 1_000_000;
    let bytes = match progress.total {
        0 => format!("{} MB", megabytes(progress.done)),
        total => format!("{} of {} MB", megabytes(progress.done), megabytes(total)),
    };
    let speed = Some(speed(progress.rate(), progress.remaining())).filter(|speed| !speed.is_empty());
    (progress.done > 0).then(|| std::iter::once(bytes).chain(speed).collect::<Vec<_>>().join(", "))
}

fn led_line(status: &Status) -> String {
    match (status.verdict, status.foremost()) {
        (Verdict::Working, _) => "LED: slow even blinking.".into(),
        (Verdict::Ready, _) => "LED: steady for a minute, then as usual.".into(),
        (Verdict::Interrupted, _) => "LED: as usual.".into(),
        (_, foremost) => {
            format!("LED: one long flash, then {} short.", foremost.map_or(1, |facts| facts.area.led_count()))
        }
    }
}

/// Whole problems as far as there is room; the others are counted.
fn problem_lines(status: &Status) -> Vec<String> {
    let mut lines = Vec::new();
    for (number, problem) in status.problems.iter().enumerate() {
        let facts = problem.facts();
        let mut told = wrapped(&format!("{}. {} ({})", number + 1, facts.sentence, facts.code));
        told.extend(wrapped(&format!("   What to do: {}.", facts.advice.trim_end_matches('.'))));
        if lines.len() + told.len() > PROBLEM_LINES {
            lines.push(format!("and {} more, see offspot-status.json", status.problems.len() - number));
            break;
        }
        lines.append(&mut told);
    }
    lines
}

/// What is to be known and is no problem, the newest last.
fn note_lines(status: &Status) -> Vec<String> {
    let told = status.notes.len().min(NOTE_LINES);
    let mut lines: Vec<String> = status.notes.iter().take(told).map(|note| format!("Note: {note}.")).collect();
    if status.notes.len() > told {
        lines.push(format!("and {} more notes, see offspot-status.json", status.notes.len() - told));
    }
    lines
}

fn item_lines(status: &Status, room: usize) -> Vec<String> {
    let mut lines = Vec::new();
    // What failed comes first, so that the cut of a long list never hides it.
    let (failed, rest): (Vec<&Item>, Vec<&Item>) = status.items.iter().partition(|item| item.state == State::Failed);
    let all = failed.len() + rest.len();
    for item in failed.into_iter().chain(rest) {
        if lines.len() + 1 >= room && lines.len() + 1 < all {
            lines.push(format!("and {} more, see offspot-status.json", all - lines.len()));
            break;
        }
        let mark = match item.state {
            State::Waiting => "[  ]",
            State::Working => "[..]",
            State::Done => "[ok]",
            State::Failed => "[!!]",
        };
        let kind = match item.kind {
            Kind::Image => "image",
            Kind::File => "file",
            Kind::Service => "service",
        };
        let told = [Some(item.detail.clone()).filter(|detail| !detail.is_empty()), item_progress(item, status)];
        let told = told.into_iter().flatten().collect::<Vec<_>>().join(", ");
        let detail = if told.is_empty() { told } else { format!(": {told}") };
        lines.push(format!("{mark} {kind} {}{detail}", item.name));
    }
    lines
}

fn tail_lines(context: &Context) -> Vec<String> {
    let (boots, settings) = (context.boots(), context.settings());
    let mut lines = Vec::new();
    match (settings["file"].as_str(), settings["sha256"].as_str()) {
        (Some(file), Some(sha256)) => lines.push(format!("Settings: {file}, sha256 {sha256}")),
        _ => lines.push("Settings: no file read".into()),
    }
    lines.push(format!(
        "Agent {}, boot {} of this card, boot id {}",
        env!("CARGO_PKG_VERSION"),
        boots,
        context.boot_id
    ));
    lines.push("If this computer offers to format or repair a disk of this card, say no.".into());
    lines
}

fn wrapped(line: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in line.split_inclusive(' ') {
        let last = lines.len() - 1;
        if lines[last].chars().count() + word.trim_end().chars().count() > WIDTH && !lines[last].trim().is_empty() {
            lines.push(format!("   {word}"));
        } else {
            lines[last].push_str(word);
        }
    }
    lines
}

/// One line of printable ASCII, cut to the width of a page; a control character would break the page.
fn ascii(line: &str) -> String {
    line.trim_end().chars().take(2 * WIDTH).map(|c| if (' '..='~').contains(&c) { c } else { '?' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::problem::{CardProblem, SpaceProblem};

    fn status(problems: usize, items: usize) -> Status {
        let mut status = Status::begun();
        status.verdict = Verdict::Degraded;
        for n in 0..problems {
            let item = format!("/data/contents/zims/a very long name of a file, number {n}.zim").repeat(3);
            status.problems.push(SpaceProblem::Bytes { item, need: 1, have: 0 }.into());
        }
        for n in 0..items {
            let state = if n + 1 == items { State::Failed } else { State::Done };
            status.items.push(Item {
                kind: Kind::File,
                name: format!("/data/\u{e9}{n}"),
                state,
                detail: String::new(),
            });
        }
        status
    }

    #[test]
    fn stays_within_a_page_of_ascii_with_crlf() {
        let text = text(&status(30, 500), &Context::for_test());
        let lines: Vec<&str> = text.split_terminator("\r\n").collect();
        assert!(lines.len() <= LINES, "{} lines", lines.len());
        assert!(text.is_ascii());
        assert!(text.len() <= super::super::files::TEXT_SIZE, "{} bytes", text.len());
        assert!(lines[0].starts_with("DEGRADED: 30 problems"));
        assert!(text.contains("[!!] file /data/?499"), "what failed is never cut");
        assert!(text.contains("say no."));
    }

    #[test]
    fn names_the_problem_that_the_led_names() {
        let mut status = status(1, 0);
        status.problems.push(CardProblem::ReadOnly { disk: "/dev/mmcblk0".into() }.into());
        assert!(text(&status, &Context::for_test()).contains("LED: one long flash, then 3 short."));
    }
}
