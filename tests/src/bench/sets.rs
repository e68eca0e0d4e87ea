//! The sets of images that are loaded: which layers they have, and of which Debian packages those are made.

/// A set of images.
#[derive(Debug, Clone, Copy)]
pub struct Set {
    /// What `--set` calls it.
    pub name: &'static str,
    /// What it is, for a heading.
    pub about: &'static str,
    /// Its layers, each after those that it stands on.
    pub layers: &'static [Layer],
    /// Its images: a name, and layers from the lowest.
    pub images: &'static [(&'static str, &'static [&'static str])],
}

/// A layer: the packages and all that they depend on, without what the layers below have.
#[derive(Debug, Clone, Copy)]
pub struct Layer {
    /// Its name within the set.
    pub name: &'static str,
    /// The layers below it.
    pub on: &'static [&'static str],
    /// Packages.
    pub packages: &'static [&'static str],
    /// Most bytes of files in it; what is over is left out, from the end of the alphabet.
    pub most: u64,
}

const MB: u64 = 1_000_000;
const WHOLE: u64 = u64::MAX;
const SYSTEM: &[&str] =
    &["bash", "ca-certificates", "coreutils", "dpkg", "findutils", "grep", "gzip", "sed", "tar", "util-linux"];

const fn layer(name: &'static str, on: &'static [&'static str], packages: &'static [&'static str], most: u64) -> Layer {
    Layer { name, on, packages, most }
}

/// All sets there are.
pub const SETS: &[Set] = &[
    Set {
        name: "three",
        about: "three images on one base, 107 MB unique",
        layers: &[
            layer("base", &[], SYSTEM, 60 * MB),
            layer("kiwix", &["base"], &["kiwix-tools"], 15_500_000),
            layer("node", &["base"], &["nodejs"], 15_500_000),
            layer("python", &["base"], &["python3-flask"], 16 * MB),
        ],
        images: &[("kiwix", &["base", "kiwix"]), ("node", &["base", "node"]), ("python", &["base", "python"])],
    },
    Set {
        name: "nine",
        about: "nine images as a production recipe has them",
        layers: &[
            layer("base", &[], SYSTEM, WHOLE),
            layer("python", &["base"], &["python3"], WHOLE),
            layer("kiwix", &["base"], &["kiwix-tools"], WHOLE),
            layer("proxy", &["base"], &["nginx-light"], WHOLE),
            layer("dashboard", &["base", "python"], &["python3-flask", "python3-yaml", "gunicorn"], WHOLE),
            layer("portal", &["base", "python"], &["python3-dnspython", "python3-requests"], WHOLE),
            layer("metrics", &["base", "python"], &["python3-pandas"], WHOLE),
            layer("courses", &["base", "python"], &["python3-django", "gunicorn", "nginx-light"], WHOLE),
            layer("wiki", &["base"], &["mediawiki", "php-fpm"], 300 * MB),
            layer("node", &["base"], &["nodejs"], WHOLE),
            layer("database", &["base"], &["mariadb-server"], WHOLE),
        ],
        images: &[
            ("kiwix", &["base", "kiwix"]),
            ("proxy", &["base", "proxy"]),
            ("dashboard", &["base", "python", "dashboard"]),
            ("portal", &["base", "python", "portal"]),
            ("metrics", &["base", "python", "metrics"]),
            ("courses", &["base", "python", "courses"]),
            ("wiki", &["base", "wiki"]),
            ("node", &["base", "node"]),
            ("database", &["base", "database"]),
        ],
    },
    Set {
        name: "large",
        about: "one image of one layer, 400 MB",
        layers: &[layer("all", &[], &["mediawiki", "php-fpm", "nodejs"], 400 * MB)],
        images: &[("all", &["all"])],
    },
];

/// How tarballs are packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packing {
    /// Not at all.
    Plain,
    /// gzip.
    Gz,
    /// Zstandard.
    Zst,
}

impl Packing {
    /// All of them.
    pub const ALL: [Packing; 3] = [Packing::Plain, Packing::Gz, Packing::Zst];

    /// What `--packing` calls it.
    pub fn name(self) -> &'static str {
        match self {
            Packing::Plain => "plain",
            Packing::Gz => "gz",
            Packing::Zst => "zst",
        }
    }

    /// What a tarball's name ends with.
    pub fn suffix(self) -> &'static str {
        match self {
            Packing::Plain => "tar",
            Packing::Gz => "tar.gz",
            Packing::Zst => "tar.zst",
        }
    }

    /// The program that packs a file to standard output.
    pub fn program(self) -> Option<&'static [&'static str]> {
        match self {
            Packing::Plain => None,
            Packing::Gz => Some(&["gzip", "-6", "-n", "-c"]),
            Packing::Zst => Some(&["zstd", "-q", "-3", "-c"]),
        }
    }

    /// What `tar` must be told to read it.
    pub fn tar_option(self) -> Option<&'static str> {
        match self {
            Packing::Plain => None,
            Packing::Gz => Some("--gzip"),
            Packing::Zst => Some("--zstd"),
        }
    }
}
