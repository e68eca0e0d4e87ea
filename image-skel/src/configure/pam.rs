//! `/etc/pam.d/common-*`: libpam-runtime's templates, filled from its profile `unix`, the only one of the image (pam-auth-update(8)).

use crate::tool::{Doing, Failure, Outcome};
use crate::tree::Tree;

/// File below `/etc/pam.d`, type in the profile, type of the lines, name of the placeholders.
const STACKS: [(&str, &str, &str, &str); 5] = [
    ("common-account", "Account", "account", "account"),
    ("common-auth", "Auth", "auth", "auth"),
    ("common-password", "Password", "password", "password"),
    ("common-session", "Session", "session", "session"),
    ("common-session-noninteractive", "Session", "session", "session_nonint"),
];

/// Writes the five files.
pub(super) fn write(tree: &mut Tree) -> Outcome<()> {
    let profile = text(tree, "/usr/share/pam-configs/unix")?;
    for (name, section, kind, placeholder) in STACKS {
        let template = text(tree, &format!("/usr/share/pam/{name}"))?;
        let filled = fill(&template, &profile, section, kind, placeholder);
        if filled.contains('$') {
            return Err(Failure::new(format!("/usr/share/pam/{name}: a placeholder that we do not know")));
        }
        tree.file(format!("/etc/pam.d/{name}"), 0o644, filled);
    }
    Ok(())
}

fn text(tree: &Tree, path: &str) -> Outcome<String> {
    String::from_utf8(tree.read(path).doing("PAM")?).doing(path)
}

fn fill(template: &str, profile: &str, section: &str, kind: &str, placeholder: &str) -> String {
    let lines: String = stack(profile, section).iter().map(|line| format!("{kind}\t{line}\n")).collect();
    let primary = profile.lines().any(|line| line == format!("{section}-Type: Primary"));
    // A stack without a module of its own that decides lets pass.
    let (first, more) =
        if primary { (lines, String::new()) } else { (format!("{kind}\t[default=1]\tpam_permit.so\n"), lines) };
    template
        .replace(&format!("${placeholder}_primary\n"), &first)
        .replace(&format!("${placeholder}_additional\n"), &more)
}

/// The lines of a section, as the first module of a stack; `end` jumps over the module that denies.
fn stack(profile: &str, section: &str) -> Vec<String> {
    let of = |header: String| -> Vec<String> {
        let lines = profile.lines().skip_while(|line| *line != header).skip(1);
        lines
            .take_while(|line| line.starts_with([' ', '\t']))
            .map(|line| line.trim().replace("success=end", "success=1"))
            .collect()
    };
    let initial = of(format!("{section}-Initial:"));
    if initial.is_empty() { of(format!("{section}:")) } else { initial }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROFILE: &str = "Name: x\nAuth-Type: Primary\nAuth:\n\t[success=end]\tu.so again\nAuth-Initial:\n\t[success=end]\tu.so\nSession-Type: Additional\nSession:\n\trequired\tu.so\n";

    #[test]
    fn templates_are_filled_as_by_pam_auth_update() {
        let auth = "# x\n$auth_primary\nauth\trequisite\tpam_deny.so\n$auth_additional\n";
        assert_eq!(
            fill(auth, PROFILE, "Auth", "auth", "auth"),
            "# x\nauth\t[success=1]\tu.so\nauth\trequisite\tpam_deny.so\n"
        );
        let session = "$session_primary\n$session_additional\n";
        let filled = fill(session, PROFILE, "Session", "session", "session");
        assert_eq!(filled, "session\t[default=1]\tpam_permit.so\nsession\trequired\tu.so\n");
    }
}
