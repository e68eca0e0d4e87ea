//! A certificate for loopback, and the authority that vouches for it, both made by openssl.

use std::fs;
use std::path::{Path, PathBuf};

use crate::tool::{self, Doing, Outcome, text};

/// A certificate that names `localhost` and 127.0.0.1.
#[derive(Debug, Clone)]
pub struct Certificate {
    folder: PathBuf,
}

impl Certificate {
    /// Makes all of it in `folder`.
    pub fn make(folder: &Path) -> Outcome<Certificate> {
        fs::create_dir_all(folder).doing(folder.display())?;
        let made = Certificate { folder: folder.to_owned() };
        let (authority, key) = (made.authority(), folder.join("authority.key"));
        let new = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc", "-days", "30"];
        let itself = ["-subj", "/CN=Test authority", "-keyout", text(&key)?, "-out", text(&authority)?];
        tool::run("openssl", &[&new[..], &itself].concat())?;
        let (own, own_key) = (made.own(), made.key());
        let leaf = ["-subj", "/CN=localhost", "-keyout", text(&own_key)?, "-out", text(&own)?];
        // An authority's certificate cannot be a server's own: strict readers refuse that.
        let about = [
            "-addext",
            "subjectAltName=DNS:localhost,IP:127.0.0.1",
            "-addext",
            "basicConstraints=critical,CA:FALSE",
            "-CA",
            text(&authority)?,
            "-CAkey",
            text(&key)?,
        ];
        tool::run("openssl", &[&new[..], &leaf, &about].concat())?;
        Ok(made)
    }

    /// What a client is to trust.
    pub fn authority(&self) -> PathBuf {
        self.folder.join("authority.pem")
    }

    /// What the server shows.
    pub fn own(&self) -> PathBuf {
        self.folder.join("own.pem")
    }

    /// The server's key.
    pub fn key(&self) -> PathBuf {
        self.folder.join("own.key")
    }
}
