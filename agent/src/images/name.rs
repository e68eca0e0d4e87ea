//! Names of images, as Docker reads them: `x` is `docker.io/library/x:latest`, `index.docker.io` is `docker.io`.

use std::fmt;

/// Docker's own registry, which familiar names leave out.
const HUB: &str = "docker.io";
/// Its folder of official images, left out too.
const OFFICIAL: &str = "library/";

/// An image by name, normalised: two spellings of one name are equal.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ImageName {
    registry: String,
    path: String,
    version: Version,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Version {
    Tag(String),
    /// Wins over a tag, as in Docker.
    Digest(String),
}

impl ImageName {
    /// Reads `[registry/]path[:tag][@digest]`; `None` where Docker would refuse it, as the empty tag in `x:`.
    pub fn parse(text: &str) -> Option<ImageName> {
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest)),
            None => (text, None),
        };
        // A colon before the last slash belongs to the registry's port.
        let (rest, tag) = match rest.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
            _ => (rest, None),
        };
        let version = match (digest, tag) {
            _ if tag.is_some_and(|tag| !is_tag(tag)) => return None,
            (Some(digest), _) => Version::Digest(Some(digest.to_ascii_lowercase()).filter(|digest| is_digest(digest))?),
            (None, tag) => Version::Tag(tag.unwrap_or("latest").to_owned()),
        };
        let (registry, path) = place(rest);
        let sound = is_registry(&registry) && path.split('/').all(is_part);
        sound.then_some(ImageName { registry, path, version })
    }

    /// Host of its registry, as names have it: `docker.io`.
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// Its repository there: `library/caddy`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Its tag, or its digest.
    pub fn version(&self) -> &str {
        match &self.version {
            Version::Tag(version) | Version::Digest(version) => version,
        }
    }

    /// As people and compose files write it: `caddy:2`, `ghcr.io/offspot/kiwix-serve:3.8.1`.
    pub fn familiar(&self) -> String {
        format!("{}{}", self.familiar_repository(), self.version)
    }

    /// The familiar name without tag or digest.
    pub fn familiar_repository(&self) -> String {
        if self.registry != HUB {
            return format!("{}/{}", self.registry, self.path);
        }
        self.path.strip_prefix(OFFICIAL).unwrap_or(&self.path).to_owned()
    }

    /// The tag under which the engine keeps it. It takes no digest for one: `@sha256:abc` is kept as the tag `sha256-abc`.
    pub fn engine_tag(&self) -> String {
        match &self.version {
            Version::Tag(tag) => tag.clone(),
            Version::Digest(digest) => digest.replacen(':', "-", 1),
        }
    }

    /// What the engine is told to call it.
    pub fn engine_name(&self) -> String {
        format!("{}:{}", self.familiar_repository(), self.engine_tag())
    }

    /// The name by digest that [`engine_tag`](Self::engine_tag) made this tag of, if it did.
    pub fn kept_digest(&self) -> Option<ImageName> {
        let Version::Tag(tag) = &self.version else { return None };
        let digest = tag.replacen('-', ":", 1);
        is_digest(&digest).then(|| ImageName { version: Version::Digest(digest), ..self.clone() })
    }

    /// The digest, `sha256:…`, where it is a name by digest.
    pub fn digest(&self) -> Option<&str> {
        match &self.version {
            Version::Digest(digest) => Some(digest),
            Version::Tag(_) => None,
        }
    }

    /// Begin of the file name that the image creator gives its tarball; the platform and the suffix follow.
    pub fn file_stem(&self) -> String {
        let registry = if self.registry == HUB { "index.docker.io" } else { &self.registry };
        let version = self.engine_tag().replacen("sha256-", "sha256", 1);
        format!("{}_{}_{version}", registry.replace(':', ""), self.path.replace('/', "_"))
    }
}

impl fmt::Display for ImageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}{}", self.registry, self.path, self.version)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Version::Tag(tag) => write!(f, ":{tag}"),
            Version::Digest(digest) => write!(f, "@{digest}"),
        }
    }
}

/// Registry and path of a name without tag and digest.
fn place(name: &str) -> (String, String) {
    let (registry, path) = match name.split_once('/') {
        Some((first, rest)) if first.contains(['.', ':']) || first == "localhost" => (first, rest),
        _ => (HUB, name),
    };
    let registry = if registry == "index.docker.io" { HUB } else { registry };
    if registry == HUB && !path.contains('/') {
        return (registry.to_owned(), format!("{OFFICIAL}{path}"));
    }
    (registry.to_owned(), path.to_owned())
}

