//! A real registry on loopback, and a server in front of it that counts, asks for keys, and misbehaves.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::image_tarball::{Sample, hex, layer};

/// Longest wait for the registry's first answer.
const START: Duration = Duration::from_secs(30);
/// A name and the bcrypt of its password, `hunter2`.
const HTPASSWD: &str = "me:$2b$05$abcdefghijklmnopqrstuuoXuKqgZXLiJqzfmMXDDhSFPIvxV7t8.\n";

const OCI: &str = "application/vnd.oci.image";
const DOCKER: &str = "application/vnd.docker";

/// An image on the base that all share, with layers of its own of so many KiB.
pub fn sample(name: &str, kib: &[usize]) -> Sample {
    let mut sample = Sample::busybox(name);
    for (at, kib) in kib.iter().enumerate() {
        sample.layers.push(layer(&[(&format!("own{at}"), &noise(name, at, kib << 10))]));
    }
    sample
}

/// Bytes that no packing makes smaller, the same for the same words.
fn noise(name: &str, at: usize, length: usize) -> Vec<u8> {
    let mut state = name.bytes().fold(at as u64 + 1, |sum, byte| sum.wrapping_mul(31).wrapping_add(u64::from(byte)));
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// A running registry; it ends with this value.
#[derive(Debug)]
pub struct Registry {
    /// `127.0.0.1:5000`.
    pub host: String,
    folder: PathBuf,
    server: Child,
    authorization: Option<String>,
}

/// How layers and manifests are named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the words of the two formats")]
pub enum Kind {
    Oci,
    Docker,
}

impl Registry {
    /// An empty one that lets everybody in.
    pub fn start() -> Registry {
        Registry::start_with(false)
    }

    /// One that asks for `me` and `hunter2`.
    pub fn with_password() -> Registry {
        Registry::start_with(true)
    }

    fn start_with(password: bool) -> Registry {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("o-registry-{}-{number}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let host = format!("127.0.0.1:{port}");
        let mut config = json!({
            "version": "0.1", "log": {"level": "error"},
            "storage": {"filesystem": {"rootdirectory": folder.join("store")}},
            "http": {"addr": host},
        });
        if password {
            fs::write(folder.join("htpasswd"), HTPASSWD).unwrap();
            config["auth"] = json!({"htpasswd": {"realm": "here", "path": folder.join("htpasswd")}});
        }
        // What is JSON is YAML.
        fs::write(folder.join("config.yml"), config.to_string()).unwrap();
        let log = fs::File::create(folder.join("log")).unwrap();
        let server = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "docker-registry", "serve"])
            .arg(folder.join("config.yml"))
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .expect("apt-get install docker-registry");
        let authorization = password.then(|| "Basic bWU6aHVudGVyMg==".to_owned());
        let registry = Registry { host, folder, server, authorization };
        let begun = Instant::now();
        while TcpStream::connect(&registry.host).is_err() {
            assert!(begun.elapsed() < START, "no registry: {:?}", fs::read_to_string(registry.folder.join("log")));
            std::thread::sleep(Duration::from_millis(20));
        }
        registry
    }

    /// Puts an image in, its layers as they are; answers the digest of its manifest.
    pub fn push(&self, repository: &str, tag: &str, sample: &Sample, kind: Kind) -> String {
        self.push_manifest(repository, tag, &self.manifest(repository, sample, kind))
    }

    /// Puts an index of these images in; answers its digest.
    pub fn push_index(&self, repository: &str, tag: &str, samples: &[&Sample], kind: Kind) -> String {
        let mut manifests = Vec::new();
        for sample in samples {
            let manifest = self.manifest(repository, sample, kind);
            let digest = self.push_manifest(repository, &format!("sha256:{}", digest(&manifest)), &manifest);
            let mut entry =
                json!({"mediaType": manifest["mediaType"], "digest": digest, "size": manifest.to_string().len()});
            entry["platform"] = json!({"os": "linux", "architecture": sample.arch});
            manifests.push(entry);
        }
        let media = match kind {
            Kind::Oci => format!("{OCI}.index.v1+json"),
            Kind::Docker => format!("{DOCKER}.distribution.manifest.list.v2+json"),
        };
        self.push_manifest(repository, tag, &json!({"schemaVersion": 2, "mediaType": media, "manifests": manifests}))
    }

    /// Puts the blobs of an image in, and says what its manifest is.
    pub fn manifest(&self, repository: &str, sample: &Sample, kind: Kind) -> Value {
        let layers: Vec<_> = sample
            .blobs()
            .iter()
            .map(|blob| {
                let packing = match blob.as_slice() {
                    [0x1f, 0x8b, ..] => "gzip",
                    [0x28, 0xb5, 0x2f, 0xfd, ..] => "zstd",
                    _ => "",
                };
                let (base, mark) = match kind {
                    Kind::Oci => (format!("{OCI}.layer.v1.tar"), "+"),
                    Kind::Docker => (format!("{DOCKER}.image.rootfs.diff.tar"), "."),
                };
                let suffix = if packing.is_empty() { String::new() } else { format!("{mark}{packing}") };
                self.blob(repository, blob, &format!("{base}{suffix}"))
            })
            .collect();
        let (config, media) = match kind {
            Kind::Oci => (format!("{OCI}.config.v1+json"), format!("{OCI}.manifest.v1+json")),
            Kind::Docker => {
                (format!("{DOCKER}.container.image.v1+json"), format!("{DOCKER}.distribution.manifest.v2+json"))
            }
        };
        let config = self.blob(repository, &sample.config(), &config);
        json!({"schemaVersion": 2, "mediaType": media, "config": config, "layers": layers})
    }

    /// Puts a manifest in by tag or digest; answers its digest.
    pub fn push_manifest(&self, repository: &str, tag: &str, manifest: &Value) -> String {
        let text = manifest.to_string();
        let media = manifest["mediaType"].as_str().unwrap();
        let answer = self.ask("PUT", &format!("/v2/{repository}/manifests/{tag}"), media, text.as_bytes());
        assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
        format!("sha256:{}", hex(text.as_bytes()))
    }

    fn blob(&self, repository: &str, bytes: &[u8], media: &str) -> Value {
        let begun = self.ask("POST", &format!("/v2/{repository}/blobs/uploads/"), "", b"");
        let location = begun.lines().find_map(|line| line.strip_prefix("Location: ")).expect(&begun).trim();
        let path = location.split_once("://").map_or(location, |(_, rest)| &rest[rest.find('/').unwrap()..]);
        let digest = format!("sha256:{}", hex(bytes));
        let put = self.ask("PUT", &format!("{path}&digest={digest}"), "application/octet-stream", bytes);
        assert!(put.starts_with("HTTP/1.1 201"), "{put}");
        json!({"mediaType": media, "digest": digest, "size": bytes.len()})
    }

    fn ask(&self, method: &str, path: &str, media: &str, body: &[u8]) -> String {
        let mut stream = TcpStream::connect(&self.host).unwrap();
        let authorization = self.authorization.as_ref().map(|key| format!("Authorization: {key}\r\n"));
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nContent-Type: {media}\r\nContent-Length: {}\r\n{}Connection: close\r\n\r\n",
            self.host,
            body.len(),
            authorization.unwrap_or_default()
        );
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(body).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        String::from_utf8_lossy(&answer).into_owned()
    }
}

