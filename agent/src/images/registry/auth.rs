//! What lets us into a registry: a token from the server that it names, or name and password.
//!
//! They go to the host they were given for, and to the server of tokens that it names over a connection as safe; a redirect takes none along.

use std::sync::{Arc, PoisonError};

use http_auth::ChallengeParser;
use offspot_config::settings::Registry;
use serde::Deserialize;

use super::Network;
use super::reference::{entry, host, is_loopback};
use super::text::whole;
use crate::fetch::address::{self, is_secure};
use crate::fetch::{Keys, Unanswered, Wanted, shown};

/// Longest answer of a server of tokens.
const TOKEN: u64 = 1 << 20;

/// What a registry asks for.
#[derive(Debug, PartialEq, Eq)]
enum Asked {
    Basic,
    Bearer { realm: String, service: Option<String>, scope: Option<String> },
}

#[derive(Deserialize)]
struct Token {
    #[serde(default)]
    token: Option<String>,
    #[serde(default)]
    access_token: Option<String>,
}

impl Network {
    /// What lets us read the repository at `path`.
    pub fn keys(&self, path: &str) -> Keys {
        let (network, path) = (self.clone(), path.to_owned());
        Arc::new(move |url, challenge| network.key(&path, url, challenge))
    }

    fn key(&self, path: &str, url: &str, challenge: Option<&str>) -> Result<Option<String>, Unanswered> {
        // What is meant for an encrypted connection is not sent over another.
        let place = (format!("{}{}", host(url), if is_secure(url) { "" } else { " in clear" }), path.to_owned());
        let known = || self.inner.keys.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(challenge) = challenge else { return Ok(known().get(&place).cloned()) };
        let may = |registry: &&Registry| is_secure(url) || registry.insecure || is_loopback(host(url));
        let basic = entry(host(url), &self.inner.registries).filter(may).and_then(basic);
        let key = match asked(challenge) {
            Some(Asked::Bearer { realm, service, scope }) => {
                let scope = scope.unwrap_or_else(|| format!("repository:{path}:pull"));
                Some(self.token(url, &realm, service.as_deref(), &scope, basic)?)
            }
            Some(Asked::Basic) => basic,
            None => None,
        };
        // The same again is refused again.
        match key.filter(|key| known().insert(place, key.clone()).as_ref() != Some(key)) {
            Some(key) => Ok(Some(key)),
            None => Err(Unanswered::for_good(format!(
                "{}: it does not let the box in, or there is no such image (give name and password for it under registries in offspot.yaml)",
                shown(url)
            ))),
        }
    }

    fn token(
        &self,
        url: &str,
        realm: &str,
        service: Option<&str>,
        scope: &str,
        basic: Option<String>,
    ) -> Result<String, Unanswered> {
        let told = |why: &str| Unanswered::for_good(format!("{}: {why}", shown(url)));
        let safe = realm.starts_with("https://") || realm.starts_with("http://") && url.starts_with("http://");
        if !safe {
            return Err(told("it names a server of tokens that is not safe"));
        }
        let mut query = vec![format!("scope={}", escaped(scope))];
        query.extend(service.map(|service| format!("service={}", escaped(service))));
        let mark = if realm.contains('?') { '&' } else { '?' };
        let wanted = Wanted {
            urls: vec![format!("{realm}{mark}{}", query.join("&"))],
            most: TOKEN,
            is_text: true,
            // Shown at once: not every one of them asks for it.
            keys: basic.map(|basic| -> Keys {
                let refused = told("its server of tokens does not take this name and password");
                Arc::new(move |_, asked| if asked.is_none() { Ok(Some(basic.clone())) } else { Err(refused.clone()) })
            }),
            ..Wanted::default()
        };
        // It was tried often enough here, and what this server asks for is nothing that the registry asks for.
        let (text, _) = whole(&self.inner.fetcher, wanted).map_err(|no| Unanswered::for_good(no.why))?;
        let token = token_in(&text).ok_or_else(|| told("its server of tokens gave none"))?;
        Ok(format!("Bearer {token}"))
    }
}

fn token_in(text: &[u8]) -> Option<String> {
    let said: Token = serde_json::from_slice(text).ok()?;
    let token = [said.token, said.access_token].into_iter().flatten().find(|token| !token.is_empty())?;
    token.bytes().all(|byte| byte.is_ascii_graphic()).then_some(token)
}

