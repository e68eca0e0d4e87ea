//! What `files` and `oci_images` name: targets, sources, digests, images.

use super::{Verdict, one_line, shown};
use crate::finding::Complaint;
use crate::settings::{Algorithm, Via};

/// Words of `via`.
pub const VIAS: &[(&str, Via)] = &[
    ("direct", Via::Direct),
    ("base64", Via::Base64),
    ("tar", Via::Tar),
    ("gztar", Via::Gztar),
    ("bztar", Via::Bztar),
    ("xztar", Via::Xztar),
    ("zip", Via::Zip),
    ("zstdtar", Via::Zstdtar),
];

/// Words of `algo`, and how many hex digits each digest has.
pub const ALGORITHMS: &[(&str, Algorithm, usize)] = &[
    ("sha-1", Algorithm::Sha1, 40),
    ("sha-224", Algorithm::Sha224, 56),
    ("sha-256", Algorithm::Sha256, 64),
    ("sha-384", Algorithm::Sha384, 96),
    ("sha-512", Algorithm::Sha512, 128),
    ("md5", Algorithm::Md5, 32),
    ("adler32", Algorithm::Adler32, 8),
];

/// Folders below `/data` that belong to the agent, to the engine and to the file system.
const RESERVED: &[&str] = &["/data/.offspot", "/data/docker", "/data/lost+found"];

/// A place below `/data`, made lexically normal: `/data//a/./b/../c` is `/data/a/c`.
pub fn target(text: &str) -> Verdict<String> {
    one_line(text)?;
    let refuse = |why: &str| {
        Err(Complaint::value(
            format!("{} {why}", shown(text)),
            "Write a path below /data, as in /data/contents/zims/a.zim.",
        ))
    };
    if !text.starts_with('/') {
        return refuse("is not an absolute path");
    }
    let mut parts: Vec<&str> = Vec::new();
    for part in text.split('/').filter(|part| !part.is_empty() && *part != ".") {
        match part {
            ".." => drop(parts.pop()),
            name => parts.push(name),
        }
    }
    let path = format!("/{}", parts.join("/"));
    if parts.first() != Some(&"data") || parts.len() < 2 {
        return refuse("is not below /data");
    } else if RESERVED.iter().any(|folder| path == *folder || path.starts_with(&format!("{folder}/"))) {
        return refuse("lies in a folder that the box needs for itself");
    } else if path.len() > 4000 || parts.iter().any(|part| part.len() > 255) {
        return refuse("is too long");
    }
    Ok(path)
}

/// Where bytes can come from: `http(s)://…`, `file:///…` or an absolute path on the card. The message never repeats it, it may hold a password.
pub fn source(text: &str) -> Verdict {
    one_line(text)?;
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let host = rest.is_some_and(|rest| !rest.starts_with(['/', '?', '#', ':']) && !rest.is_empty());
    let local = text.strip_prefix("file://").unwrap_or(text);
    if !text.contains(char::is_whitespace) && host || rest.is_none() && local.starts_with('/') && local.len() > 1 {
        return Ok(());
    }
    Err(Complaint::value(
        "this is not an address that can be fetched",
        "Write http://…, https://…, file:///… or an absolute path on the card.",
    ))
}

/// A digest of this algorithm, in lower case.
pub fn digest(algo: Algorithm, text: &str) -> Verdict<String> {
    let length = ALGORITHMS.iter().find(|(_, known, _)| *known == algo).map_or(0, |(.., length)| *length);
    if text.len() == length && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Ok(text.to_ascii_lowercase());
    }
    Err(Complaint::value(
        format!("the digest is not {length} hex digits long"),
        "Copy the whole digest, or check `algo`; for an address of a digest say `kind: url`.",
    ))
}

