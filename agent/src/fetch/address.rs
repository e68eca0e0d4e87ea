//! What is told of a URL, and what is not.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::percent_decode_str;
use url::Url;

/// Whether a URL names a server.
pub fn is_remote(url: &str) -> bool {
    scheme_is(url, "http") || scheme_is(url, "https")
}

/// Whether what is sent there is encrypted.
pub fn is_secure(url: &str) -> bool {
    scheme_is(url, "https")
}

fn scheme_is(url: &str, wanted: &str) -> bool {
    url.split_once("://").is_some_and(|(scheme, _)| scheme.eq_ignore_ascii_case(wanted))
}

/// A URL without what may be secret: user, password, query and fragment.
pub fn shown(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        return url.to_owned();
    };
    format!("{scheme}://{}", cautious(rest.split(['?', '#']).next().unwrap_or_default()))
}

/// Host and port, as they stand in a URL.
pub fn host(url: &str) -> &str {
    without_user(url).split('/').next().unwrap_or_default()
}

/// The host without its port, nor the brackets of an IPv6 address.
pub fn host_name(url: &str) -> &str {
    let host = host(url);
    match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    }
}

/// The path of a URL, without query and fragment.
pub fn path(url: &str) -> &str {
    let rest = without_user(url);
    rest.find('/').and_then(|at| rest.get(at..)).unwrap_or("/")
}

/// `Authorization` of this user (RFC 7617).
pub fn basic(name: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{name}:{password}")))
}

/// A URL without its user info, and that as `Authorization`; none where it has none.
pub fn user(url: &str) -> Option<(String, String)> {
    let mut bare = Url::parse(url).ok()?;
    let plain = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let (name, password) = (plain(bare.username()), plain(bare.password().unwrap_or_default()));
    if name.is_empty() && password.is_empty() {
        return None;
    }
    bare.set_username("").and_then(|()| bare.set_password(None)).ok()?;
    Some((bare.into(), basic(&name, &password)))
}

/// What of a URL follows the user info, up to the query: as whoever asks for it takes it, if it can be asked for at all.
fn without_user(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let rest = rest.split(['?', '#']).next().unwrap_or_default();
    match Url::parse(url) {
        Ok(_) => {
            let authority = rest.split('/').next().unwrap_or_default();
            authority.rfind('@').and_then(|at| rest.get(at + 1..)).unwrap_or(rest)
        }
        Err(_) => cautious(rest),
    }
}

/// What follows the user info. A password may hold a `/` that its writer forgot to escape, so a `@` in a path counts as well: rather a piece of
/// the path is not shown than a piece of a password is.
fn cautious(rest: &str) -> &str {
    let first = rest.split(char::is_whitespace).next().unwrap_or_default();
    first.rfind('@').and_then(|at| rest.get(at + 1..)).unwrap_or(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_shown() {
        for (url, safe) in [
            ("https://me:pass@host:8443/a/b.zim?token=1#x", "https://host:8443/a/b.zim"),
            ("http://host?key=1", "http://host"),
            ("http://me:hun/ter8@127.0.0.1:9/x", "http://127.0.0.1:9/x"),
            ("http://me:p@ss/w@host/a b@c", "http://host/a b@c"),
            ("/data/x?y", "/data/x?y"),
        ] {
            assert_eq!(shown(url), safe);
        }
        let bare = ("http://host:81/a".to_owned(), basic("me", "p@s=s"));
        assert_eq!(user("http://me:p%40s=s@host:81/a"), Some(bare));
        assert_eq!(user("http://host/@scope/a"), None);
        assert_eq!(host("http://me@host:80/a?b@c"), "host:80");
        assert_eq!(host("http://me:hun/ter8@127.0.0.1:9/x"), "127.0.0.1:9");
        assert_eq!((host_name("http://[::1]:80/a"), host_name("http://h:80")), ("::1", "h"));
        assert_eq!((path("http://h/a/b?c"), path("http://h")), ("/a/b", "/"));
        let package = "https://cdn.example/npm/map@1.2.3/map.js";
        assert_eq!((host(package), path(package)), ("cdn.example", "/npm/map@1.2.3/map.js"));
    }
}