fn digest(manifest: &Value) -> String {
    hex(manifest.to_string().as_bytes())
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// A request that came by.
#[derive(Debug, Clone)]
pub struct Request {
    /// Its path, with the query.
    pub path: String,
    /// Its headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// How many came by before it for the same path.
    pub before: usize,
    /// Bytes of the body that it was answered.
    pub bytes: u64,
}

impl Request {
    /// A header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }

    /// Whether it is for the blob of these bytes.
    pub fn is_for(&self, bytes: &[u8]) -> bool {
        self.path.ends_with(&format!("/blobs/sha256:{}", hex(bytes)))
    }
}

/// What is done with a request.
#[derive(Debug, Clone)]
pub enum Act {
    /// It is passed on.
    Pass,
    /// So many bytes of the answer's body are passed on, and then the connection ends.
    Cut(u64),
    /// So many bytes of it, and then nothing more.
    Hang(u64),
    /// It is passed on as if the server knew no ranges.
    Whole,
    /// This byte of the body is another one.
    Flip(u64),
    /// This is the answer, head and all.
    Say(String),
}

/// A server in front of a registry, for as long as this process lives.
#[derive(Debug, Clone)]
pub struct Front {
    /// Where it listens.
    pub host: String,
    seen: Arc<Mutex<Vec<Request>>>,
}

impl Front {
    /// Passes on to `behind` what `rule` does not do otherwise.
    pub fn start(behind: &str, rule: impl Fn(&Request) -> Act + Send + Sync + 'static) -> Front {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let host = format!("127.0.0.1:{}", listener.local_addr().unwrap().port());
        let front = Front { host, seen: Arc::default() };
        let (rule, behind, seen) = (Arc::new(rule), behind.to_owned(), front.seen.clone());
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (rule, behind, seen) = (rule.clone(), behind.clone(), seen.clone());
                std::thread::spawn(move || serve(client, &behind, &*rule, &seen));
            }
        });
        front
    }

    /// All requests so far.
    pub fn seen(&self) -> Vec<Request> {
        self.seen.lock().unwrap().clone()
    }

    /// Forgets them.
    pub fn forget(&self) {
        self.seen.lock().unwrap().clear();
    }

    /// Bytes that were answered for the blob of these bytes.
    pub fn bytes_of(&self, blob: &[u8]) -> u64 {
        self.seen().iter().filter(|request| request.is_for(blob)).map(|request| request.bytes).sum()
    }
}

