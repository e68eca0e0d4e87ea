//! nginx itself, in the foreground, on a port of loopback: the server that people have.

use std::fs;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use super::certificate::Certificate;
use super::free_port;
use crate::tool::{self, Doing, Failure, Outcome};

const PATIENCE: Duration = Duration::from_secs(20);
/// Ports tried, for another program may take one between our look and its start.
const TRIES: usize = 5;

/// What it is to serve, and how.
#[derive(Debug, Clone, Default)]
pub struct Serving {
    /// The folder whose files it gives.
    pub files: PathBuf,
    /// Bytes a second of each connection; none: as fast as it can.
    pub rate: Option<u64>,
    /// Its certificate, for https.
    pub certificate: Option<Certificate>,
    /// Whether it refuses to send parts.
    pub no_ranges: bool,
    /// Paths that it answers with 302 to a URL.
    pub redirects: Vec<(String, String)>,
    /// A server (`127.0.0.1:80`) that it passes all else to instead of giving files.
    pub passes_to: Option<String>,
    /// The network namespace and the address in it, where it is not to be on loopback.
    pub place: Option<(String, String)>,
}

/// A request as nginx logs it at its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Logged {
    /// The path.
    pub path: String,
    /// The status.
    pub status: u16,
    /// Bytes of the body that were sent.
    pub sent: u64,
    /// What the request's `Range` was; empty: none.
    pub range: String,
    /// What the request's `If-Range` was; empty: none.
    pub if_range: String,
}

/// nginx, running. Dropping it ends it.
#[derive(Debug)]
pub struct Nginx {
    folder: PathBuf,
    host: String,
    port: u16,
    secure: bool,
    child: Child,
}

impl Serving {
    /// The files of a folder, and nothing special.
    pub fn files(folder: &Path) -> Serving {
        Serving { files: folder.to_owned(), ..Serving::default() }
    }

    fn configuration(&self, folder: &Path, address: &str) -> String {
        let (tls, secure) = match &self.certificate {
            Some(made) => {
                let (own, key) = (made.own(), made.key());
                (" ssl", format!("ssl_certificate {}; ssl_certificate_key {};", own.display(), key.display()))
            }
            None => ("", String::new()),
        };
        let limit = self.rate.map(|rate| format!("limit_rate {rate};")).unwrap_or_default();
        let ranges = if self.no_ranges { "max_ranges 0;" } else { "" };
        let redirects: String =
            self.redirects.iter().map(|(from, to)| format!("location = {from} {{ return 302 \"{to}\"; }}\n")).collect();
        let rest = match &self.passes_to {
            Some(other) => format!("proxy_pass http://{other}; proxy_buffering off; proxy_http_version 1.1;"),
            None => format!("root {};", self.files.display()),
        };
        let at = folder.display();
        format!(
            "daemon off; master_process off; user root; pid {at}/pid; error_log {at}/error.log;
events {{ worker_connections 256; }}
http {{
log_format parts '$request_uri|$status|$body_bytes_sent|$http_range|$http_if_range';
access_log {at}/access.log parts;
client_body_temp_path {at}/body; proxy_temp_path {at}/proxy; fastcgi_temp_path {at}/fastcgi; uwsgi_temp_path {at}/uwsgi;
scgi_temp_path {at}/scgi;
default_type application/octet-stream; types {{ text/html html; }}
server {{ listen {address}{tls}; {secure}
sendfile on; tcp_nopush on; {limit} {ranges}
{redirects}location / {{ {rest} }}
}} }}
"
        )
    }
}

