//! What is written back is what was read: to our own reader, and to PyYAML, which the containers on the card use.

use std::io::Write;
use std::process::{Command, Stdio};

use offspot_config::yaml::read;
use offspot_config::{Node, in_force, to_yaml};

/// Prints what PyYAML's safe loader makes of each NUL-separated document, dates and the like as text with their type.
const LOADER: &str = r#"
import json, sys, yaml
def plain(value):
    if isinstance(value, dict): return {k if isinstance(k, str) else "%s %r" % (type(k).__name__, k): plain(v) for k, v in value.items()}
    if isinstance(value, list): return [plain(v) for v in value]
    return value if value is None or isinstance(value, (str, bool, int)) else "%s %r" % (type(value).__name__, value)
print(json.dumps([plain(yaml.safe_load(text)) for text in sys.stdin.buffer.read().decode().split("\x00")]))
"#;

fn py_yaml(documents: &[String]) -> Vec<serde_json::Value> {
    let mut child = Command::new("python3")
        .args(["-c", LOADER])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3 is needed here");
    let mut stdin = child.stdin.take().unwrap();
    let joined = documents.join("\0");
    let feeder = std::thread::spawn(move || stdin.write_all(joined.as_bytes()));
    let output = child.wait_with_output().unwrap();
    feeder.join().unwrap().unwrap();
    assert!(output.status.success(), "PyYAML is needed here (Debian: python3-yaml)");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn strings() -> Vec<String> {
    let mut strings: Vec<String> = [
        "",
        " ",
        "a",
        "NO",
        "yes",
        "y",
        "null",
        "~",
        "true",
        "1",
        "1.10",
        "0x1F",
        "0o17",
        "017",
        "0b1",
        "1_000",
        "22:22",
        "8080:22",
        "80:80",
        "1:2:3.5",
        "2001-01-01",
        "2001-12-14 21:59:43.10 -5",
        ".inf",
        ".nan",
        "-",
        "--",
        "---",
        "...",
        "- a",
        "? a",
        "a: b",
        "a:",
        ":a",
        "a #b",
        "#a",
        "!a",
        "&a",
        "*a",
        "%a",
        "@a",
        "`a`",
        "[a]",
        "{a}",
        "'a'",
        "\"a\"",
        "it's",
        "a\\b",
        "=",
        "<<",
        "<",
        "\n",
        "\n\n",
        "a\n",
        "a\n\n",
        "a\nb",
        "a\nb\n",
        "a\n\nb\n",
        "\na",
        " a\nb",
        "a\n b\n",
        "a \nb",
        "a\n \nb",
        "a\n\tb",
        "\ta",
        "a\t",
        "a\r\nb",
        "a\rb",
        "\0",
        "\u{1b}[0m",
        "\u{7f}",
        "\u{85}",
        "a\u{a0}b",
        "\u{2028}",
        "\u{feff}a",
        "\u{ffff}",
        "é",
        "日本語",
        "😀",
        "{fqdn}",
        "//zim.{fqdn}/{name}",
        "/bin/sh -c \"kiwix-serve /data/*.zim\"",
        "a, b",
        "1e3",
        "+1",
        "+a",
        "0",
        "-0",
        "1.",
        ".5",
        "1h",
        "a|b",
        "|",
        ">",
        "192.168.1.1",
        "10:00",
        "a:b: c\n",
        "# a\nb",
        "--- a\nb",
    ]
    .map(String::from)
    .into();
    strings.extend(generated(600));
    strings.push("a long command line with spaces ".repeat(20));
    strings.push(format!("{}\n{}\n", "x y ".repeat(50).trim(), "z ".repeat(100).trim()));
    strings.push("k".repeat(2000));
    strings
}

/// Strings put together from what YAML cares about, the same ones each time.
fn generated(count: usize) -> impl Iterator<Item = String> {
    let pieces = [
        " ", "\n", "\t", "-", ":", "?", "#", "'", "\"", "\\", "|", ">", "[", "]", "{", "}", ",", "&", "*", "!", "%",
        "@", "`", "~", "=", "<", ".", "+", "_", "0", "1", "7", "9", "e", "x", "o", "b", "a", "no", "on", "null",
        "true", "é", "\u{85}", "\u{a0}", "\u{2028}", "\r", "\u{1}", "😀", "\n\n", "  ", ": ", " #", "- ", "---", "...",
    ];
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut random = move |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below as u64) as usize
    };
    (0..count).map(move |_| (0..1 + random(7)).map(|_| pieces[random(pieces.len())]).collect())
}

