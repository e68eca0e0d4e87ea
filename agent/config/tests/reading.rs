//! What a person, a word processor, a power cut or an attacker does to a YAML file, and what is read from it.

use offspot_config::Severity;
use offspot_config::yaml::{Reading, read};

fn json(reading: &Reading) -> String {
    reading.root.as_ref().map_or("none".into(), |root| root.to_json().to_string())
}

fn codes(reading: &Reading) -> Vec<String> {
    reading
        .findings
        .iter()
        .map(|finding| {
            format!("{}@{}", finding.code, finding.at.map_or("-".into(), |at| format!("{}:{}", at.line, at.column)))
        })
        .collect()
}

#[track_caller]
fn reads(text: &str, tree: &str, found: &[&str]) -> Reading {
    let reading = read(text.as_bytes());
    assert_eq!(
        (json(&reading).as_str(), codes(&reading)),
        (tree, found.iter().map(|code| code.to_string()).collect()),
        "{:#?}",
        reading.findings
    );
    reading
}

#[test]
fn nothing_said_is_no_change() {
    for text in ["", "---", "---\n", "---\n...\n", "# only\n# comments\n", "\n\n  \n", "~", "\u{feff}", "---\n---\n"] {
        reads(text, "none", &[]);
    }
    assert_eq!((json(&read(&[0; 512])), codes(&read(&[0; 512]))), ("none".into(), vec!["E-CFG-NULS@-".into()]));
}