fn is_registry(registry: &str) -> bool {
    let word = |byte: &u8| byte.is_ascii_alphanumeric();
    let bytes = registry.as_bytes();
    bytes.first().is_some_and(word) && bytes.iter().all(|byte| word(byte) || b".-:".contains(byte))
}

fn is_part(part: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = part.as_bytes();
    let ends = [bytes.first(), bytes.last()];
    part.len() <= 255
        && ends.iter().all(|end| end.is_some_and(|byte| plain(*byte)))
        && bytes.iter().all(|byte| plain(*byte) || b"._-".contains(byte))
}

fn is_tag(tag: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    tag.len() <= 128
        && tag.bytes().next().is_some_and(word)
        && tag.bytes().all(|byte| word(byte) || b".-".contains(&byte))
}

/// Whether this is `sha256:` and 64 digits of lower-case hex.
pub fn is_digest(text: &str) -> bool {
    text.strip_prefix("sha256:").is_some_and(is_hex)
}

/// Whether this is a sha-256 in lower-case hex.
pub fn is_hex(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "e058b159e71959d19dee145b718b816cc29073b59a5769457dd490e4d5e9d51e";

    fn normal(text: &str) -> Option<String> {
        ImageName::parse(text).map(|name| name.to_string())
    }

    #[test]
    fn one_name_many_spellings() {
        for text in [
            "caddy",
            "caddy:latest",
            "library/caddy",
            "docker.io/caddy",
            "docker.io/library/caddy",
            "index.docker.io/library/caddy:latest",
        ] {
            assert_eq!(normal(text).as_deref(), Some("docker.io/library/caddy:latest"), "{text}");
            assert_eq!(ImageName::parse(text).unwrap().familiar(), "caddy:latest");
        }
        assert_eq!(normal("localhost:5000/a/b:1").as_deref(), Some("localhost:5000/a/b:1"));
        assert_eq!(normal("quay.io/a/b/c").as_deref(), Some("quay.io/a/b/c:latest"));
        assert_eq!(ImageName::parse("me/x:1").unwrap().familiar(), "me/x:1");
    }

    #[test]
    fn digests_are_kept_as_tags() {
        let name = ImageName::parse(&format!("ghcr.io/offspot/x:1@sha256:{HEX}")).unwrap();
        assert_eq!(name.to_string(), format!("ghcr.io/offspot/x@sha256:{HEX}"));
        assert_eq!(name.engine_name(), format!("ghcr.io/offspot/x:sha256-{HEX}"));
        let kept = ImageName::parse(&name.engine_name()).unwrap();
        assert_eq!(kept.kept_digest(), Some(name));
    }

    #[test]
    fn what_the_settings_take_is_a_name() {
        let hex = HEX.to_uppercase();
        let plain = "caddy caddy_ caddy. caddy-:1 a_/b a/b_ a/b__c a.b/c a./b my_host:5000/x my_host.lan/x [fd00::2]:5000/x:1 [::1]/x \
            localhost/x localhost:5000/a/b:1 Ghcr.io/x a/B docker.io/ docker.io/x ghcr.io x:1:2 a:5000:1/x .x/y -x";
        let long = [255, 256].map(|length| "a".repeat(length));
        let digests = [
            format!("x@sha256:{hex}"),
            format!("x:1@SHA256:{hex}"),
            format!("x@{hex}"),
            format!("x@sha256:{}", &hex[..32]),
            format!("x@sha512:{hex}{hex}"),
        ];
        for text in plain.split_whitespace().chain(long.iter().chain(&digests).map(String::as_str)) {
            assert_eq!(offspot_config::rules::content::image_ident(text).is_ok(), normal(text).is_some(), "{text}");
        }
        assert_eq!(normal(&format!("x@sha256:{hex}")), Some(format!("docker.io/library/x@sha256:{HEX}")));
    }

    #[test]
    fn what_docker_refuses() {
        for text in ["", "name:", ":1", "Caddy", "a//b", "a/", "x:1:2", "x@sha256:12", "x:-1", "../x", "x y"] {
            assert_eq!(normal(text), None, "{text}");
        }
    }

    #[test]
    fn file_names_of_the_image_creator() {
        let stem = |text: &str| ImageName::parse(text).unwrap().file_stem();
        assert_eq!(stem("ghcr.io/offspot/kiwix-serve:3.8.1"), "ghcr.io_offspot_kiwix-serve_3.8.1");
        assert_eq!(stem("caddy:2.6.1-alpine"), "index.docker.io_library_caddy_2.6.1-alpine");
        assert_eq!(stem("localhost:5000/a/b:1"), "localhost5000_a_b_1");
        assert_eq!(stem(&format!("a/x@sha256:{HEX}")), format!("index.docker.io_a_x_sha256{HEX}"));
    }
}
