//! Our reader of compose files against the real one: the same text through `docker-compose config` and through us, compared field by field.

use std::collections::BTreeMap;
use std::path::Path;

use offspot_config::compose::{self, Condition, Project, Restart, Service, dotenv};
use offspot_config::{Severity, to_compose_yaml, to_yaml, yaml};
use offspot_tests::other_release::Release;
use serde_json::{Value, json};

mod compose_config {
    pub mod bad_keys;
    pub mod differences;
    pub mod files;
    pub mod keys;
    pub mod real;
    pub mod texts;
    pub mod theirs;
}
use compose_config::bad_keys::BAD;
use compose_config::differences::{CHANCE, DIFFERENCES};
use compose_config::files;
use compose_config::keys::{AROUND, SERVICES};
use compose_config::real::{RELEASES, Real};
use compose_config::texts::{COMMANDS, ENV_FILES, SEVERAL_FILES, TEMPLATES};
use compose_config::theirs;

type Outcome<T> = Result<T, String>;

/// Without what says nothing: null, false, nothing in it; and without order where there is none.
fn pruned(value: Value) -> Value {
    let says = |value: &Value| match value {
        Value::Null | Value::Bool(false) => false,
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(entries) => !entries.is_empty(),
        Value::Bool(true) | Value::Number(_) => true,
    };
    match value {
        Value::Array(items) => items.into_iter().map(pruned).collect(),
        Value::Object(entries) => {
            let keep = |(key, value): (String, Value)| {
                // A variable without value is not an absent one.
                let value = if key == "environment" { marked(value) } else { pruned(value) };
                says(&value).then_some((key, value))
            };
            entries.into_iter().filter_map(keep).collect()
        }
        other => other,
    }
}

fn marked(environment: Value) -> Value {
    let mark = |(name, value): (String, Value)| match value.as_str() {
        Some(text) => (name, json!(format!("={text}"))),
        None => (name, json!("none")),
    };
    environment.as_object().cloned().unwrap_or_default().into_iter().map(mark).collect()
}

/// Lists whose order means nothing.
fn sorted(mut service: Value) -> Value {
    for place in ["/depends_on", "/expose", "/ports", "/limits/ulimits", "/mounts", "/isolation/extra_hosts"] {
        if let Some(Value::Array(items)) = service.pointer_mut(place) {
            items.sort_by_key(Value::to_string);
        }
    }
    service
}

/// A compose file below `containers`, as in the settings.
fn settings(text: &str) -> String {
    let lines = text.split('\n').map(|line| if line.is_empty() { String::new() } else { format!("  {line}") });
    format!("containers:\n{}\n", lines.collect::<Vec<_>>().join("\n"))
}

/// What we read, and what refuses.
fn ours(text: &str) -> (Project, Vec<String>) {
    let reading = yaml::read(settings(text).as_bytes());
    let containers = reading.root.as_ref().and_then(|root| root.get("containers"));
    let (project, found) = containers.map(compose::read).unwrap_or_default();
    let errors = reading.findings.iter().chain(&found).filter(|finding| finding.severity == Severity::Error);
    let errors = errors.map(|finding| format!("{} {}", finding.key, finding.message)).collect();
    (project, errors)
}

/// One of our services as theirs are written: with what is left out of its digest, and its files of variables read.
fn our_service(service: &Service) -> Outcome<Value> {
    let mut all = serde_json::to_value(service).map_err(|error| error.to_string())?;
    let mut variables: BTreeMap<String, Option<String>> = BTreeMap::new();
    for file in &service.process.env_file {
        let text = match std::fs::read_to_string(&file.path) {
            Err(_) if !file.required => continue,
            text => text.map_err(|error| format!("{}: {error}", file.path))?,
        };
        let known = variables.iter().filter_map(|(name, value)| Some((name.clone(), value.clone()?))).collect();
        let read = if file.raw { dotenv::read_raw(&text) } else { dotenv::read_after(&text, &known) };
        let read = read.map_err(|bad| format!("{}:{}: {}", file.path, bad.line, bad.reason))?;
        variables.extend(read.into_iter().filter(|(_, value)| value.is_some()));
    }
    variables.extend(service.process.environment.clone());
    all["process"]["environment"] = json!(variables);
    all["process"]["env_file"] = Value::Null;
    // Not told apart in what they print: one release leaves out yes, the other no.
    for mount in all["mounts"].as_array_mut().into_iter().flatten() {
        if let Some(create) = mount.pointer_mut("/kind/Bind/create") {
            create.take();
        }
    }
    all["replicas"] = json!(service.replicas.0);
    all["restart"] = match service.restart {
        Restart::OnFailure(count) => json!({ "OnFailure": count }),
        other => json!(other),
    };
    let condition = |condition| match condition {
        Condition::Started => "service_started",
        Condition::Healthy => "service_healthy",
        Condition::Completed => "service_completed_successfully",
    };
    let depends_on = service.depends_on.iter().map(|on| {
        json!({"service": on.service, "condition": condition(on.condition), "restart": on.restart, "required": on.required})
    });
    all["depends_on"] = depends_on.collect();
    Ok(all)
}

