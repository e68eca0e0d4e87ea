//! The software bill of materials: SPDX 2.3 as JSON, made of the lock alone.

use std::collections::{BTreeMap, BTreeSet};

use offspot_agent::stream::digest::Digest;
use offspot_config::settings::Algorithm;
use serde_json::{Value, json};

use crate::fetch::mirrors;
use crate::lock::{Lock, Locked, iso8601, timestamp};
use crate::skel::Skel;
use crate::tool::Outcome;

/// Identifier of the image among the packages.
const IMAGE: &str = "SPDXRef-Image";

/// The document for the image made of this lock. `epoch` is the moment it was made, in seconds since 1970: of the lock, so that the same lock
/// gives the same document.
pub fn spdx(lock: &Lock, skel: &Skel, epoch: i64) -> Outcome<String> {
    let name = format!("offspot-{}", skel.architecture);
    let mut packages = vec![image(&name, epoch)];
    let mut relationships = vec![relationship("SPDXRef-DOCUMENT", "DESCRIBES", IMAGE)];
    let providers = providers(lock);
    for locked in &lock.packages {
        packages.push(package(lock, skel, locked)?);
        relationships.push(relationship(IMAGE, "CONTAINS", &id(&locked.package)));
    }
    for locked in &lock.packages {
        for other in depends_on(locked, &providers) {
            relationships.push(relationship(&id(&locked.package), "DEPENDS_ON", &id(other)));
        }
    }
    let document = json!({
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": name,
        "documentNamespace": format!("https://spdx.org/spdxdocs/{name}-{}", fingerprint(lock)),
        "creationInfo": {
            "created": iso8601(epoch),
            "creators": [concat!("Tool: image-skel-", env!("CARGO_PKG_VERSION"))],
        },
        "documentDescribes": [IMAGE],
        "packages": packages,
        "relationships": relationships,
    });
    Ok(format!("{document:#}\n"))
}

fn image(name: &str, epoch: i64) -> Value {
    json!({
        "SPDXID": IMAGE,
        "name": name,
        "versionInfo": timestamp(epoch),
        "primaryPackagePurpose": "OPERATING-SYSTEM",
        "downloadLocation": "NOASSERTION",
        "filesAnalyzed": false,
        "licenseConcluded": "NOASSERTION",
        "licenseDeclared": "NOASSERTION",
        "copyrightText": "NOASSERTION",
    })
}

fn package(lock: &Lock, skel: &Skel, locked: &Locked) -> Outcome<Value> {
    let from = mirrors::urls(skel, lock, locked)?.into_iter().find(|url| !url.starts_with("file:"));
    let (source, version) = source(locked);
    Ok(json!({
        "SPDXID": id(&locked.package),
        "name": locked.package,
        "versionInfo": locked.version,
        "supplier": "Organization: Debian",
        "downloadLocation": from.as_deref().unwrap_or("NOASSERTION"),
        "filesAnalyzed": false,
        "checksums": [{ "algorithm": "SHA256", "checksumValue": locked.sha256 }],
        "licenseConcluded": "NOASSERTION",
        "licenseDeclared": "NOASSERTION",
        "copyrightText": "NOASSERTION",
        "sourceInfo": format!("built from the source package {source} {version}"),
        "externalRefs": [{
            "referenceCategory": "PACKAGE-MANAGER",
            "referenceType": "purl",
            "referenceLocator": purl(locked),
        }],
    }))
}

/// `Source` names the version only where it is another one.
fn source(locked: &Locked) -> (&str, &str) {
    let source = locked.fields.get("Source").map_or(locked.package.as_str(), String::as_str);
    match source.split_once(" (") {
        Some((name, version)) => (name, version.trim_end_matches(')')),
        None => (source, &locked.version),
    }
}

/// `pkg:deb/debian/…`, as the type `deb` of the purl specification has it.
fn purl(locked: &Locked) -> String {
    let distro = locked.suite.split('-').next().unwrap_or_default();
    let (name, version) = (percent(&locked.package), percent(&locked.version));
    format!("pkg:deb/debian/{name}@{version}?arch={}&distro={}", percent(&locked.architecture), percent(distro))
}

fn percent(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b'~');
    text.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

/// An identifier may hold letters, digits, `.` and `-`; names of packages have `+` beside these. `_` and upper case are in no such name.
fn id(package: &str) -> String {
    format!("SPDXRef-Package-{}", package.replace('+', "P"))
}

fn relationship(from: &str, kind: &str, to: &str) -> Value {
    json!({ "spdxElementId": from, "relationshipType": kind, "relatedSpdxElement": to })
}

/// Names, and names provided, with the packages that have them.
fn providers(lock: &Lock) -> BTreeMap<&str, Vec<&str>> {
    let mut providers: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for locked in &lock.packages {
        let provides = locked.fields.get("Provides").map_or("", String::as_str);
        for name in std::iter::once(locked.package.as_str())
            .chain(provides.split(',').map(bare).filter(|name| !name.is_empty()))
        {
            providers.entry(name).or_default().push(&locked.package);
        }
    }
    providers
}