fn all_real_files() -> Vec<Node> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let yaml = files.filter(|file| file.extension().is_some_and(|end| end == "yaml" || end == "yml"));
    let read_one = |file: std::path::PathBuf| {
        let text = std::fs::read_to_string(&file).unwrap();
        read(text.as_bytes()).root.unwrap()
    };
    yaml.map(read_one).collect()
}

#[test]
fn every_string_survives_both_kinds_of_reader() {
    let strings = strings();
    let wrap = |text: &String| {
        let list = Node::from_json(&serde_json::json!([text, [text], {"k": text}, [[text, text]]]));
        Node::mapping([
            ("value", Node::text(text)),
            ("list", list),
            (if text == "value" { "" } else { text.as_str() }, Node::word("1.10")),
        ])
    };
    let trees: Vec<Node> =
        strings.iter().filter(|text| !["list", "value"].contains(&text.as_str())).map(wrap).collect();
    let written: Vec<String> = trees.iter().map(to_yaml).collect();
    for ((tree, text), seen) in trees.iter().zip(&written).zip(py_yaml(&written)) {
        let again = read(text.as_bytes());
        assert!(
            again.findings.is_empty() && again.root.as_ref().is_some_and(|root| root.same(tree)),
            "{text}\n{:?}",
            again.findings
        );
        let wanted =
            serde_json::from_str::<serde_json::Value>(&tree.to_json().to_string().replace(":1.1", r#":"float 1.1""#))
                .unwrap();
        assert_eq!(seen, wanted, "{text}");
    }
}

#[test]
fn every_real_file_survives() {
    let trees = all_real_files();
    assert!(trees.len() > 15);
    let written: Vec<String> = trees.iter().map(to_yaml).collect();
    for ((tree, text), seen) in trees.iter().zip(&written).zip(py_yaml(&written)) {
        assert!(read(text.as_bytes()).root.is_some_and(|root| root.same(tree)), "{text}");
        assert_eq!(seen, tree.to_json(), "{text}");
    }
}

#[test]
fn words_stay_as_they_were_written() {
    let text = "version: 1.10\non: yes\nid: 0x1F\nnothing:\nempty: {}\nlist:\n- a\n-\n  - b\n- c: 1\n  d: '80'\n";
    let wanted = "version: 1.10\n'on': 'yes'\nid: 0x1F\nnothing: null\nempty: {}\nlist:\n  - a\n  - - b\n  - c: 1\n    d: '80'\n";
    assert_eq!(to_yaml(&read(text.as_bytes()).root.unwrap()), wanted);
    assert_eq!(to_yaml(&read(b"X: 0755\nW: -07\nZ: 0\n").root.unwrap()), "X: '0755'\nW: '-07'\nZ: 0\n");
    assert_eq!(to_yaml(&Node::mapping([("content", Node::text("one\n\n  two\n"))])), "content: |\n  one\n\n    two\n");
}

/// To compose a number without quotes is another text than the same in quotes.
#[test]
fn numbers_of_compose_stay_numbers() {
    let services = "services:\n  a:\n    environment:\n      A: 022\n      B: '022'\n      C: 0b101\n      D: 1_000\n      E: -0x1F\n      F: 'yes'\n";
    let below = services.replace("\n", "\n  ");
    let settings = format!("passphrase: '0755'\ncontainers:\n  {}\n", below.trim_end());
    let root = read(settings.as_bytes()).root.unwrap();
    assert_eq!(to_yaml(&root), settings);
    assert_eq!(offspot_config::to_compose_yaml(root.get("containers").unwrap()), services);
}

#[test]
fn what_was_no_text_does_not_take_the_record_along() {
    let file = [b"hostname: village\nlater: caf".as_slice(), &[0xff; 12], &[b'l'; 400]].concat();
    let first = in_force(None, Some(&file));
    assert_eq!(first.settings.hostname.as_deref(), Some("village"));
    let again = in_force(Some(to_yaml(&first.tree.0).as_bytes()), None);
    assert!(again.findings.is_empty(), "{:?}", again.findings);
    assert!(again.tree.0.same(&first.tree.0));
}
