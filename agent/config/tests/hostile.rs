//! A hostile file never takes memory, time or the process down.

use offspot_config::yaml::MAX_BYTES;
use offspot_config::{check, check_image, in_force, render, to_yaml};

/// All that the agent does with a file.
fn judge(file: &[u8]) {
    let checked = check(file);
    assert!(checked.findings.len() <= 101);
    let text = render(&checked.findings, "offspot.yaml");
    assert!(text.len() < 200_000, "{} bytes of findings", text.len());
    let first = in_force(Some(b"ap: {ssid: x}"), Some(file));
    let written = to_yaml(&first.tree.0);
    assert!(first.settings.ap.is_some(), "the access point is gone");
    if file.len() < 100_000 {
        check_image(file);
        assert!(in_force(Some(written.as_bytes()), None).changed.is_empty());
    }
}

/// Runs on a stack as small as a thread on the card may have.
fn on_a_small_stack(name: String, work: impl FnOnce() + Send + 'static) {
    let started = std::time::Instant::now();
    std::thread::Builder::new().stack_size(512 << 10).spawn(work).unwrap().join().unwrap_or_else(|_| panic!("{name}"));
    assert!(started.elapsed().as_secs() < 120, "{name} took {:?}", started.elapsed());
}

#[test]
fn hostile_files_cost_neither_time_nor_memory() {
    // The largest files only for what is slow to read; a sixteenth shows the rest.
    let fill = |pattern: &str| pattern.repeat(MAX_BYTES / 16 / pattern.len());
    let mut files: Vec<(String, Vec<u8>)> = [
        "[",
        "{",
        "- ",
        "-\n",
        "{a: ",
        "? ",
        "a: ",
        "a:\n",
        "\"",
        "'",
        "|\n",
        "&a ",
        "*a ",
        "---\n",
        "%",
        "!",
        ": ",
        ":\n",
        "a",
        "a\n",
        "[a,",
        "\t",
        "\ta: b\n",
        "#",
        "\r",
        "\0",
        "\u{a0}",
        "“a”\n",
        "a: “\n",
        "a: 1\n",
        "a: \"\n",
        "a: &a\n",
        "x: *a\n",
        "\u{feff}",
        "a: !t b\n",
        "a: !reset b\n",
        "- !override [",
        "- - ",
        "a: |\n b\n",
        "é",
    ]
    .iter()
    .map(|pattern| (format!("{pattern:?} repeated"), fill(pattern).into_bytes()))
    .collect();
    for pattern in ["- ", "a\n", "[a,", "k: 1\n"] {
        files.push((format!("4 MiB of {pattern:?}"), pattern.repeat(MAX_BYTES / pattern.len()).into_bytes()));
    }
    let lol: String = (1..64)
        .map(|level| format!("a{level}: &a{level} [{}]\n", vec![format!("*a{}", level - 1); 9].join(", ")))
        .collect();
    let text_bomb = format!("a: &a {}\nb: [{}]\n", "x".repeat(1 << 20), vec!["*a"; 10_000].join(","));
    let chain: String = (1..5000).map(|level| format!("a{level}: &a{level} {{b: *a{}}}\n", level - 1)).collect();
    files.push(("billion laughs".into(), format!("a0: &a0 lol\n{lol}").into_bytes()));
    files.push(("large text, many aliases".into(), text_bomb.into_bytes()));
    files.push(("deep chain of aliases".into(), format!("a0: &a0 x\n{chain}").into_bytes()));
    files.push((
        "merge bomb".into(),
        format!("a0: &a0 {{k: v}}\n{}", lol.replace('[', "{<<: [").replace(']', "]}")).into_bytes(),
    ));
    files.push(("nested anchors".into(), (0..60).map(|level| format!("&x{level} [")).collect::<String>().into_bytes()));
    files.push(("flow, wide".into(), format!("[{}]", fill("a,")).into_bytes()));
    files.push((
        "many keys twice".into(),
        (0..400_000).map(|key| format!("k{}: 1\n", key % 90_000)).collect::<String>().into_bytes(),
    ));
    files.push((
        "a long line of mistakes".into(),
        format!("ap: {{{}}}", (0..90_000).map(|key| format!("k{key}: 1, ")).collect::<String>()).into_bytes(),
    ));
    files.push((
        "many bad services".into(),
        format!("containers: {{services: {{{}}}}}", (0..60_000).map(|key| format!("k{key}: 1, ")).collect::<String>())
            .into_bytes(),
    ));
    files.push((
        "many bad files".into(),
        format!("files:\n{}", "- {to: /etc, checksum: {algo: x}}\n".repeat(30_000)).into_bytes(),
    ));
    files.push((
        "many files of one target".into(),
        format!("files:\n{}", "- {to: /data/a, content: x}\n".repeat(30_000)).into_bytes(),
    ));
    files.push((
        "long key".into(),
        format!("{}: 1\nap:\n  ? {}\n  : 2\n", "k".repeat(900), "k".repeat(1 << 20)).into_bytes(),
    ));
    files.push((
        "long values".into(),
        format!("timezone: {0}\nhostname: {0}\nap: {{ssid: {0}}}\noci_images: [{0}]\n", "k".repeat(1 << 20))
            .into_bytes(),
    ));
    files.push(("too large".into(), vec![b'#'; MAX_BYTES + 1]));
    files.push(("stairs".into(), (0..2000).map(|depth| " ".repeat(depth) + "a:\n").collect::<String>().into_bytes()));
    for (name, file) in files {
        on_a_small_stack(name, move || judge(&file));
    }
}

