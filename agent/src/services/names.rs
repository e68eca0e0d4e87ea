//! Which image a name means.

use std::collections::HashMap;

use bollard::models::ImageSummary;

/// A name as the engine shows it: without the registry and folder that Docker takes for granted, with a tag.
/// `index.docker.io/library/caddy` is `caddy:latest`.
pub fn familiar(name: &str) -> String {
    let mut rest = name.trim();
    for registry in ["index.docker.io/", "docker.io/"] {
        rest = rest.strip_prefix(registry).unwrap_or(rest);
    }
    if let Some(bare) = rest.strip_prefix("library/").filter(|bare| !bare.contains('/')) {
        rest = bare;
    }
    if let Some((path, digest)) = rest.split_once('@') {
        // The engine looks at the digest alone.
        let tag = path.rfind(':').filter(|at| !path[*at..].contains('/'));
        return format!("{}@{digest}", &path[..tag.unwrap_or(path.len())]);
    }
    let last = rest.rsplit('/').next().unwrap_or(rest);
    match last.contains(':') || rest.starts_with("sha256:") {
        true => rest.to_owned(),
        false => format!("{rest}:latest"),
    }
}

/// The images of the engine: from name to id.
#[derive(Debug, Default)]
pub struct Names(HashMap<String, String>);

impl Names {
    /// All names in a listing: tags, digests and ids.
    pub fn of(images: Vec<ImageSummary>) -> Names {
        let mut names = HashMap::new();
        for image in images {
            for name in image.repo_tags.iter().chain(&image.repo_digests) {
                names.insert(familiar(name), image.id.clone());
            }
            names.insert(image.id.clone(), image.id);
        }
        Names(names)
    }

    /// The id of the image with this name.
    pub fn id(&self, name: &str) -> Option<&str> {
        self.0.get(&familiar(name)).or(self.0.get(name)).map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::familiar;

    #[test]
    fn names_are_compared_in_their_familiar_form() {
        for (name, expected) in [
            ("caddy:2.6.1-alpine", "caddy:2.6.1-alpine"),
            ("index.docker.io/library/caddy:2.6.1-alpine", "caddy:2.6.1-alpine"),
            ("docker.io/library/caddy", "caddy:latest"),
            ("docker.io/a/b", "a/b:latest"),
            ("localhost:5000/a", "localhost:5000/a:latest"),
            ("ghcr.io/offspot/kiwix-serve:3.8.1", "ghcr.io/offspot/kiwix-serve:3.8.1"),
            ("localhost:5000/a/b:1@sha256:00", "localhost:5000/a/b@sha256:00"),
            ("localhost:5000/a@sha256:00", "localhost:5000/a@sha256:00"),
        ] {
            assert_eq!(familiar(name), expected, "{name}");
        }
    }
}
