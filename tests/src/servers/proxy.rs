//! tinyproxy: a proxy as schools have one, on a port of loopback.

use std::fs;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use super::free_port;
use crate::tool::{self, Doing, Failure, Outcome};

const PATIENCE: Duration = Duration::from_secs(20);

/// The proxy. Dropping it ends it.
#[derive(Debug)]
pub struct Proxy {
    folder: PathBuf,
    port: u16,
    child: Child,
}

impl Proxy {
    /// Starts it; its files lie in `folder`, which is made.
    pub fn start(folder: &Path) -> Outcome<Proxy> {
        fs::create_dir_all(folder).doing(folder.display())?;
        let (file, port) = (folder.join("tinyproxy.conf"), free_port("127.0.0.1")?);
        let log = folder.join("log");
        let configuration = format!(
            "User root\nGroup root\nPort {port}\nListen 127.0.0.1\nTimeout 600\nLogFile \"{}\"\nLogLevel Connect\n",
            log.display()
        );
        fs::write(&file, configuration).doing(file.display())?;
        let mut command = tool::program("setpriv");
        command.args(["--pdeathsig", "KILL", "tinyproxy", "-d", "-c"]).arg(&file);
        let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = quiet.spawn().doing("tinyproxy (apt-get install tinyproxy-bin)")?;
        let mut proxy = Proxy { folder: folder.to_owned(), port, child };
        let begun = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            if let Some(status) = proxy.child.try_wait().doing("tinyproxy")? {
                return Err(Failure::new(format!("tinyproxy (apt-get install tinyproxy-bin): {status}")));
            }
            if begun.elapsed() > PATIENCE {
                return Err(Failure::new("tinyproxy does not listen"));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(proxy)
    }

    /// What the environment calls it.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The first lines of the requests that came through it.
    pub fn requests(&self) -> Vec<String> {
        let log = fs::read_to_string(self.folder.join("log")).unwrap_or_default();
        let line = |line: &str| line.split_once("): ").map(|(_, request)| request.to_owned());
        log.lines().filter(|line| line.contains("Request (")).filter_map(line).collect()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