/// Field by field; gives what differs.
fn differences(at: &str, ours: &Value, theirs: &Value, found: &mut Vec<String>) {
    match (ours, theirs) {
        (Value::Object(one), Value::Object(two)) => {
            let keys: std::collections::BTreeSet<&String> = one.keys().chain(two.keys()).collect();
            for key in keys {
                let (one, two) = (one.get(key).unwrap_or(&Value::Null), two.get(key).unwrap_or(&Value::Null));
                differences(&format!("{at}.{key}"), one, two, found);
            }
        }
        _ if ours == theirs || ours.as_f64().is_some() && ours.as_f64() == theirs.as_f64() => {}
        _ => found.push(format!("{at}: ours {ours}, theirs {theirs}")),
    }
}

fn compare(project: &Project, real: &Value) -> Outcome<Vec<String>> {
    let mut found = Vec::new();
    let none = serde_json::Map::new();
    let of = |key: &str| real[key].as_object().unwrap_or(&none).clone();
    let services = of("services");
    differences("name", &json!(project.name), &real["name"], &mut found);
    let names = |names: Vec<&str>| {
        let mut names = names;
        names.sort_unstable();
        json!(names)
    };
    let ours = project.services.iter().map(|service| service.name.as_str()).collect();
    differences("services", &names(ours), &names(services.keys().map(String::as_str).collect()), &mut found);
    for service in &project.services {
        let Some(given) = services.get(&service.name) else { continue };
        found.extend(compare_service(service, given));
    }
    // Compose prints only what services use.
    for (key, given) in of("networks") {
        let ours = project.networks.iter().find(|network| network.key == key);
        differences(
            &format!("networks.{key}"),
            &pruned(json!(ours)),
            &pruned(theirs::shared(&key, &given)),
            &mut found,
        );
    }
    for (key, given) in of("volumes") {
        let ours = project.volumes.iter().find(|volume| volume.key == key);
        differences(&format!("volumes.{key}"), &pruned(json!(ours)), &pruned(theirs::shared(&key, &given)), &mut found);
    }
    for (list, objects) in [("configs", &project.configs), ("secrets", &project.secrets)] {
        for (key, given) in of(list) {
            let ours = objects.iter().find(|object| object.key == key);
            differences(
                &format!("{list}.{key}"),
                &pruned(json!(ours)),
                &pruned(theirs::object(&key, &given)),
                &mut found,
            );
        }
    }
    Ok(found)
}

/// Whether the table knows a difference of this case in this release; marks it as seen.
fn expected(case: &str, release: Release, said: &str, seen: &mut Vec<usize>) -> bool {
    let fits = |(known, only, part, _): &(&str, Option<Release>, &str, &str)| {
        *known == case && only.is_none_or(|only| only == release) && said.contains(part)
    };
    match DIFFERENCES.iter().position(fits) {
        Some(index) => {
            seen.push(index);
            true
        }
        None => false,
    }
}

