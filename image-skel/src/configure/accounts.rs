//! passwd, group, shadow and gshadow: base-passwd's masters (passwd(5)), then the accounts of `skel.toml`.
//!
//! No account has a password, root included. What the packages declare for systemd-sysusers (sysusers.d(5)) must all be there, because
//! numbers that are given at the first boot would differ from card to card.

use std::collections::BTreeMap;

use crate::skel::Skel;
use crate::tool::{Doing, Failure, Outcome};
use crate::tree::Tree;

/// `shadow` of base-passwd, the same number in every Debian.
const SHADOW_GROUP: u32 = 42;

struct Accounts {
    /// Lines of passwd by name, in order of their number.
    users: Vec<(String, String)>,
    groups: Vec<(String, String)>,
}

/// Writes the four files; returns how many users and groups.
pub(super) fn write(tree: &mut Tree, skel: &Skel, epoch: i64) -> Outcome<(usize, usize)> {
    let accounts = gather(tree, skel)?;
    missing(tree, &accounts)?;
    let day = epoch / 86_400;
    let lines = |all: &[(String, String)]| all.iter().map(|(_, line)| format!("{line}\n")).collect::<String>();
    let names = |all: &[(String, String)], rest: &str| {
        all.iter().map(|(name, _)| format!("{name}:*:{rest}\n")).collect::<String>()
    };
    tree.file("/etc/passwd", 0o644, lines(&accounts.users));
    tree.file("/etc/group", 0o644, lines(&accounts.groups));
    for (path, text) in [
        ("/etc/shadow", names(&accounts.users, &format!("{day}:0:99999:7:::"))),
        ("/etc/gshadow", names(&accounts.groups, ":")),
    ] {
        tree.file(path, 0o640, text);
        if let Some(node) = tree.get_mut(path) {
            node.gid = SHADOW_GROUP;
        }
    }
    Ok((accounts.users.len(), accounts.groups.len()))
}

fn gather(tree: &Tree, skel: &Skel) -> Outcome<Accounts> {
    let mut users = master(tree, "/usr/share/base-passwd/passwd.master")?;
    let mut groups = master(tree, "/usr/share/base-passwd/group.master")?;
    for user in &skel.users {
        let (name, id) = (&user.name, user.uid);
        users.push((name.clone(), format!("{name}:x:{id}:{id}:{}:{}:/usr/sbin/nologin", user.gecos, user.home)));
        groups.push((name.clone(), format!("{name}:x:{id}:")));
    }
    groups.extend(skel.groups.iter().map(|group| (group.name.clone(), format!("{}:x:{}:", group.name, group.gid))));
    unique("users", &users)?;
    unique("groups", &groups)?;
    Ok(Accounts { users, groups })
}

/// The masters have `*` where the password is; `x` says that it is in the shadow file.
fn master(tree: &Tree, path: &str) -> Outcome<Vec<(String, String)>> {
    let bytes = tree.read(path).doing("the accounts of base-passwd")?;
    let text = String::from_utf8(bytes).doing(path)?;
    text.lines()
        .map(|line| {
            let (name, rest) = line.split_once(":*:").ok_or_else(|| Failure::new(format!("{path}: {line}")))?;
            Ok((name.to_owned(), format!("{name}:x:{rest}")))
        })
        .collect()
}

fn unique(what: &str, all: &[(String, String)]) -> Outcome<()> {
    let mut names = BTreeMap::new();
    let mut ids = BTreeMap::new();
    for (name, line) in all {
        let id = line.split(':').nth(2).unwrap_or_default();
        if names.insert(name, ()).is_some() {
            return Err(Failure::new(format!(
                "skel.toml: {what}: {name} stands there twice, or Debian has it already"
            )));
        }
        if let Some(other) = ids.insert(id, name) {
            return Err(Failure::new(format!("skel.toml: {what}: {name} has the number {id} of {other}")));
        }
    }
    Ok(())
}

/// Every `u` and `g` line below `/usr/lib/sysusers.d` names an account that is there.
fn missing(tree: &Tree, accounts: &Accounts) -> Outcome<()> {
    let has = |all: &[(String, String)], name: &str| all.iter().any(|(known, _)| known == name);
    let files: Vec<_> =
        tree.iter().map(|(path, _)| path).filter(|path| path.starts_with("/usr/lib/sysusers.d")).collect();
    for path in files.into_iter().filter(|path| path.extension().is_some_and(|extension| extension == "conf")) {
        let text = String::from_utf8(tree.read(path).doing(path.display())?).doing(path.display())?;
        for line in text.lines() {
            let mut words = line.split_whitespace();
            let (Some(kind), Some(name)) = (words.next(), words.next()) else { continue };
            let there = match kind.trim_end_matches(['!', '-']) {
                "u" => has(&accounts.users, name),
                "g" => has(&accounts.groups, name),
                _ => true,
            };
            if !there {
                let (path, what) = (path.display(), if kind.starts_with('u') { "users" } else { "groups" });
                return Err(Failure::new(format!("{path} wants {name}: give it a number in skel.toml, {what}")));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree() -> Tree {
        let mut tree = Tree::default();
        tree.file("/usr/share/base-passwd/passwd.master", 0o644, "root:*:0:0:root:/root:/bin/bash\n");
        tree.file("/usr/share/base-passwd/group.master", 0o644, "root:*:0:\nshadow:*:42:\n");
        tree
    }

    fn skel(more: &str) -> Skel {
        crate::configure::tests::skel(more)
    }

    #[test]
    fn nobody_has_a_password_and_shadow_is_not_for_everyone() {
        let mut tree = tree();
        let skel = skel(
            "users = [{ name = 'bus', uid = 101, gecos = 'Bus', home = '/' }]\ngroups = [{ name = 'docker', gid = 103 }]",
        );
        assert_eq!(write(&mut tree, &skel, 86_400 * 20_000).unwrap(), (2, 4));
        assert_eq!(tree.read("/etc/shadow").unwrap(), b"root:*:20000:0:99999:7:::\nbus:*:20000:0:99999:7:::\n");
        let passwd = String::from_utf8(tree.read("/etc/passwd").unwrap()).unwrap();
        assert_eq!(passwd, "root:x:0:0:root:/root:/bin/bash\nbus:x:101:101:Bus:/:/usr/sbin/nologin\n");
        let shadow = tree.get("/etc/shadow").unwrap();
        assert_eq!((shadow.mode, shadow.gid), (0o640, 42));
    }

    #[test]
    fn an_account_without_a_number_and_a_number_given_twice_are_errors() {
        let mut tree = tree();
        tree.file("/usr/lib/sysusers.d/x.conf", 0o644, "# x\nu! wanted - 'W'\n");
        let why = write(&mut tree, &skel(""), 0).unwrap_err().to_string();
        assert!(why.contains("x.conf wants wanted: give it a number in skel.toml, users"), "{why}");
        let twice = skel("groups = [{ name = 'a', gid = 42 }]");
        assert!(write(&mut tree, &twice, 0).unwrap_err().to_string().contains("number 42 of shadow"));
    }
}
