//! Which file of the boot partition holds the settings.

use crate::code;
use crate::finding::{Finding, Severity};

/// Names of the settings file, the best first; case does not matter on FAT.
pub const NAMES: [&str; 4] = ["offspot.yaml", "offspot.yml", "offspot.yaml.txt", "offspot.yml.txt"];

/// The settings file among the names of a folder, and a warning of those that are ignored for it.
pub fn choose_file<'n>(names: &[&'n str]) -> (Option<&'n str>, Option<Finding>) {
    let mut found: Vec<(usize, &str)> = names
        .iter()
        .filter_map(|name| Some((NAMES.iter().position(|known| known.eq_ignore_ascii_case(name))?, *name)))
        .collect();
    found.sort();
    let chosen = found.first().map(|(_, name)| *name);
    let ignored: Vec<&str> = found.iter().skip(1).map(|(_, name)| *name).collect();
    let warning = chosen.filter(|_| !ignored.is_empty()).map(|chosen| Finding {
        code: code::FILE_NAME,
        severity: Severity::Warning,
        key: String::new(),
        at: None,
        message: format!("{chosen} is read; {} is ignored", ignored.join(" and ")),
        advice: "Keep one of them.".into(),
        excerpt: None,
    });
    (chosen, warning)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_name_wins() {
        for (names, wanted, ignored) in [
            (&["cmdline.txt", "offspot.yaml", "._offspot.yaml"][..], Some("offspot.yaml"), false),
            (&["OFFSPOT.YML"], Some("OFFSPOT.YML"), false),
            (&["offspot.yaml.txt", "Offspot.yml"], Some("Offspot.yml"), true),
            (&["Offspot.Yaml.TXT"], Some("Offspot.Yaml.TXT"), false),
            (&["._offspot.yaml", "offspot.json", "xoffspot.yaml", "offspot.yaml.bak"], None, false),
            (&[], None, false),
        ] {
            let (chosen, warning) = choose_file(names);
            assert_eq!((chosen, warning.is_some()), (wanted, ignored), "{names:?}");
        }
        assert_eq!(
            choose_file(&["offspot.yml", "offspot.yaml"]).1.unwrap().message,
            "offspot.yaml is read; offspot.yml is ignored"
        );
    }
}