/// Standard base64 with padding; white space does not count.
pub fn base64(text: &str) -> Verdict {
    let letters: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let body = letters.iter().rposition(|byte| *byte != b'=').map_or(0, |last| last + 1);
    let padding = letters.len() - body;
    let alphabet = letters[..body].iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/'));
    if alphabet && padding <= 2 && letters.len().is_multiple_of(4) {
        return Ok(());
    }
    Err(Complaint::value("the content is not base64", "Encode it anew (`base64 FILE`), or leave out `via: base64`."))
}

/// `[registry/][path/]name[:tag][@digest]`.
pub fn image_name(text: &str) -> Verdict {
    let (name, digest) = text.split_once('@').map_or((text, None), |(name, digest)| (name, Some(digest)));
    let (path, tag) = match name.rsplit_once(':') {
        Some((path, tag)) if !tag.contains('/') => (path, Some(tag)),
        _ => (name, None),
    };
    let word = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '.' | '-');
    let part = |part: &str| {
        !part.is_empty()
            && part.starts_with(|first: char| first.is_ascii_alphanumeric())
            && part.chars().all(|letter| word(letter) && !letter.is_ascii_uppercase())
    };
    let registry = |part: &str| {
        let host = part.chars().all(|letter| word(letter) || matches!(letter, ':' | '[' | ']'));
        let start = part.starts_with(|first: char| first.is_ascii_alphanumeric() || first == '[');
        part.contains(['.', ':']) && host && start || part == "localhost"
    };
    let parts: Vec<&str> = path.split('/').collect();
    let (first, rest) = parts.split_first().unwrap_or((&"", &[]));
    let path_fits = (part(first) || registry(first) && !rest.is_empty()) && rest.iter().all(|rest| part(rest));
    let tag_fits = tag
        .is_none_or(|tag| !tag.is_empty() && tag.len() <= 128 && tag.chars().all(word) && !tag.starts_with(['.', '-']));
    let hex = |digits: &str| digits.len() >= 32 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    let digest_fits = digest.is_none_or(|digest| {
        digest.split_once(':').is_some_and(|(algo, digits)| !algo.is_empty() && algo.chars().all(word) && hex(digits))
    });
    if path_fits && tag_fits && digest_fits && text.len() <= 512 {
        return Ok(());
    }
    Err(Complaint::value(
        format!("{} is not the name of an image", shown(text)),
        "Write it as in ghcr.io/offspot/kiwix-serve:3.8.1.",
    ))
}

