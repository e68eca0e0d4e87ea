//! Debian packages that the laboratory needs.

pub use image_skel::packages::{Package, Seen, install_missing, program};

/// What `demo` needs.
pub const DEMO: &[Package] = &[
    program("docker.io", "dockerd"),
    program("iptables", "iptables"),
    program("iproute2", "ip"),
    program("kiwix-tools", "kiwix-serve"),
    program("zim-tools", "zimwriterfs"),
    Package { name: "busybox-static", seen: Seen::Dpkg },
    program("dosfstools", "mkfs.vfat"),
    program("mtools", "mcopy"),
    program("e2fsprogs", "mke2fs"),
    program("fdisk", "sfdisk"),
    program("util-linux", "unshare"),
    program("mount", "losetup"),
    program("libc-bin", "ldd"),
];

/// What `suite` needs beside [`DEMO`].
pub const SUITE: &[Package] = &[
    program("docker-compose", "docker-compose"),
    program("skopeo", "skopeo"),
    program("docker-registry", "docker-registry"),
    program("strace", "strace"),
    program("gdisk", "sgdisk"),
    program("bmap-tools", "bmaptool"),
    program("gnupg", "gpg"),
    program("kmod", "depmod"),
    program("cpio", "cpio"),
    program("qemu-user-static", "qemu-aarch64-static"),
    program("gcc-aarch64-linux-gnu", "aarch64-linux-gnu-gcc"),
    Package { name: "libc6-dev-arm64-cross", seen: Seen::Dpkg },
    program("gcc", "gcc"),
    program("xz-utils", "xz"),
    program("zstd", "zstd"),
    program("bzip2", "bzip2"),
    program("python3", "python3"),
    Package { name: "python3-yaml", seen: Seen::Module("yaml") },
    Package { name: "python3-jsonschema", seen: Seen::Module("jsonschema") },
];

/// What the servers of the laboratory and the tests of fetching need.
pub const SERVERS: &[Package] = &[
    program("nginx-light", "nginx"),
    program("tinyproxy-bin", "tinyproxy"),
    program("openssl", "openssl"),
    program("curl", "curl"),
    program("iproute2", "ip"),
    program("socat", "socat"),
    program("faketime", "faketime"),
];

/// What `bench` needs beside [`DEMO`], [`SUITE`] and [`SERVERS`].
pub const BENCH: &[Package] = &[
    program("strace", "strace"),
    program("qemu-utils", "qemu-storage-daemon"),
    program("dpkg", "dpkg-deb"),
    program("aria2", "aria2c"),
    program("time", "time"),
];

/// What `boot` needs.
pub const BOOT: &[Package] = &[
    program("qemu-system-arm", "qemu-system-aarch64"),
    program("device-tree-compiler", "fdtput"),
    program("mtools", "mcopy"),
    program("fdisk", "sfdisk"),
    program("e2fsprogs", "debugfs"),
    program("util-linux", "fallocate"),
];

/// What the comparison with other unpackers needs: collections of archives that were made to break them, and two of them.
pub const ARCHIVES: &[Package] = &[
    Package { name: "golang-src", seen: Seen::Dpkg },
    program("libarchive-tools", "bsdtar"),
    program("unzip", "unzip"),
    program("tar", "tar"),
    program("xz-utils", "xz"),
    program("bzip2", "bzip2"),
];
/// Python's own tests, by the Python that this release of Debian has.
pub const PYTHON_TESTS: &[Package] = &[
    Package { name: "libpython3.11-testsuite", seen: Seen::Dpkg },
    Package { name: "libpython3.13-testsuite", seen: Seen::Dpkg },
];
