//! Our services mean what docker compose means: the corpus of compose files through both, field by field.

use std::collections::VecDeque;
use std::sync::Mutex;

use offspot_tests::other_release::{Programs, Release};
use offspot_tests::parity::case;
use offspot_tests::parity::compare::Judge;
use offspot_tests::parity::pair::Pair;
use offspot_tests::parity::run::{Report, run};
use offspot_tests::parity::stock::Stock;

/// Pairs of engines at work at once: much of the time is waiting.
const PAIRS: usize = 3;

/// Every case, or with `PARITY_ONLY` in the environment those whose names contain one of its words (commas between).
#[test]
fn every_file_means_here_what_it_means_to_docker_compose() {
    let only = std::env::var("PARITY_ONLY").unwrap_or_default();
    let all = case::all();
    let wanted: VecDeque<case::Case> =
        all.iter().filter(|case| only.split(',').any(|word| case.name.contains(word))).cloned().collect();
    let folder = std::env::temp_dir().join(format!("o-par-{}", std::process::id()));
    let programs = Programs::of(Release::Trixie).unwrap();
    std::fs::create_dir_all(&folder).unwrap();
    let stock = Stock::make(&folder, &programs, &case::images(&all));
    let (judge, queue, reports) = (Judge::default(), Mutex::new(wanted), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for worker in 0..PAIRS {
            let (folder, programs, stock, judge) = (folder.join(worker.to_string()), &programs, &stock, &judge);
            let (queue, reports) = (&queue, &reports);
            scope.spawn(move || {
                let pair = Pair::start(&folder, programs, stock);
                loop {
                    let next = queue.lock().unwrap().pop_front();
                    let Some(case) = next else { break };
                    let report = run(&pair, &case, judge);
                    tell(&report);
                    reports.lock().unwrap().push(report);
                }
            });
        }
    });
    let _ = std::fs::remove_dir_all(&folder);
    let mut wrong = verdict(&reports.into_inner().unwrap());
    if only.is_empty() {
        let needless = judge.needless();
        wrong.extend(
            needless.iter().map(|entry| format!("nothing needs the table's {} ({:?})", entry.path, entry.excuse)),
        );
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn tell(report: &Report) {
    let word = if report.differences.is_empty() { "same   " } else { "DIFFERS" };
    println!("{word} {} ({:.1} s)", report.case, report.seconds);
    for difference in &report.differences {
        println!("        {difference}");
    }
}

fn verdict(reports: &[Report]) -> Vec<String> {
    let differ = reports.iter().filter(|report| !report.differences.is_empty());
    differ.map(|report| format!("{}: {} differences", report.case, report.differences.len())).collect()
}