impl Nginx {
    /// Starts it; what it needs beside the files lies in `folder`, which is made.
    pub fn start(serving: &Serving, folder: &Path) -> Outcome<Nginx> {
        fs::create_dir_all(folder).doing(folder.display())?;
        let mut last = Failure::new("nginx did not start");
        for _ in 0..TRIES {
            match Nginx::try_start(serving, folder) {
                Ok(nginx) => return Ok(nginx),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    fn try_start(serving: &Serving, folder: &Path) -> Outcome<Nginx> {
        let (host, port, mut command) = match &serving.place {
            None => ("127.0.0.1".to_owned(), free_port("127.0.0.1")?, tool::program("setpriv")),
            Some((namespace, address)) => {
                let mut command = tool::program("ip");
                command.args(["netns", "exec", namespace, "setpriv"]);
                // The namespace is ours alone.
                (address.clone(), 80, command)
            }
        };
        let file = folder.join("nginx.conf");
        fs::write(&file, serving.configuration(folder, &format!("{host}:{port}"))).doing(file.display())?;
        let _ = fs::remove_file(folder.join("pid"));
        command.args(["--pdeathsig", "KILL", "nginx", "-p"]).arg(folder).arg("-c").arg(&file);
        command.arg("-e").arg(folder.join("error.log"));
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().doing("nginx")?;
        let secure = serving.certificate.is_some();
        let mut nginx = Nginx { folder: folder.to_owned(), host, port, secure, child };
        nginx.wait(serving.place.is_none())?;
        Ok(nginx)
    }

    /// Until it listens: it writes its number once it does.
    fn wait(&mut self, reached: bool) -> Outcome<()> {
        let begun = Instant::now();
        loop {
            let said = || fs::read_to_string(self.folder.join("error.log")).unwrap_or_default();
            if let Some(status) = self.child.try_wait().doing("nginx")? {
                return Err(Failure::new(format!("nginx (apt-get install nginx-light): {status}: {}", said())));
            }
            let written = fs::read(self.folder.join("pid")).is_ok_and(|pid| !pid.is_empty());
            if written && (!reached || TcpStream::connect((self.host.as_str(), self.port)).is_ok()) {
                return Ok(());
            }
            if begun.elapsed() > PATIENCE {
                return Err(Failure::new(format!("nginx does not listen: {}", said())));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// The URL of a path (`/x`). With a certificate the host is `localhost`, for that is what it names.
    pub fn url(&self, path: &str) -> String {
        match self.secure {
            true => format!("https://localhost:{}{path}", self.port),
            false => format!("http://{}:{}{path}", self.host, self.port),
        }
    }

    /// Its address.
    pub fn address(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// The requests for a path that have ended, in the order of their ends.
    pub fn logged(&self, path: &str) -> Vec<Logged> {
        let log = fs::read_to_string(self.folder.join("access.log")).unwrap_or_default();
        log.lines().filter_map(parse).filter(|logged| logged.path == path).collect()
    }

    /// The same, as soon as `count` of them have ended: one whose client was killed ends with its next bytes.
    pub fn await_logged(&self, path: &str, count: usize) -> Outcome<Vec<Logged>> {
        let begun = Instant::now();
        loop {
            let logged = self.logged(path);
            if logged.len() >= count {
                return Ok(logged);
            }
            if begun.elapsed() > PATIENCE {
                let found = logged.len();
                return Err(Failure::new(format!("nginx logged {found} requests for {path} of {count}")));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn parse(line: &str) -> Option<Logged> {
    let mut fields = line.split('|');
    let mut next = || fields.next().map(|field| if field == "-" { "" } else { field });
    Some(Logged {
        path: next()?.to_owned(),
        status: next()?.parse().ok()?,
        sent: next()?.parse().ok()?,
        range: next()?.to_owned(),
        if_range: next()?.replace("\\x22", "\""),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_its_log_are_read() {
        let logged = parse("/a?b|206|17|bytes=3-|\\x22t\\x22").unwrap();
        assert_eq!((logged.path.as_str(), logged.status, logged.sent), ("/a?b", 206, 17));
        assert_eq!((logged.range.as_str(), logged.if_range.as_str()), ("bytes=3-", "\"t\""));
        assert_eq!(parse("/a|200|5|-|-").unwrap().range, "");
        assert_eq!(parse("half a li"), None);
    }
}
