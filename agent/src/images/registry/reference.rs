//! Where an image is on the network: mirrors first, then its own registry. Pure.

use std::collections::BTreeMap;

use offspot_config::settings::Registry;

use crate::images::name::ImageName;

/// Docker's own registry: what images, settings and servers call it.
const HUB: &str = "docker.io";
const HUBS: [&str; 3] = [HUB, "index.docker.io", HUB_SERVER];
const HUB_SERVER: &str = "registry-1.docker.io";

/// An image on the network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// `https://host`, in the order in which they are asked; a mirror may have a path.
    bases: Vec<String>,
    /// The repository, `library/caddy`.
    pub path: String,
    /// Tag or digest.
    pub version: String,
}

impl Address {
    /// Where the image of this name is, by these settings.
    pub fn of(name: &ImageName, registries: &BTreeMap<String, Registry>) -> Address {
        let entry = entry(name.registry(), registries);
        let mirrors = entry.into_iter().flat_map(|entry| &entry.mirrors);
        let mirrors = mirrors.map(|mirror| mirror.trim_end_matches('/').to_owned());
        let host = if name.registry() == HUB { HUB_SERVER } else { name.registry() };
        let open = is_loopback(host) || entry.is_some_and(|entry| entry.insecure);
        let own = format!("{}://{host}", if open { "http" } else { "https" });
        Address {
            bases: mirrors.chain([own]).collect(),
            path: name.path().to_owned(),
            version: name.version().to_owned(),
        }
    }

    /// The addresses of a manifest, by tag or digest.
    pub fn manifest(&self, version: &str) -> Vec<String> {
        self.all("manifests", version)
    }

    /// The addresses of a blob (`sha256:…`).
    pub fn blob(&self, digest: &str) -> Vec<String> {
        self.all("blobs", digest)
    }

    fn all(&self, kind: &str, which: &str) -> Vec<String> {
        self.bases.iter().map(|base| format!("{base}/v2/{}/{kind}/{which}", self.path)).collect()
    }
}

/// What the settings say of this host, with its port; Docker's own has three names.
pub fn entry<'r>(host: &str, registries: &'r BTreeMap<String, Registry>) -> Option<&'r Registry> {
    let host = host.to_ascii_lowercase();
    let names = if HUBS.contains(&host.as_str()) { HUBS.to_vec() } else { vec![host.as_str()] };
    names.into_iter().find_map(|name| registries.get(name))
}

/// Host and port of a URL.
pub fn host(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.split(['/', '?', '#']).next().unwrap_or_default()
}

/// Whether it is this box itself, so that nobody can listen between.
pub fn is_loopback(host: &str) -> bool {
    let name = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((name, _)) => name,
        None => host.split(':').next().unwrap_or_default(),
    };
    let address = name.parse::<std::net::IpAddr>();
    name.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(name: &str, registries: &BTreeMap<String, Registry>) -> Vec<String> {
        let address = Address::of(&ImageName::parse(name).unwrap(), registries);
        address.manifest(&address.version)
    }

    #[test]
    fn familiar_names_are_of_the_hub_and_others_of_their_host() {
        let none = BTreeMap::new();
        for (name, url) in [
            ("caddy", "https://registry-1.docker.io/v2/library/caddy/manifests/latest"),
            ("index.docker.io/me/x:1", "https://registry-1.docker.io/v2/me/x/manifests/1"),
            ("ghcr.io/offspot/x:1.2", "https://ghcr.io/v2/offspot/x/manifests/1.2"),
            ("localhost:5000/x:1", "http://localhost:5000/v2/x/manifests/1"),
            ("127.0.3.1:5000/x:1", "http://127.0.3.1:5000/v2/x/manifests/1"),
            ("127.0.0.1.example.org/x:1", "https://127.0.0.1.example.org/v2/x/manifests/1"),
            ("10.0.0.2:5000/x:1", "https://10.0.0.2:5000/v2/x/manifests/1"),
        ] {
            assert_eq!(manifest(name, &none), [url]);
        }
        let digest = format!("sha256:{}", "5".repeat(64));
        assert!(manifest(&format!("x:1@{digest}"), &none)[0].ends_with(&format!("/manifests/{digest}")));
        assert!(is_loopback("[::1]:5000") && is_loopback("[::1]") && !is_loopback("[::2]:1"));
    }

    #[test]
    fn mirrors_come_first_and_insecure_is_http() {
        let entry = |mirrors: &[&str], insecure| Registry {
            mirrors: mirrors.iter().map(ToString::to_string).collect(),
            insecure,
            ..Registry::default()
        };
        let registries = BTreeMap::from([
            ("docker.io".to_owned(), entry(&["http://10.0.0.2:5000/", "https://m.example/hub"], false)),
            ("10.0.0.2:5000".to_owned(), entry(&[], true)),
        ]);
        let urls = manifest("caddy:2", &registries);
        let bases: Vec<_> = urls.iter().map(|url| url.split("/v2/").next().unwrap()).collect();
        assert_eq!(bases, ["http://10.0.0.2:5000", "https://m.example/hub", "https://registry-1.docker.io"]);
        assert_eq!(manifest("10.0.0.2:5000/x:1", &registries), ["http://10.0.0.2:5000/v2/x/manifests/1"]);
        assert!(super::entry("registry-1.docker.io", &registries).is_some());
        assert!(super::entry("quay.io", &registries).is_none());
    }
}
