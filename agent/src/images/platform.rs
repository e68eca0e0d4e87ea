//! The platform of an image in an index (OCI image-spec, image index).

use serde::Deserialize;

use super::contents::short;

/// What an image is for. What a builder attests about one stands in its index as an image for `unknown/unknown`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Platform {
    #[serde(default)]
    architecture: String,
    #[serde(default)]
    os: String,
    #[serde(default)]
    variant: Option<String>,
}

impl Platform {
    /// How well a board of this kind (`arm64`) can run it, of the 32-bit ARM the newest variant best; none where it cannot.
    pub fn rank(&self, arch: &str) -> Option<u32> {
        let rank = match (arch, self.variant.as_deref().unwrap_or_default()) {
            ("arm64", "" | "v8") | ("arm", "") => 1,
            ("arm", "v5") => 2,
            ("arm", "v6") => 3,
            ("arm", "v7") => 4,
            ("arm64" | "arm", _) => return None,
            (_, "" | "v1") => 1,
            _ => return None,
        };
        (self.os == "linux" && self.architecture == arch).then_some(rank)
    }

    /// Whether it is one at all.
    pub fn is_known(&self) -> bool {
        self.os != "unknown"
    }

    /// `linux/arm/v7`, for a message.
    pub fn words(&self) -> String {
        let parts = [Some(&self.os), Some(&self.architecture), self.variant.as_ref()];
        let parts = parts.into_iter().flatten().filter(|part| !part.is_empty());
        parts.map(|part| short(part)).collect::<Vec<_>>().join("/")
    }
}