/// The name of an image that is to be brought to the card: an [`image_name`] that the agent reads too.
pub fn image_ident(text: &str) -> Verdict {
    image_name(text)?;
    let refuse = |why: &str, advice: &str| Err(Complaint::value(format!("{} {why}", shown(text)), advice));
    let (name, digest) = text.split_once('@').map_or((text, None), |(name, digest)| (name, Some(digest)));
    let path = name.rsplit_once(':').filter(|(_, tag)| !tag.contains('/')).map_or(name, |(path, _)| path);
    let (host, path) = match path.split_once('/') {
        Some((first, rest)) if first.contains(['.', ':']) || first == "localhost" => (Some(first), rest),
        _ => (None, path),
    };
    let is_sha256 = |digest: &str| {
        digest.split_once(':').is_some_and(|(algo, digits)| algo.eq_ignore_ascii_case("sha256") && digits.len() == 64)
    };
    let is_host = |host: &str| host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-:".contains(&byte));
    if !digest.is_none_or(is_sha256) {
        return refuse(
            "has a digest that is no sha256 of 64 hex digits",
            "Copy the whole digest, as in NAME@sha256:….",
        );
    } else if host.is_some_and(|host| host.starts_with('[')) {
        return refuse("names its registry by an IPv6 address", "Give the registry's host name, or an IPv4 address.");
    } else if !host.is_none_or(is_host) {
        return refuse("names a registry that is no host name", "Write it as in ghcr.io/offspot/kiwix-serve:3.8.1.");
    } else if path.split('/').any(|part| part.ends_with(['.', '_', '-'])) {
        return refuse("has a part that ends in a dot, a dash or an underscore", "Leave that out.");
    } else if path.split('/').any(|part| part.len() > 255) {
        return refuse("has a part of more than 255 letters", "Write it as in ghcr.io/offspot/kiwix-serve:3.8.1.");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_below_data() {
        for (text, normal) in [
            ("/data/a", "/data/a"),
            ("/data//a/./b/../c", "/data/a/c"),
            ("/data/a/", "/data/a"),
            ("/x/../data/a", "/data/a"),
            ("/data/dockerx/a", "/data/dockerx/a"),
            ("/../data/a", "/data/a"),
        ] {
            assert_eq!(target(text).as_deref(), Ok(normal), "{text}");
        }
        for text in [
            "/data",
            "/data/",
            "/data/..",
            "/data/../etc/passwd",
            "/dataX/a",
            "data/a",
            "",
            "/",
            "/data/.offspot",
            "/data/x/../.offspot/receipts",
            "/data/docker/a",
            "/data/lost+found/a",
            "/data/a\nb",
        ] {
            assert!(target(text).is_err(), "{text}");
        }
    }

    #[test]
    fn sources() {
        for text in ["http://a/b", "https://a", "file:///data/x", "/data/a b.zim"] {
            assert!(source(text).is_ok(), "{text}");
        }
        for text in
            ["", "http://", "http:///x", "https://a b", "ftp://a/b", "file://x", "file:///", "a.zim", "/", "/a\n"]
        {
            assert!(source(text).is_err(), "{text}");
        }
    }

    #[test]
    fn digests_and_base64() {
        assert_eq!(
            digest(Algorithm::Md5, "747FD0841b56d2d5158e0e65646b1be1").as_deref(),
            Ok("747fd0841b56d2d5158e0e65646b1be1")
        );
        assert!(
            digest(Algorithm::Sha1, "747fd0841b56d2d5158e0e65646b1be1").is_err()
                && digest(Algorithm::Adler32, "zzzzzzzz").is_err()
        );
        assert!(["", "YQ==", "YWI=", "YW\nJj"].iter().all(|text| base64(text).is_ok()));
        assert!(["YQ", "YQ=", "Y===", "Y=Q=", "YQ-_", "hello world!"].iter().all(|text| base64(text).is_err()));
    }

    #[test]
    fn image_names() {
        for text in [
            "caddy",
            "caddy:2.6.1-alpine",
            "ghcr.io/offspot/kiwix-serve:dev",
            "quay.io/a/b/c",
            "localhost:5000/a/b:1",
            "index.docker.io/library/x",
            "a/b@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
        ] {
            assert!(image_name(text).is_ok(), "{text}");
        }
        for text in ["", ":", "a:", "/a", "a//b", "A/b", "a b", "a@b", "a:-x", "ghcr.io", "a\n", "-a", "../a"] {
            assert!(image_name(text).is_err() || text == "ghcr.io", "{text}");
        }
    }

    #[test]
    fn images_that_can_be_brought() {
        let hex = "0123456789abcdefABCDEF0123456789abcdef0123456789abcdef0123456789";
        for text in ["caddy", "ghcr.io/offspot/kiwix-serve:3.8.1", "localhost:5000/a/b:1", &format!("a/b@sha256:{hex}")]
        {
            assert!(image_ident(text).is_ok(), "{text}");
        }
        for (text, words) in [
            ("[fd00::2]:5000/x:1", "by an IPv6 address"),
            ("my_host:5000/x", "no host name"),
            ("caddy_", "ends in a dot"),
            ("a/b-/c:1", "ends in a dot"),
            (&format!("x@sha512:{hex}"), "no sha256 of 64"),
            (&format!("x@sha256:{}", &hex[..32]), "no sha256 of 64"),
            (&"a".repeat(256), "more than 255"),
        ] {
            assert!(image_ident(text).is_err_and(|refused| refused.message.contains(words)), "{text}");
            assert!(image_name(text).is_ok(), "a service may have it: {text}");
        }
    }
}