/// Puts what differs and is not in the table on the list.
fn judge(real: &Real, case: &str, text: &str, seen: &mut Vec<usize>, wrong: &mut Vec<String>) {
    let theirs = real.config(text);
    let (project, mut errors) = ours(text);
    // Files of variables are read by the agent: what is wrong in them refuses too.
    errors.extend(project.services.iter().filter_map(|service| our_service(service).err()));
    let found = match (&theirs, errors.is_empty()) {
        (Err(_), false) => Vec::new(),
        (Err(said), true) => vec![format!("theirs refuses: {said}")],
        (Ok(_), false) => vec![format!("ours refuses: {}", errors.join("; "))],
        (Ok(theirs), true) => compare(&project, theirs).unwrap_or_else(|said| vec![said]),
    };
    note(real, case, found, seen, wrong);
}

fn note(real: &Real, case: &str, found: Vec<String>, seen: &mut Vec<usize>, wrong: &mut Vec<String>) {
    let found: Vec<String> = found.into_iter().filter(|said| !expected(case, real.release, said, seen)).collect();
    if !found.is_empty() {
        wrong.push(format!("{:?} {case}\n    {}", real.release, found.join("\n    ")));
    }
}

/// Many cases at once, each a service of one file; those that compose refuses are found by halving.
fn judge_services(real: &Real, cases: &[&str], seen: &mut Vec<usize>, wrong: &mut Vec<String>) {
    let mut groups: Vec<&[&str]> = cases.chunks(50).collect();
    while let Some(group) = groups.pop() {
        let lines = group.iter().enumerate().map(|(index, keys)| format!("case{index}: {{{keys}}}"));
        let text = AROUND.replace("a: {@}", &lines.collect::<Vec<_>>().join("\n  "));
        let theirs = match real.config(&text) {
            Err(_) if group.len() > 1 => {
                let (one, two) = group.split_at(group.len() / 2);
                groups.extend([one, two]);
                continue;
            }
            theirs => theirs,
        };
        let (project, errors) = ours(&text);
        for (index, case) in group.iter().enumerate() {
            let name = format!("case{index}");
            let ours = project.services.iter().find(|service| service.name == name);
            let asleep = project.dormant.contains(&name);
            let mut found = Vec::new();
            match (&theirs, ours) {
                (Err(said), Some(_)) => found.push(format!("theirs refuses: {said}")),
                (Err(_), None) => {}
                (Ok(theirs), Some(ours)) => found.extend(compare_service(ours, &theirs["services"][&name])),
                (Ok(theirs), None) if asleep => {
                    differences(&name, &Value::Null, &theirs["services"][&name], &mut found);
                }
                (Ok(_), None) => {
                    let mine = errors.iter().filter(|said| said.contains(&format!("services.{name}")));
                    found.push(format!("ours refuses: {}", mine.cloned().collect::<Vec<_>>().join("; ")));
                }
            }
            note(real, case, found, seen, wrong);
        }
    }
}

fn compare_service(service: &Service, given: &Value) -> Vec<String> {
    let mut found = Vec::new();
    match (our_service(service), theirs::service(&service.name, given)) {
        (Ok(ours), Ok(theirs)) => {
            let at = format!("services.{}", service.name);
            differences(&at, &sorted(pruned(ours)), &sorted(pruned(theirs)), &mut found);
        }
        (ours, theirs) => found.extend(ours.err().into_iter().chain(theirs.err())),
    }
    found
}

fn report(wrong: &[String]) {
    assert!(wrong.is_empty(), "{} cases differ:\n{}", wrong.len(), wrong.join("\n"));
}

/// A whole file around the keys of one service.
fn around(keys: &str) -> String {
    AROUND.replace("@", keys)
}

#[test]
fn every_key_means_what_it_means_to_compose() {
    let (mut seen, mut wrong) = (Vec::new(), Vec::new());
    for release in RELEASES {
        let real = Real::of(release, "keys");
        judge_services(&real, SERVICES, &mut seen, &mut wrong);
        for keys in BAD {
            judge(&real, keys, &around(keys), &mut seen, &mut wrong);
        }
    }
    report(&wrong);
    unused(&seen, |case| SERVICES.contains(&case) || BAD.contains(&case));
}

#[test]
fn whole_files_mean_what_they_mean_to_compose() {
    let (mut seen, mut wrong) = (Vec::new(), Vec::new());
    for release in RELEASES {
        let real = Real::of(release, "files");
        for (name, text) in files::all() {
            let text = if text.starts_with("name:") { text } else { format!("name: offspot\n{text}") };
            judge(&real, name, &text, &mut seen, &mut wrong);
        }
    }
    report(&wrong);
    unused(&seen, |case| files::all().any(|(name, _)| name == case));
}

