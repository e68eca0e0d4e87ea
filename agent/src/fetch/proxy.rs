//! The proxy that the environment names for a URL, in the field's own variables.

use ureq::{Proxy, ProxyProtocol};

use super::address::{host_name, is_secure};

/// The proxy for this URL; none where the environment names none, or excepts its host. The error is a sentence.
pub fn of_environment(url: &str) -> Result<Option<Proxy>, String> {
    of(url, |name| std::env::var(name).ok().filter(|value| !value.is_empty()))
}

fn of(url: &str, variable: impl Fn(&str) -> Option<String>) -> Result<Option<Proxy>, String> {
    let except = variable("no_proxy").or_else(|| variable("NO_PROXY")).unwrap_or_default();
    if is_excepted(host_name(url), &except) {
        return Ok(None);
    }
    // A server may be called with HTTP_PROXY set by its client (CGI), so only the small one counts for http; nobody calls us so, but all do it.
    let own: [&str; 2] = if is_secure(url) { ["https_proxy", "HTTPS_PROXY"] } else { ["http_proxy", "HTTP_PROXY"] };
    let names = own.into_iter().chain(["all_proxy", "ALL_PROXY"]);
    let Some((name, named)) = names.into_iter().find_map(|name| Some((name, variable(name)?))) else { return Ok(None) };
    match Proxy::new(&named) {
        Ok(proxy) if matches!(proxy.protocol(), ProxyProtocol::Http | ProxyProtocol::Https) => Ok(Some(proxy)),
        Ok(_) => Err(format!("{name} names a proxy of another kind than http: only that can be used")),
        Err(_) => Err(format!("{name} names no proxy: write it as http://host:port")),
    }
}

/// Whether a list as in `NO_PROXY` names this host: itself, a domain above it, or everything.
fn is_excepted(host: &str, list: &str) -> bool {
    list.split(',').map(str::trim).filter(|entry| !entry.is_empty()).any(|entry| {
        let entry = entry.trim_start_matches("*.").trim_start_matches('.');
        let below = || host.len().checked_sub(entry.len() + 1).and_then(|at| host.get(at..));
        entry == "*"
            || host.eq_ignore_ascii_case(entry)
            || below().is_some_and(|end| end.starts_with('.') && end[1..].eq_ignore_ascii_case(entry))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_scheme_has_its_own_and_exceptions_hold() {
        let environment = |name: &str| match name {
            "http_proxy" => Some("http://plain:3128".to_owned()),
            "HTTPS_PROXY" => Some("http://safe:3128".to_owned()),
            "no_proxy" => Some("localhost, .school.lan,*.village.org, 10.0.0.1".to_owned()),
            _ => None,
        };
        let host = |url: &str| of(url, environment).unwrap().map(|proxy| proxy.host().to_owned());
        assert_eq!(host("http://a/x").as_deref(), Some("plain"));
        assert_eq!(host("https://a/x").as_deref(), Some("safe"));
        for url in ["http://localhost:8/x", "http://a.school.lan", "http://b.village.org/", "https://10.0.0.1/"] {
            assert_eq!(host(url), None, "{url}");
        }
        assert!(host("http://notschool.lan").is_some());
        assert!(of("http://a", |_| None).unwrap().is_none());
        let socks = |name: &str| (name == "ALL_PROXY").then(|| "socks5://x:1080".to_owned());
        assert!(of("http://a", socks).unwrap_err().contains("ALL_PROXY names a proxy of another kind"));
    }
}
