//! `security_opt` as the engine takes it. Like `docker compose` we send it a profile of seccomp as text, not as the path of its file.

use offspot_config::compose::{FOLDER, Service};
use serde::de::IgnoredAny;

use super::environment::beginning;
use super::sources;
use crate::ground::blocking;
use crate::host::Host;

/// Longest profile; that of the engine itself has some ten thousand bytes.
const MOST: u64 = 1 << 20;

/// What says that the paths below `/proc` and `/sys` that the engine hides stay as they are: it goes to the engine in other words.
const ALL_PATHS: &str = "systempaths=unconfined";

/// What a service asks for.
#[derive(Debug, Default)]
pub(super) struct Security {
    /// For the engine.
    pub options: Vec<String>,
    /// The profiles among them.
    pub profiles: Vec<String>,
    /// Whether nothing below `/proc` and `/sys` is hidden.
    pub all_paths: bool,
}

/// Reads the profiles below the root of the box. Fails with words where one cannot be used.
pub(super) async fn read(host: &Host, service: &Service) -> Result<Security, String> {
    let mut security = Security::default();
    for option in &service.isolation.security_opt {
        if option == ALL_PATHS {
            security.all_paths = true;
        } else if let Some(path) = profile(option) {
            let (host, path) = (host.clone(), path.to_owned());
            let profile = blocking(move || text(&host, &path)).await?;
            security.options.push(format!("seccomp={profile}"));
            security.profiles.push(profile);
        } else {
            security.options.push(option.clone());
        }
    }
    Ok(security)
}

/// The path of the profile that an option names.
fn profile(option: &str) -> Option<&str> {
    let (name, value) = option.split_once('=').or(option.split_once(':'))?;
    (name == "seccomp" && value != "unconfined").then_some(value)
}

fn text(host: &Host, path: &str) -> Result<String, String> {
    let whole = if path.starts_with('/') { path.to_owned() } else { format!("{FOLDER}/{path}") };
    let found = sources::below(host, &whole).and_then(|path| beginning(&path, MOST + 1));
    let text = match found {
        Ok(None) => return Err(format!("its seccomp profile {whole} is no file")),
        Ok(Some(text)) if text.len() as u64 > MOST => return Err(format!("its seccomp profile {whole} is too large")),
        Ok(Some(text)) => String::from_utf8(text).ok().filter(|text| serde_json::from_str::<IgnoredAny>(text).is_ok()),
        Err(error) => return Err(format!("its seccomp profile {whole}: {error}")),
    };
    text.map(|text| compact(&text)).ok_or_else(|| format!("its seccomp profile {whole} is no JSON"))
}

/// JSON without the space between its words.
fn compact(json: &str) -> String {
    let (mut quoted, mut escaped) = (false, false);
    let stays = |letter: &char| {
        let stays = quoted || !letter.is_ascii_whitespace();
        match letter {
            _ if escaped => escaped = false,
            '\\' => escaped = quoted,
            '"' => quoted = !quoted,
            _ => {}
        }
        stays
    };
    json.chars().filter(stays).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn profiles_are_told_from_other_options() {
        for (option, expected) in [
            ("seccomp=./profile.json", Some("./profile.json")),
            ("seccomp:/data/a=b.json", None),
            ("seccomp:/data/b.json", Some("/data/b.json")),
            ("seccomp=unconfined", None),
            ("seccomp:unconfined", None),
            ("no-new-privileges:true", None),
            ("no-new-privileges", None),
            ("apparmor=x", None),
        ] {
            assert_eq!(profile(option), expected, "{option}");
        }
    }

    #[test]
    fn profiles_go_without_space() {
        assert_eq!(compact("{\n \"a b\": [1, \"x \\\" y\\\\\" ],\t\"c\": {} }\n"), r#"{"a b":[1,"x \" y\\"],"c":{}}"#);
    }

    #[test]
    fn profiles_are_read_below_the_root() {
        let root = std::env::temp_dir().join(format!("offspot-security-{}", std::process::id()));
        let _ = fs::remove_dir_all(&root);
        fs::create_dir_all(root.join("etc/docker")).unwrap();
        fs::create_dir_all(root.join("data")).unwrap();
        fs::write(root.join("etc/docker/a.json"), "{ \"defaultAction\": \"SCMP_ACT_ALLOW\" }").unwrap();
        fs::write(root.join("data/b.json"), "{").unwrap();
        let host = Host::new(&root);
        assert_eq!(text(&host, "./a.json").unwrap(), r#"{"defaultAction":"SCMP_ACT_ALLOW"}"#);
        assert_eq!(text(&host, "/data/b.json").unwrap_err(), "its seccomp profile /data/b.json is no JSON");
        assert_eq!(text(&host, "/data").unwrap_err(), "its seccomp profile /data is no file");
        assert!(text(&host, "/data/none").unwrap_err().starts_with("its seccomp profile /data/none: "));
        fs::remove_dir_all(root).unwrap();
    }
}