/// The settings are merged, written and read again before their services are.
#[test]
fn whole_files_mean_the_same_when_they_are_written_back() {
    let meant = |text: &str| {
        let all = ours(text).0;
        let refused: Vec<&str> = all.refused.iter().map(|refused| refused.name.as_str()).collect();
        json!([all.services, all.networks, all.volumes, all.configs, all.secrets, all.dormant, refused])
    };
    let mut wrong = Vec::new();
    for (name, text) in files::all().chain(SERVICES.iter().map(|keys| (*keys, around(keys)))) {
        // What is no YAML is never written.
        let Some(given) = yaml::read(settings(&text).as_bytes()).root else { continue };
        let given = yaml::read(to_yaml(&given).as_bytes()).root.expect("a document");
        let containers = given.get("containers").map(to_compose_yaml).unwrap_or_default();
        differences(name, &meant(&text), &meant(&containers), &mut wrong);
    }
    report(&wrong);
}

/// A difference that is none any more must leave the table.
fn unused(seen: &[usize], mine: impl Fn(&str) -> bool) {
    for (index, (case, .., reason)) in DIFFERENCES.iter().enumerate() {
        assert!(
            !mine(case) || *reason == CHANCE || seen.contains(&index),
            "{case} no longer differs as the table says"
        );
    }
    for (case, ..) in DIFFERENCES {
        let known = SERVICES.contains(case) || BAD.contains(case) || files::all().any(|(name, _)| name == *case);
        let of_files = ENV_FILES.contains(case) || SEVERAL_FILES.contains(case);
        assert!(known || of_files, "the table names {case}, which is no case");
    }
}

/// Every text as a label of a service of its own; those that compose refuses one by one.
#[test]
fn variables_are_replaced_as_compose_does() {
    texts(&[TEMPLATES, &random_texts()].concat(), "labels", |service| {
        service.labels.get("x").map(|text| json!({ "x": text }))
    });
}

/// Pieces of templates in random order, the same at every run.
fn random_texts() -> Vec<&'static str> {
    const PIECES: [&str; 17] =
        ["$", "$$", "{", "}", "${", "${A", "${A:-", "${B-", "${C:+", "${D+", ":", "-", "a", "A", "1", " ", "\n"];
    random(PIECES, 11)
}

fn random<const N: usize>(pieces: [&str; N], mut state: u64) -> Vec<&'static str> {
    let mut below = |limit: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((state >> 33) % limit as u64) as usize
    };
    let mut text = || -> &'static str {
        let text: String = (0..1 + below(9)).map(|_| pieces[below(N)]).collect();
        text.leak()
    };
    (0..60).map(|_| text()).collect()
}

/// Every command line as the command of a service of its own.
#[test]
fn command_lines_are_split_as_compose_does() {
    const PIECES: [&str; 20] =
        ["a", "b", "1", " ", "\t", "\n", "\\", "\"", "'", "`", "(", ")", "$(", ";", ">", "2>", "t", "n", "{", "é"];
    let lines: Vec<String> =
        [COMMANDS, &random(PIECES, 5)].concat().iter().map(|line| line.replace('$', "$$")).collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    texts(&lines, "command", |service| service.process.command.as_ref().map(|words| json!(words)));
}

