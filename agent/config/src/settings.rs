//! What `offspot.yaml` may say, after validation.

use std::collections::BTreeMap;
use std::fmt;

use crate::node::Node;

/// Everything in force. An absent key is `None`: it leaves the box as it is.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// Wi-Fi firmware by chipset: (`brcm43455`, choice).
    pub firmware: Vec<(String, String)>,
    /// Name from the tz database.
    pub timezone: Option<String>,
    /// Host name, dots allowed.
    pub hostname: Option<String>,
    /// Wired network.
    pub ethernet: Option<Ethernet>,
    /// The `containers` mapping exactly as given, and what it holds.
    pub containers: Option<Containers>,
    /// Wi-Fi access point.
    pub ap: Option<AccessPoint>,
    /// Images the card is to hold.
    pub oci_images: Vec<OciImage>,
    /// How to reach registries, by host in lower case.
    pub registries: BTreeMap<String, Registry>,
    /// Content to place below `/data`.
    pub files: Vec<FileEntry>,
    /// How to report.
    pub status: StatusOptions,
}

/// `containers`: a compose file.
#[derive(Clone)]
pub struct Containers {
    /// The mapping as given; `services` in it is a non-empty mapping of mappings.
    pub given: Node,
}

/// `ethernet`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ethernet {
    /// Ask the network.
    Dhcp,
    /// Fixed; the prefix is /24.
    Static {
        /// Usable IPv4.
        address: String,
        /// At least one usable IPv4.
        routers: Vec<String>,
        /// At least one usable IPv4.
        dns: Vec<String>,
    },
}

/// One entry of `oci_images`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OciImage {
    /// Name as given.
    pub ident: String,
    /// Where its tarball is: a path on the card, `file://` or `http(s)://`; none: found by its name in the image folders.
    pub url: Option<String>,
    /// Other places of the same tarball.
    pub mirrors: Vec<String>,
    /// Size of the tarball in bytes.
    pub filesize: Option<u64>,
    /// Size unpacked in bytes.
    pub fullsize: Option<u64>,
    /// Digest of the tarball.
    pub checksum: Option<Checksum>,
}

/// One entry of `files`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileEntry {
    /// Absolute path below `/data`, lexically normal (no `..`, `.` or doubled slash).
    pub to: String,
    /// Where the bytes come from.
    pub source: Source,
    /// Other places of the same bytes, tried in order once [`FileEntry::source`] failed.
    pub mirrors: Vec<String>,
    /// How they are packed.
    pub via: Via,
    /// Size in bytes of what is fetched (not of what it unpacks to).
    pub size: Option<u64>,
    /// Digest of what is fetched.
    pub checksum: Option<Checksum>,
}

/// Where the bytes of a file come from.
#[derive(Clone, PartialEq, Eq)]
pub enum Source {
    /// Given in the settings, white space around it stripped; base64 where `via` says so.
    Content(String),
    /// `http(s)://…`, `file://…` or an absolute path on the card.
    Url(String),
}

/// `via` of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "the words are image.yaml's own")]
pub enum Via {
    Direct,
    Base64,
    Tar,
    Gztar,
    Bztar,
    Xztar,
    Zip,
    Zstdtar,
}

/// `checksum` of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checksum {
    /// Which digest.
    pub algo: Algorithm,
    /// The digest itself, or where to read it.
    pub value: ChecksumValue,
}

/// Where the expected digest stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChecksumValue {
    /// Lower-case hex, of the algorithm's length.
    Digest(String),
    /// A text of at most 2 KiB of ASCII whose first word is the digest: `http(s)://`, `file://` or a path on the card.
    Url(String),
}

/// The digests of image.yaml.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[allow(missing_docs, reason = "the words are image.yaml's own")]
pub enum Algorithm {
    #[serde(rename = "sha-1")]
    Sha1,
    #[serde(rename = "sha-224")]
    Sha224,
    #[serde(rename = "sha-256")]
    Sha256,
    #[serde(rename = "sha-384")]
    Sha384,
    #[serde(rename = "sha-512")]
    Sha512,
    #[serde(rename = "md5")]
    Md5,
    #[serde(rename = "adler32")]
    Adler32,
}

/// One entry of `registries`.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Registry {
    /// Addresses, `http(s)://…`, that are asked before it, in order.
    pub mirrors: Vec<String>,
    /// Name to log in with; where there is one there is a password too.
    pub username: Option<String>,
    /// The password.
    pub password: Option<String>,
    /// Whether it is asked by http.
    pub insecure: bool,
}