/// Of alternatives every one that is in the image, whichever would do.
fn depends_on<'a>(locked: &Locked, providers: &BTreeMap<&str, Vec<&'a str>>) -> BTreeSet<&'a str> {
    let fields = ["Depends", "Pre-Depends"].into_iter().filter_map(|field| locked.fields.get(field));
    let names = fields.flat_map(|value| value.split([',', '|']).map(bare));
    let found = names.filter_map(|name| providers.get(name)).flatten().copied();
    found.filter(|other| *other != locked.package).collect()
}

/// The name in `name:any (>= 1)`.
fn bare(relation: &str) -> &str {
    relation.trim().split([' ', ':', '(']).next().unwrap_or_default()
}

/// Tells documents of different locks apart.
fn fingerprint(lock: &Lock) -> String {
    let mut digest = Digest::new(Algorithm::Sha256);
    for locked in &lock.packages {
        digest.update(format!("{} {} {}\n", locked.package, locked.version, locked.sha256).as_bytes());
    }
    digest.hex()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::skel::{Archive, Partitions, Units};

    fn locked(package: &str, version: &str, fields: &[(&str, &str)]) -> Locked {
        Locked {
            package: package.into(),
            version: version.into(),
            architecture: "arm64".into(),
            filename: format!("pool/{package}.deb"),
            size: 1,
            sha256: "0".repeat(64),
            suite: "trixie-security".into(),
            order: 1,
            fields: fields.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect(),
        }
    }

    fn skel() -> Skel {
        let archive = Archive {
            name: "security".into(),
            mirrors: vec!["file:///export".into(), "https://mirror.example/{timestamp}".into()],
            suites: vec!["trixie-security".into()],
            components: vec!["main".into()],
            security: true,
            max_age_days: None,
        };
        let (root_uuid, data_uuid) = Default::default();
        let partitions =
            Partitions { disk_id: 1, boot_mib: 1, root_mib: 1, data_mib: 1, root_uuid, data_uuid, boot_id: 1 };
        let (packages, from, leave_out, keep) = Default::default();
        let (users, groups, initramfs_modules, boards) = Default::default();
        let archives = vec![archive];
        let architecture = "arm64".into();
        Skel {
            architecture,
            archives,
            packages,
            from,
            leave_out,
            keep,
            partitions,
            users,
            groups,
            units: Units::default(),
            initramfs_modules,
            boards,
        }
    }

    fn lock() -> Lock {
        let library =
            locked("libstdc++6", "1:14.2.0-19+b1", &[("Source", "gcc-14 (14.2.0-19)"), ("Provides", "libcxx (= 1)")]);
        let program = locked(
            "program",
            "2",
            &[("Depends", "libcxx:any (>= 1), awk | program"), ("Pre-Depends", "libstdc++6 (>= 1)")],
        );
        Lock { packages: vec![library, program], dates: [("trixie-security".to_owned(), 1_794_470_141)].into() }
    }

    /// What the schema of SPDX 2.3 requires of a document, a package, a relationship, and of the patterns of identifiers.
    #[test]
    fn what_spdx_requires_is_there() {
        let text = spdx(&lock(), &skel(), 1_794_470_141).unwrap();
        assert_eq!(text, spdx(&lock(), &skel(), 1_794_470_141).unwrap());
        let document: Value = serde_json::from_str(&text).unwrap();
        for required in ["SPDXID", "creationInfo", "dataLicense", "name", "spdxVersion", "documentNamespace"] {
            assert!(!document[required].is_null(), "{required}");
        }
        assert_eq!(document["creationInfo"]["created"], "2026-11-12T07:55:41Z");
        let mut ids = BTreeSet::from(["SPDXRef-DOCUMENT"]);
        for package in document["packages"].as_array().unwrap() {
            for required in ["SPDXID", "downloadLocation", "name"] {
                assert!(package[required].is_string(), "{required}");
            }
            let id = package["SPDXID"].as_str().unwrap();
            let rest = id.strip_prefix("SPDXRef-").unwrap();
            assert!(rest.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-')), "{id}");
            assert!(ids.insert(id), "{id} twice");
        }
        for relationship in document["relationships"].as_array().unwrap() {
            for end in ["spdxElementId", "relatedSpdxElement"] {
                assert!(ids.contains(relationship[end].as_str().unwrap()), "{relationship}");
            }
        }
    }

    #[test]
    fn a_package_says_where_it_is_from_and_what_it_needs() {
        let document: Value = serde_json::from_str(&spdx(&lock(), &skel(), 0).unwrap()).unwrap();
        let library = &document["packages"][1];
        assert_eq!(library["downloadLocation"], "https://mirror.example/20261112T075541Z/pool/libstdc++6.deb");
        assert_eq!(library["sourceInfo"], "built from the source package gcc-14 14.2.0-19");
        let purl = "pkg:deb/debian/libstdc%2B%2B6@1%3A14.2.0-19%2Bb1?arch=arm64&distro=trixie";
        assert_eq!(library["externalRefs"][0]["referenceLocator"], purl);
        let relationships = document["relationships"].as_array().unwrap();
        let needs = relationships.iter().filter(|relationship| relationship["relationshipType"] == "DEPENDS_ON");
        let ends: Vec<_> = needs.map(|one| (&one["spdxElementId"], &one["relatedSpdxElement"])).collect();
        assert_eq!(ends, [(&json!("SPDXRef-Package-program"), &json!("SPDXRef-Package-libstdcPP6"))]);
    }
}