fn serve(client: TcpStream, behind: &str, rule: &dyn Fn(&Request) -> Act, seen: &Mutex<Vec<Request>>) -> Option<()> {
    let mut reader = BufReader::new(client.try_clone().ok()?);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let path = line.split(' ').nth(1)?.to_owned();
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim().split_once(": ") else { break };
        headers.push((name.to_ascii_lowercase(), value.to_owned()));
    }
    let (at, request) = {
        let mut seen = seen.lock().unwrap();
        let before = seen.iter().filter(|other| other.path == path).count();
        let request = Request { path, headers, before, bytes: 0 };
        seen.push(request.clone());
        (seen.len() - 1, request)
    };
    let mut client = client;
    let act = rule(&request);
    if let Act::Say(answer) = act {
        client.write_all(answer.as_bytes()).ok()?;
        return None;
    }
    let mut server = TcpStream::connect(behind).ok()?;
    let kept = request.headers.iter().filter(|(name, _)| name != "connection" && name != "host");
    let kept = kept.filter(|(name, _)| name != "range" || !matches!(act, Act::Whole));
    let kept: String = kept.map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let head = format!("GET {} HTTP/1.1\r\nhost: {behind}\r\n{kept}connection: close\r\n\r\n", request.path);
    server.write_all(head.as_bytes()).ok()?;
    let mut server = BufReader::new(server);
    loop {
        let mut line = String::new();
        server.read_line(&mut line).ok()?;
        client.write_all(line.as_bytes()).ok()?;
        if line.trim().is_empty() {
            break;
        }
    }
    let (mut passed, mut buffer) = (0, vec![0; 16 << 10]);
    let count = |bytes: u64| {
        if let Some(own) = seen.lock().unwrap().get_mut(at) {
            own.bytes += bytes;
        }
    };
    loop {
        let most = match act {
            Act::Cut(most) | Act::Hang(most) => most - passed,
            _ => u64::MAX,
        };
        let read = server.by_ref().take(most).read(&mut buffer).ok()?;
        if read == 0 && matches!(act, Act::Hang(_)) {
            // Until the other end has enough of it.
            let _ = reader.read(&mut [0]);
        }
        if read == 0 {
            let _ = client.shutdown(std::net::Shutdown::Both);
            return Some(());
        }
        if let Act::Flip(at) = act
            && let Some(byte) = at.checked_sub(passed).and_then(|at| buffer[..read].get_mut(at as usize))
        {
            *byte ^= 1;
        }
        client.write_all(&buffer[..read]).ok()?;
        passed += read as u64;
        count(read as u64);
    }
}