#[test]
fn tabs_cost_only_the_key_that_holds_them() {
    let reading = reads(
        "hostname: box\nap:\n\tssid: x\n\thide: {a: b: c}\ntimezone: UTC",
        r#"{"hostname":"box","timezone":"UTC"}"#,
        &["E-CFG-TAB@3:1", "E-CFG-SYNTAX@4:13"],
    );
    assert!(reading.refused.touches("ap") && !reading.refused.touches("hostname"));
    let reading = reads(
        "ap:\n\tssid: x\n\thide: yes\nhostname: box\n",
        r#"{"ap":{"hide":"yes","ssid":"x"},"hostname":"box"}"#,
        &["E-CFG-TAB@2:1"],
    );
    assert_eq!(reading.findings[0].excerpt.as_deref(), Some("→ssid: x\n^"));
    assert_eq!(reading.findings[0].key, "ap.ssid");
    let hide = reading.root.as_ref().and_then(|root| root.get("ap")?.get("hide")).unwrap();
    assert_eq!((hide.at.line, hide.at.column), (3, 8));
    assert!(reading.refused.touches("ap") && !reading.refused.touches("hostname"));
    reads("a:\n  b: c\n\td: e\n", r#"{"a":{"b":"c","d":"e"}}"#, &["E-CFG-TAB@3:1"]);
    reads("a: |\n  b\n  \tc\n", r#"{"a":"b\n\tc\n"}"#, &[]);
}

#[test]
fn typographic_quotes_are_quotes() {
    reads("ssid: “My box”\n", r#"{"ssid":"My box"}"#, &["E-CFG-QUOTES@1:7"]);
    reads("ssid: “My: box”\n", r#"{"ssid":"My: box"}"#, &["E-CFG-QUOTES@1:1"]);
    reads("ssid: \"My box”\n", r#"{"ssid":"My box"}"#, &["E-CFG-QUOTES@1:1"]);
    reads("“ssid”: it’s “mine” here\n", r#"{"ssid":"it’s “mine” here"}"#, &["E-CFG-QUOTES@1:1"]);
    // To compose they are letters.
    reads("containers: {a: “x”}\nssid: ‘y’\n", r#"{"containers":{"a":"“x”"},"ssid":"y"}"#, &["E-CFG-QUOTES@2:7"]);
    reads("ap:\n\u{a0} ssid:\u{a0}box\n", r#"{"ap":{"ssid":"box"}}"#, &["E-CFG-NBSP@2:1"]);
}

#[test]
fn a_key_given_twice_is_refused_and_the_first_stands() {
    let reading = reads(
        "a: 1\nb: {c: 1, c: 2}\na: 2\n",
        r#"{"a":1,"b":{"c":1}}"#,
        &["E-CFG-DUPLICATE@2:11", "E-CFG-DUPLICATE@3:1"],
    );
    assert_eq!(reading.findings[0].key, "b.c");
}

#[test]
fn aliases_and_merge_keys_are_followed() {
    reads(
        "x: &x {a: 1, b: 2}\ny: {<<: *x, b: 3}\nz: {<<: [*x, {c: 4, a: 5}]}\n",
        r#"{"x":{"a":1,"b":2},"y":{"a":1,"b":3},"z":{"a":1,"b":2,"c":4}}"#,
        &[],
    );
    reads("a: &a [*a]\nb: 1", r#"{"a":[null],"b":1}"#, &["E-CFG-ALIAS@1:8"]);
    reads("a: *nobody\nb: 1", r#"{"b":1}"#, &["E-CFG-ALIAS@1:4"]);
    reads("a: {<<: 3}", r#"{"a":{}}"#, &["E-CFG-MERGE@1:9"]);
}

#[test]
fn one_broken_key_leaves_the_others() {
    let reading = reads(
        "a: \"open\nb: 1\nc:\n  d: e: f\ng:\n- 1\n- 2\n",
        r#"{"b":1,"g":[1,2]}"#,
        &["E-CFG-SYNTAX@1:4", "E-CFG-SYNTAX@4:7"],
    );
    assert!(reading.refused.touches("a") && reading.refused.touches("c") && !reading.refused.touches("b"));
    reads("a: 1\n---\nb: 2\n", r#"{"a":1}"#, &["E-CFG-DOCUMENTS@3:1"]);
    reads("---\n---\nb: 2\n", r#"{"b":2}"#, &[]);
}

#[test]
fn words_mean_what_their_key_wants() {
    let root = read(b"a: NO\nb: 1234\nc: 22:22\nd: ~\ne: 'yes'\nf: 010\ng: '6'\nh:\n").root.unwrap();
    let get = |key: &str| root.get(key).unwrap();
    assert_eq!(
        (get("a").as_text(), get("b").as_text(), get("c").as_text(), get("d").as_text()),
        (Some("NO"), Some("1234"), Some("22:22"), None)
    );
    assert_eq!((get("a").as_bool(), get("e").as_bool(), get("b").as_bool()), (Some(false), Some(true), None));
    assert_eq!((get("b").as_int(), get("f").as_int(), get("g").as_int()), (Some(1234), Some(10), None));
    assert!(get("d").is_null() && get("h").is_empty());
}

#[test]
fn bytes_that_are_not_text() {
    let reading = read(b"# caf\xe9\na: caf\xe9\nb: 1\n");
    assert_eq!(codes(&reading), ["E-CFG-ENCODING@2:4"]);
    assert!(reading.refused.touches("a") && reading.root.is_some());
    assert_eq!(json(&read(b"caf\xe9: 1\nb: 1\n")), r#"{"b":1}"#);
    for bytes in [
        &b"\x7fELF\x02\x01\x01\0\0\0\x01"[..],
        &[0xFF, 0xFE, 0, 0xD8, 1, 0xD8, 1, 2, 3, 4, 0, 0, 5],
        b"PK\x03\x04\0\0\0\x08",
    ] {
        let reading = read(bytes);
        assert!(reading.findings.iter().any(|finding| finding.severity == Severity::Error), "{bytes:?}: {reading:?}");
    }
}

#[test]
fn brackets_and_quotes_that_end_left_of_where_they_should_are_read_as_elsewhere() {
    let web = "containers:
  web:
    image:\tnginx
    ports: [
      \"80:80\",
      \"443:443\"
    ]
    command: [tar, xf, -]
    environment:
      A: \"one
      two\"
      B: 'three

four'
";
    let tree = r#"{"containers":{"web":{"command":["tar","xf","-"],"environment":{"A":"one two","B":"three\nfour"},"image":"nginx","ports":["80:80","443:443"]}}}"#;
    reads(web, tree, &[]);
    reads("ap:\n  dns: [\n  \"1.1.1.1\"\n]\n", r#"{"ap":{"dns":["1.1.1.1"]}}"#, &[]);
}

#[test]
fn what_is_broken_beside_brackets_costs_its_own_part_at_its_own_place() {
    reads("a: [\n\"x\"\n]\nb: c: d\ne: f\n", r#"{"a":["x"],"e":"f"}"#, &["E-CFG-SYNTAX@4:5"]);
    reads("a:\n  b: [\n  \"x\", \"y\"\n  ]\n  b: 1\n", r#"{"a":{"b":["x","y"]}}"#, &["E-CFG-DUPLICATE@5:3"]);
}
