//! Keys made by the real gpg, and an archive on disk that is signed with them.
#![allow(dead_code)]

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use image_skel::tool;

pub mod apt;
pub mod archive;
pub mod http;

/// A folder of a test's own; gone when the test is.
pub struct Scratch(pub PathBuf);

impl Scratch {
    /// An empty one.
    pub fn new() -> Scratch {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("skel-lock-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        Scratch(path)
    }

    /// Writes a file below it, and its folders.
    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, bytes).unwrap();
        path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A gpg home of its own.
pub struct Gpg {
    home: Scratch,
}

impl Gpg {
    pub fn new() -> Gpg {
        use std::os::unix::fs::PermissionsExt;
        let home = Scratch::new();
        std::fs::set_permissions(&home.0, std::fs::Permissions::from_mode(0o700)).unwrap();
        Gpg { home }
    }

    /// Runs gpg with these arguments after the usual ones.
    pub fn run(&self, arguments: &[&str], input: &[u8]) -> String {
        let home = self.home.0.to_str().unwrap();
        let usual = ["--homedir", home, "--batch", "--yes", "--quiet", "--no-tty", "--pinentry-mode", "loopback"];
        tool::run_with_input("gpg", &[&usual, ["--passphrase", ""].as_slice(), arguments].concat(), input).unwrap()
    }

    /// Makes a key that signs, as of `made` (`20260101T000000`), and says its fingerprint. `life`: `none`, `seconds=…`.
    pub fn key(&self, name: &str, algorithm: &str, made: &str, life: &str) -> String {
        let at = format!("{made}!");
        self.run(&["--faked-system-time", &at, "--quick-generate-key", name, algorithm, "sign", life], b"");
        self.fingerprints(name).remove(0)
    }

    /// Fingerprints of a key and its subkeys.
    pub fn fingerprints(&self, name: &str) -> Vec<String> {
        let listed = self.run(&["--list-keys", "--with-colons", name], b"");
        let fields = listed.lines().filter(|line| line.starts_with("fpr:"));
        fields.map(|line| line.split(':').nth(9).unwrap().to_owned()).collect()
    }

    /// The public key, armored.
    pub fn public(&self, name: &str) -> Vec<u8> {
        self.run(&["--armor", "--export", name], b"").into_bytes()
    }

    /// Signs in clear text as of `made`.
    pub fn clear(&self, key: &str, made: &str, more: &[&str], text: &str) -> String {
        self.sign("--clearsign", key, made, more, text)
    }

    /// An armored signature apart from the text.
    pub fn apart(&self, key: &str, made: &str, more: &[&str], text: &str) -> String {
        self.sign("--detach-sign", key, made, &[&["--armor"], more].concat(), text)
    }

    fn sign(&self, how: &str, key: &str, made: &str, more: &[&str], text: &str) -> String {
        let at = format!("{made}!");
        let arguments = [&["--faked-system-time", at.as_str(), "-u", key], more, &[how]].concat();
        self.run(&arguments, text.as_bytes())
    }
}

impl Drop for Gpg {
    fn drop(&mut self) {
        let home = self.home.0.to_str().unwrap_or_default();
        let _ = tool::run("gpgconf", &["--homedir", home, "--kill", "all"]);
    }
}

/// Seconds since 1970 as a time.
pub fn at(seconds: u64) -> std::time::SystemTime {
    std::time::UNIX_EPOCH + std::time::Duration::from_secs(seconds)
}

/// `file://` URL of a folder.
pub fn url(folder: &Path) -> String {
    format!("file://{}", folder.display())
}