/// Compose files that ask for more than they say.
fn hostile_services() -> Vec<(&'static str, String)> {
    let list = |item: &str, count: usize| vec![item; count].join(",");
    let numbered = |count: usize, item: &dyn Fn(usize) -> String| (0..count).map(item).collect::<Vec<_>>().join(",");
    let named = |item: &dyn Fn(usize) -> String| {
        (0..195).map(|i| format!("s{i}: {{{}}}", item(i))).collect::<Vec<_>>().join(",")
    };
    let filled = |text: String| format!("a: {{image: a, labels: [\"{text}\"]}}");
    vec![
        ("a circle of extends", named(&|i| format!("image: a, extends: s{}", (i + 1) % 195))),
        (
            "a long chain of extends",
            named(&|i| if i < 194 { format!("extends: s{}", i + 1) } else { "image: a".into() }),
        ),
        (
            "a chain that grows",
            named(&|i| match i {
                0 => format!("image: a, cap_add: [{}]", list("X", 500)),
                _ => format!("extends: s{}, cap_add: [{}]", i - 1, list("X", 500)),
            }),
        ),
        (
            "much for many",
            format!("b: {{image: a, cap_add: [{}]}},{}", list("X", 150_000), named(&|_| "extends: b".into())),
        ),
        (
            "names on names",
            format!(
                "b: {{image: a, environment: {{{0}}}}}, c: {{extends: b, environment: {{{0}}}}}",
                numbered(40_000, &|i| format!("k{i}: 1"))
            ),
        ),
        (
            "tags on names",
            format!(
                "b: {{image: a, environment: {{{}}}}}, c: {{extends: b, environment: {{{}, '*': {{}}}}}}",
                numbered(40_000, &|i| format!("k{i}: 1")),
                numbered(40_000, &|i| format!("k{i}: !reset 1"))
            ),
        ),
        (
            "hosts on hosts",
            format!(
                "b: {{image: a, extra_hosts: [{0}]}}, c: {{extends: b, extra_hosts: [{0}]}}",
                numbered(60_000, &|i| format!("'h{i}:1.1.1.1'"))
            ),
        ),
        ("nested defaults", filled("${A:-".repeat(300_000) + &"}".repeat(300_000))),
        ("open defaults", filled("${A:-".repeat(700_000))),
        ("many variables", filled("$A${B}".repeat(500_000))),
        ("many defaults", filled("${A-}".repeat(700_000))),
        ("many braces", filled("${A-{".repeat(400_000) + &"}".repeat(400_000))),
        ("many dollar signs", filled("$".repeat(3_000_000))),
        ("bad templates", format!("a: {{image: a, labels: [{}]}}", list("'${'", 150_000))),
        ("unset variables", format!("a: {{image: a, labels: [{}]}}", list("$A", 150_000))),
        ("backslashes", format!("a: {{image: a, command: '{}'}}", "\\".repeat(3_000_000))),
        ("quotes", format!("a: {{image: a, command: \"{}\"}}", "'a' ".repeat(700_000))),
        (
            "the same target",
            format!("a: {{image: a, volumes: [{}], devices: [{}]}}", list("'/a:/b'", 60_000), list("/dev/a", 60_000)),
        ),
        (
            "the same of everything",
            format!(
                "a: {{image: a, group_add: [{0}], security_opt: [{0}], dns: [{0}], tmpfs: [{0}], links: [{0}], networks: [{0}], env_file: [{0}]}}",
                list("x", 20_000)
            ),
        ),
        ("many ports", format!("a: {{image: a, ports: [{}]}}", list("'1-999:1-999'", 150_000))),
        ("many replicas", "a: {image: a, scale: 4000000000, deploy: {replicas: 4000000000}}".to_owned()),
        ("many configs", format!("a: {{image: a, configs: [{}]}}", numbered(100_000, &|i| format!("c{i}")))),
    ]
}

#[test]
fn hostile_services_cost_neither_time_nor_memory() {
    for (name, services) in hostile_services() {
        let file = format!("containers: {{services: {{{services}}}}}\n");
        on_a_small_stack(name.to_owned(), move || judge(file.as_bytes()));
    }
    for text in [
        "A=".repeat(700_000),
        "A=${B:-".repeat(300_000),
        "A=\"\\".repeat(600_000),
        "#\n".repeat(900_000),
        "A\n".repeat(900_000),
    ] {
        on_a_small_stack(text.chars().take(8).collect(), move || {
            let read = offspot_config::compose::dotenv::read(&text);
            assert!(read.is_err() || read.is_ok_and(|list| list.len() <= 1));
        });
    }
}

#[test]
fn mutated_files_never_panic() {
    let seed = include_bytes!(
        "data/generated_offspot-config_2.9.2_ConfigBuilder__tuto.as-written-by-image-creator.offspot.yaml"
    );
    let odd: [&[u8]; 24] = [
        b"\t",
        b"\0",
        b"\xff",
        b"\xa0",
        b"\xc2\xa0",
        b"[",
        b"]",
        b"{",
        b"}",
        b": ",
        b"- ",
        b"&a ",
        b"*a",
        b"<<: ",
        b"\"",
        b"'",
        b"|",
        b"\n",
        b"\r",
        b"---\n",
        b"!",
        b"%",
        b"\xe2\x80\x9c",
        b"#",
    ];
    on_a_small_stack("mutations".into(), move || {
        let mut state = 0x2545_F491_4F6C_DD1D_u64;
        let mut random = |below: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state % below as u64) as usize
        };
        for _ in 0..400 {
            let start = random(seed.len() - 600);
            let mut file = seed[start..start + random(600)].to_vec();
            for _ in 0..random(12) {
                let at = random(file.len() + 1);
                let end = (at + random(4)).min(file.len());
                file.splice(at..end, odd[random(odd.len())].iter().copied());
            }
            judge(&file);
        }
    });
}