/// Each text as the value of one key; what compose accepts must be the same here, what it refuses must be refused.
fn texts(texts: &[&str], key: &str, value: impl Fn(&Service) -> Option<Value>) {
    let document = |texts: &[(usize, &str)]| {
        let one = |(index, text): &(usize, &str)| {
            let text = if key == "labels" { json!({ "x": text }) } else { json!(text) };
            (format!("s{index}"), json!({"image": "a", key: text}))
        };
        let services: serde_json::Map<String, Value> = texts.iter().map(one).collect();
        json!({"name": "offspot", "services": services}).to_string()
    };
    let mut wrong = Vec::new();
    for release in RELEASES {
        let real = Real::of(release, key);
        let mut groups: Vec<Vec<(usize, &str)>> = vec![texts.iter().copied().enumerate().collect()];
        let mut accepted = 0;
        while let Some(mut group) = groups.pop() {
            let text = document(&group);
            let theirs = match real.config(&text) {
                Err(_) if group.len() > 1 => {
                    let rest = group.split_off(group.len() / 2);
                    groups.extend([group, rest]);
                    continue;
                }
                theirs => theirs,
            };
            let (project, errors) = ours(&text);
            for (index, text) in &group {
                let name = format!("s{index}");
                let ours = project.services.iter().find(|service| service.name == name).map(&value);
                let theirs = theirs.as_ref().ok().map(|theirs| theirs["services"][&name][key].clone());
                accepted += usize::from(theirs.is_some());
                let same = match (&ours, &theirs) {
                    (None, None) => true,
                    (Some(ours), Some(theirs)) => pruned(json!(ours)) == pruned(theirs.clone()),
                    _ => false,
                };
                if !same {
                    wrong.push(format!("{release:?} {text:?}: ours {ours:?} {errors:?}, theirs {theirs:?}"));
                }
            }
        }
        assert!(accepted > 20, "compose accepts next to nothing");
    }
    report(&wrong);
}

#[test]
fn files_of_variables_are_read_as_compose_does() {
    let (mut seen, mut wrong) = (Vec::new(), Vec::new());
    for release in RELEASES {
        let real = Real::of(release, "env");
        let file = |name: &str, text: &str| -> String {
            let path = real.folder.join(name);
            std::fs::write(&path, text).expect("a file of variables");
            path.display().to_string()
        };
        for text in ENV_FILES {
            let yaml = format!("name: offspot\nservices: {{a: {{image: a, env_file: {}}}}}\n", file("one.env", text));
            judge(&real, text, &yaml, &mut seen, &mut wrong);
        }
        several_files(&real, &file, &mut seen, &mut wrong);
    }
    report(&wrong);
    unused(&seen, |case| ENV_FILES.contains(&case) || SEVERAL_FILES.contains(&case));
}

fn several_files(real: &Real, file: &dyn Fn(&str, &str) -> String, seen: &mut Vec<usize>, wrong: &mut Vec<String>) {
    let (first, second) = (file("first.env", "A=1\nB=2\nC=$A\n"), file("second.env", "B=3\nD=${A}-$X\nN\n"));
    let absent = real.folder.join("absent.env");
    let absent = absent.display();
    let third = file("third.env", "A=2\nB=$A\n");
    let several = [
        format!("env_file: [{first}, {second}]"),
        format!("env_file: [{second}, {first}], environment: {{A: 9, E: , D: }}"),
        format!("env_file: [{first}, {first}]"),
        format!("env_file: [{{path: {first}}}, {{path: {absent}, required: false}}]"),
        format!("env_file: {absent}"),
        format!("env_file: [{{path: {second}, required: true}}], environment: [B=7, N]"),
        format!("env_file: {first}, environment: {{X: $A}}"),
        format!("env_file: [{first}, {third}]"),
    ];
    for (name, keys) in SEVERAL_FILES.iter().zip(several) {
        let yaml = format!("name: offspot\nservices: {{a: {{image: a, {keys}}}}}\n");
        judge(real, name, &yaml, seen, wrong);
    }
    if real.release == Release::Sid {
        let raw = file("raw.env", "A=\"x\" # $B\n# c\nB= y\nC\n");
        let yaml = format!("name: offspot\nservices: {{a: {{image: a, env_file: [{{path: {raw}, format: raw}}]}}}}\n");
        judge(real, "raw", &yaml, seen, wrong);
    }
}

/// The recipes that are out there: nothing to mention, and the same meaning.
#[test]
fn real_recipes_mean_the_same() {
    let recipe = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/compose/tuto.offspot.yaml");
    let reading = yaml::read(&std::fs::read(recipe).expect("the recipe"));
    let containers = reading.root.as_ref().and_then(|root| root.get("containers")).expect("containers").to_json();
    let mut wrong = Vec::new();
    for release in RELEASES {
        let mut containers = containers.clone();
        containers["name"] = json!("offspot");
        judge(&Real::of(release, "recipe"), "the recipe", &containers.to_string(), &mut Vec::new(), &mut wrong);
    }
    report(&wrong);
}