/// `status`: how the agent reports, and what it keeps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusOptions {
    /// Name of the LED below `/sys/class/leds`; none: `ACT`, else `led0`.
    pub led: Option<String>,
    /// Whether the LED is used at all.
    pub use_led: bool,
    /// Serve a page while working.
    pub page: bool,
    /// Keep image tarballs once loaded.
    pub keep_tarballs: bool,
    /// Longest wait for the services' health, in seconds.
    pub health_limit: u64,
}

impl Default for StatusOptions {
    fn default() -> Self {
        StatusOptions { led: None, use_led: true, page: true, keep_tarballs: false, health_limit: 180 }
    }
}

/// `ap`: every key resolved to a value in force or its default.
#[derive(Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "named as in offspot.yaml")]
pub struct AccessPoint {
    pub ssid: String,
    pub profile: Profile,
    pub passphrase: Option<String>,
    pub hide: bool,
    pub address: String,
    pub channel_24: u8,
    pub channel_5: u8,
    pub country: String,
    pub interface: String,
    pub dhcp_range: Option<String>,
    pub network: Option<String>,
    pub dns: Vec<String>,
    pub captured_address: String,
    pub as_gateway: bool,
    pub tld: String,
    pub domain: String,
    pub welcome: String,
    pub spoof: Spoof,
    pub other_interfaces: Vec<String>,
    pub except_interfaces: Vec<String>,
    pub nodhcp_interfaces: Vec<String>,
}

/// `ap.profile`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "named as in offspot.yaml")]
pub enum Profile {
    Perf,
    Coverage,
}

/// `ap.spoof`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "named as in offspot.yaml")]
pub enum Spoof {
    Auto,
    On,
    Off,
}

/// What `image.yaml` says, after validation.
#[derive(Debug, Clone, Default)]
pub struct Recipe {
    /// The base image.
    pub base: Option<Base>,
    /// Size of the card image; none: as small as possible.
    pub output_size: Option<u64>,
    /// Images to put on the card.
    pub oci_images: Vec<OciImage>,
    /// Content to put on the card.
    pub files: Vec<FileEntry>,
    /// Put the recipe itself on the card.
    pub write_config: bool,
    /// The settings of the card, checked, as they are to be written.
    pub offspot: Option<Tree>,
}

/// `base` of `image.yaml`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Base {
    /// A bare version, or where the image is.
    pub source: String,
    /// Size of its root partition.
    pub rootfs_size: Option<u64>,
    /// Digest of it.
    pub checksum: Option<Checksum>,
}

/// A tree of settings. It does not show itself: it holds secrets.
#[derive(Clone)]
pub struct Tree(pub Node);

impl fmt::Debug for Tree {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let keys = self.0.as_mapping().unwrap_or_default().iter().map(|(key, _)| key.key_text());
        f.debug_set().entries(keys).finish()
    }
}

/// Names the services only: their environment holds secrets.
impl fmt::Debug for Containers {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let services = self.given.get("services").and_then(Node::as_mapping).unwrap_or_default();
        f.debug_set().entries(services.iter().map(|(name, _)| name.key_text())).finish()
    }
}

impl Source {
    /// Whether the bytes are somewhere else.
    pub fn is_url(&self) -> bool {
        matches!(self, Source::Url(_))
    }
}

/// Shows neither content nor what stands before the host of an address.
impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Source::Content(content) => write!(f, "Content({} bytes)", content.len()),
            Source::Url(url) => f.debug_tuple("Url").field(&crate::excerpt::mask_user_info(url)).finish(),
        }
    }
}

/// Says whether it is logged in to, not how.
impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let mut shown = f.debug_struct("Registry");
        shown.field("mirrors", &self.mirrors).field("insecure", &self.insecure);
        shown.field("protected", &self.password.is_some()).finish()
    }
}

/// Says whether there is a passphrase, not which.
impl fmt::Debug for AccessPoint {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let mut shown = f.debug_struct("AccessPoint");
        shown
            .field("ssid", &self.ssid)
            .field("protected", &self.passphrase.is_some())
            .field("profile", &self.profile)
            .field("hide", &self.hide);
        shown
            .field("address", &self.address)
            .field("country", &self.country)
            .field("interface", &self.interface)
            .field("as_gateway", &self.as_gateway);
        shown.finish_non_exhaustive()
    }
}
