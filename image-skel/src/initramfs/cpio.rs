//! The archive that the kernel unpacks as its first root: cpio, format "newc" (the kernel's buffer-format.rst).

/// An archive that grows by one member after the other. Numbers, owners and times are always the same.
#[derive(Debug, Default)]
pub(super) struct Archive {
    bytes: Vec<u8>,
    members: u32,
}

const FOLDER: u32 = 0o040_755;
const FILE: u32 = 0o100_000;

impl Archive {
    /// `path` without a leading slash; those above it come first.
    pub fn folder(&mut self, path: &str) {
        self.member(path, FOLDER, 2, b"");
    }

    /// `mode`: permission bits.
    pub fn file(&mut self, path: &str, mode: u32, content: &[u8]) {
        self.member(path, FILE | mode, 1, content);
    }

    /// The whole archive.
    pub fn finish(mut self) -> Vec<u8> {
        self.members = 0;
        self.member("TRAILER!!!", 0, 1, b"");
        self.bytes
    }

    fn member(&mut self, name: &str, mode: u32, links: u32, content: &[u8]) {
        self.members += 1;
        let number = if mode == 0 { 0 } else { self.members };
        // ino mode uid gid nlink mtime filesize devmajor devminor rdevmajor rdevminor namesize check
        let fields = [number, mode, 0, 0, links, 0, content.len() as u32, 0, 0, 0, 0, name.len() as u32 + 1, 0];
        self.bytes.extend(b"070701");
        for field in fields {
            self.bytes.extend(format!("{field:08X}").bytes());
        }
        self.bytes.extend(name.bytes());
        self.bytes.push(0);
        self.pad();
        self.bytes.extend(content);
        self.pad();
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpio_reads_what_we_wrote() {
        crate::packages::install_missing(&[crate::packages::program("cpio", "cpio")]).unwrap();
        let mut archive = Archive::default();
        archive.folder("a");
        archive.file("a/b", 0o755, b"hello\n");
        archive.file("a/empty", 0o644, b"");
        let bytes = archive.finish();
        let list = std::process::Command::new("cpio")
            .args(["-t", "-v", "--numeric-uid-gid", "--quiet"])
            .env("TZ", "UTC")
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .and_then(|mut child| {
                std::io::Write::write_all(child.stdin.as_mut().unwrap(), &bytes)?;
                child.wait_with_output()
            })
            .expect("cpio of Debian");
        let text = String::from_utf8(list.stdout).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 3, "{text}");
        assert!(lines[0].starts_with("drwxr-xr-x   2 0        0"), "{text}");
        assert!(lines[1].starts_with("-rwxr-xr-x   1 0        0               6 Jan  1  1970 a/b"), "{text}");
    }
}