fn basic(registry: &Registry) -> Option<String> {
    let (name, password) = (registry.username.as_deref()?, registry.password.as_deref()?);
    Some(address::basic(name, password))
}

/// The first of the challenges that we have an answer to, a token before a password.
fn asked(challenge: &str) -> Option<Asked> {
    let challenges: Vec<_> = ChallengeParser::new(challenge).map_while(Result::ok).collect();
    let bearer = challenges.iter().filter(|challenge| challenge.scheme.eq_ignore_ascii_case("bearer"));
    let bearer = bearer.into_iter().find_map(|challenge| {
        let value = |name: &str| {
            let own = challenge.params.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
            own.map(|(_, value)| value.to_unescaped()).filter(|value| !value.is_empty())
        };
        Some(Asked::Bearer { realm: value("realm")?, service: value("service"), scope: value("scope") })
    });
    let basic = || challenges.iter().any(|challenge| challenge.scheme.eq_ignore_ascii_case("basic"));
    bearer.or_else(|| basic().then_some(Asked::Basic))
}

/// As it stands in the query of a URL.
fn escaped(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:/".contains(&byte);
    let one = |byte: u8| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    text.bytes().map(one).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::path::Path;

    use super::*;
    use crate::host::Host;
    use crate::report::Reporter;

    #[test]
    fn what_a_server_of_tokens_says_is_not_the_registry_s() {
        for (status, header) in [
            ("503 Service Unavailable", "Retry-After: 0"),
            ("401 Unauthorized", "WWW-Authenticate: Bearer realm=\"http://127.0.0.1:1/\""),
        ] {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let realm = format!("http://{}/token", listener.local_addr().unwrap());
            let answer = format!("HTTP/1.1 {status}\r\n{header}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            std::thread::spawn(move || {
                for mut client in listener.incoming().flatten() {
                    let _ = client.read(&mut [0; 4096]).and_then(|_| client.write_all(answer.as_bytes()));
                }
            });
            let root = Path::new("/nowhere");
            let network = Network::new(&Host::new(root), &BTreeMap::new(), root, &Reporter::new().0);
            let no = network.token("http://registry.invalid/v2/", &realm, None, "x", None).unwrap_err();
            // Nothing that would be tried again, waited for, or answered with a token.
            assert_eq!(no, Unanswered::for_good(no.why.clone()));
            assert!(no.why.contains(&status[..3]), "{no}");
        }
    }

    #[test]
    fn challenges_of_real_registries() {
        let hub = r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:library/caddy:pull""#;
        let bearer = |realm: &str, service: Option<&str>, scope: Option<&str>| Asked::Bearer {
            realm: realm.into(),
            service: service.map(str::to_owned),
            scope: scope.map(str::to_owned),
        };
        let scope = Some("repository:library/caddy:pull");
        assert_eq!(asked(hub), Some(bearer("https://auth.docker.io/token", Some("registry.docker.io"), scope)));
        assert_eq!(asked(r#"Basic realm="x""#), Some(Asked::Basic));
        assert_eq!(asked(r#"Bearer realm="https://t/",service="",scope="""#), Some(bearer("https://t/", None, None)));
        assert_eq!(asked(r#"BASIC realm="x", bearer realm="https://t/""#), Some(bearer("https://t/", None, None)));
        for none in ["", "Negotiate", "Bearer service=\"x\"", "\u{1}"] {
            assert_eq!(asked(none), None, "{none}");
        }
    }

    #[test]
    fn a_token_by_either_name() {
        for (text, token) in [
            (r#"{"token": "a", "access_token": "b"}"#, Some("a")),
            (r#"{"token": "", "access_token": "b"}"#, Some("b")),
            (r#"{"token": null, "access_token": "b"}"#, Some("b")),
            (r#"{"token": "a b"}"#, None),
            (r#"{"token": ""}"#, None),
            ("{", None),
        ] {
            assert_eq!(token_in(text.as_bytes()).as_deref(), token, "{text}");
        }
    }

    #[test]
    fn a_scope_of_two_repositories_stays_one_value() {
        assert_eq!(
            escaped("repository:a/b:pull repository:c:pull&x=1"),
            "repository:a/b:pull%20repository:c:pull%26x%3D1"
        );
    }
}
