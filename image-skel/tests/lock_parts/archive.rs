//! A small archive on disk, in the form that Debian's have.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;

use image_skel::lock::timestamp;
use image_skel::skel::Skel;
use sha2::{Digest, Sha256};

use super::{Gpg, Scratch, url};

/// Stanzas of an index from lines like `a 1.0; Depends: b (>= 1); Provides: c`.
pub fn index(packages: &str) -> String {
    let lines = packages.lines().map(str::trim).filter(|line| !line.is_empty());
    lines.map(stanza).collect::<Vec<_>>().join("\n")
}

fn stanza(line: &str) -> String {
    let mut parts = line.split(';').map(str::trim);
    let (name, version) = parts.next().unwrap().split_once(' ').unwrap();
    let fields: String = parts.map(|field| format!("{field}\n")).collect();
    let hash = sha256(line.as_bytes());
    let architecture = if fields.contains("Architecture:") { "" } else { "Architecture: arm64\n" };
    format!(
        "Package: {name}\nVersion: {version}\n{architecture}{fields}Filename: pool/{name}_{}.deb\nSize: 1234\nSHA256: {hash}\n",
        version.replace(':', ".")
    )
}

pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

pub fn xz(bytes: &[u8]) -> Vec<u8> {
    let mut writer = lzma_rust2::XzWriter::new(Vec::new(), lzma_rust2::XzOptions::with_preset(1)).unwrap();
    writer.write_all(bytes).unwrap();
    writer.finish().unwrap()
}

/// One suite to be.
pub struct Suite<'a> {
    pub name: &'a str,
    /// Seconds since 1970.
    pub date: i64,
    /// Lines of the release file.
    pub more: &'a str,
    /// As for [`index`].
    pub packages: &'a str,
}

/// The archive, its key `archive`, and a lock beside it.
pub struct Archive {
    pub folder: Scratch,
    pub gpg: Gpg,
}

/// 2026-03-01.
pub const NOW: i64 = 1_772_323_200;
pub const BY_HASH: &str = "Acquire-By-Hash: yes\n";

impl Archive {
    pub fn new() -> Archive {
        let archive = Archive { folder: Scratch::new(), gpg: Gpg::new() };
        archive.gpg.key("archive", "ed25519", "20260101T000000", "none");
        archive.folder.write("keyring.asc", archive.gpg.public("archive"));
        archive
    }

    /// Writes a suite, signed inline.
    pub fn publish(&self, suite: &Suite<'_>) {
        let release = self.write(suite);
        self.sign(suite, &release);
    }

    /// Writes everything but the signature, and gives the release file.
    pub fn write(&self, suite: &Suite<'_>) -> String {
        let text = index(suite.packages);
        let packed = xz(text.as_bytes());
        self.in_dists(suite.name, "main/binary-arm64/Packages.xz", &packed);
        let by_hash = format!("main/binary-arm64/by-hash/SHA256/{}", sha256(&packed));
        if suite.more.contains(BY_HASH) {
            self.in_dists(suite.name, &by_hash, &packed);
        }
        release(suite, &[("Packages", text.as_bytes()), ("Packages.xz", &packed)])
    }

    pub fn sign(&self, suite: &Suite<'_>, release: &str) {
        let made = timestamp(suite.date);
        let signed = self.gpg.clear("archive", made.trim_end_matches('Z'), &[], release);
        self.in_dists(suite.name, "InRelease", signed);
    }

    pub fn in_dists(&self, suite: &str, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        self.folder.write(&format!("dists/{suite}/{name}"), bytes)
    }

    pub fn lock_path(&self) -> PathBuf {
        self.folder.0.join("Packages.lock")
    }

    /// A skel of these packages, from `t`, `t-backports` and `t-security` as far as `suites` names them.
    pub fn skel(&self, suites: &[&str], packages: &[&str], from: &[(&str, &str)]) -> Skel {
        let url = url(&self.folder.0);
        let archives = suites.iter().map(|suite| {
            let security = suite.ends_with("security");
            format!("[[archives]]\nname = '{suite}'\nmirrors = ['{url}']\nsuites = ['{suite}']\ncomponents = ['main']\nsecurity = {security}\n")
        });
        let from: String = from.iter().map(|(package, suite)| format!("{package} = '{suite}'\n")).collect();
        let text = format!(
            "architecture = 'arm64'\npackages = {packages:?}\n[from]\n{from}{}[partitions]\ndisk_id = 1\nboot_mib = 1\nroot_mib = 1\n\
             data_mib = 1\nroot_uuid = ''\ndata_uuid = ''\nboot_id = 1\n",
            archives.collect::<String>()
        );
        toml::from_str(&text).unwrap()
    }
}

/// A release file that lists these files of `main/binary-arm64`.
pub fn release(suite: &Suite<'_>, files: &[(&str, &[u8])]) -> String {
    let table: BTreeMap<&str, String> = files
        .iter()
        .map(|(name, bytes)| (*name, format!(" {} {} main/binary-arm64/{name}\n", sha256(bytes), bytes.len())))
        .collect();
    let Suite { name, more, .. } = suite;
    let table: String = table.into_values().collect();
    let date = rfc2822(suite.date);
    format!(
        "Suite: {name}\nCodename: {name}\nDate: {date}\nArchitectures: arm64\nComponents: main\n{more}SHA256:\n{table}"
    )
}

pub fn rfc2822(seconds: i64) -> String {
    let at = format!("@{seconds}");
    image_skel::tool::run("date", &["-u", "-R", "-d", &at]).unwrap().trim().to_owned()
}
