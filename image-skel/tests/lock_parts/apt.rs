//! The real apt, over a folder that holds a file `Packages`.

use std::collections::BTreeMap;
use std::path::Path;

use image_skel::tool;

use super::Scratch;

/// An apt of its own, that knows nothing but one index and has nothing installed.
pub struct Apt {
    folder: Scratch,
}

impl Apt {
    /// Has it read an index.
    pub fn new(packages: &str) -> Apt {
        let folder = Scratch::new();
        folder.write("repo/Packages", packages);
        Apt::over(folder, "repo")
    }

    /// Has it read the lock at `path`.
    pub fn reading(path: &Path) -> Apt {
        let folder = Scratch::new();
        folder.write("repo/Packages", std::fs::read(path).unwrap());
        Apt::over(folder, "repo")
    }

    fn over(folder: Scratch, repo: &str) -> Apt {
        let root = folder.0.display().to_string();
        for name in ["state/lists/partial", "cache/archives/partial", "etc/apt.conf.d", "etc/preferences.d"] {
            std::fs::create_dir_all(folder.0.join(name)).unwrap();
        }
        folder.write("status", "");
        folder.write("etc/sources.list", format!("deb [trusted=yes] file:{root}/{repo} ./\n"));
        let apt = Apt { folder };
        apt.get(&["-q", "update"]).unwrap();
        apt
    }

    /// Runs apt-get.
    pub fn get(&self, arguments: &[&str]) -> tool::Outcome<String> {
        self.run("apt-get", arguments)
    }

    /// Runs apt-cache.
    pub fn cache(&self, arguments: &[&str]) -> tool::Outcome<String> {
        self.run("apt-cache", arguments)
    }

    fn run(&self, program: &str, arguments: &[&str]) -> tool::Outcome<String> {
        let root = self.folder.0.display().to_string();
        let mut options =
            vec![format!("Dir={root}"), "APT::Architecture=arm64".into(), "APT::Architectures=arm64".into()];
        options.push("Acquire::Languages=none".into());
        options.push("APT::Sandbox::User=root".into());
        for (name, place) in [("State", "state"), ("State::status", "status"), ("Cache", "cache"), ("Etc", "etc")] {
            options.push(format!("Dir::{name}={root}/{place}"));
        }
        let options: Vec<&str> = options.iter().flat_map(|option| ["-o", option.as_str()]).collect();
        tool::run(program, &[options.as_slice(), arguments].concat())
    }

    /// What it would install, with versions; an error if it sees no way.
    pub fn install(&self, packages: &[&str]) -> tool::Outcome<BTreeMap<String, String>> {
        let said = self.get(&[&["install", "--simulate", "--no-install-recommends"], packages].concat())?;
        let lines = said.lines().filter_map(|line| line.strip_prefix("Inst "));
        let pair = |line: &str| {
            let (name, rest) = line.split_once(" (").unwrap();
            (name.to_owned(), rest.split(' ').next().unwrap().to_owned())
        };
        Ok(lines.map(pair).collect())
    }
}
