//! As much of HTTP as it takes to look at a page.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::tool::{Doing, Failure, Outcome};

const PATIENCE: Duration = Duration::from_secs(5);
const MOST_REDIRECTS: usize = 5;

/// An answer.
#[derive(Debug, Clone)]
pub struct Page {
    /// Status code.
    pub status: u16,
    /// `Location`, where there is one.
    pub location: Option<String>,
    /// The body, as text.
    pub body: String,
}

/// Asks `address` (`10.77.0.2:80`) for `path`, follows redirects on the same host, and gives the body of a 200.
pub fn get(address: &str, path: &str) -> Outcome<String> {
    let mut path = path.to_owned();
    for _ in 0..MOST_REDIRECTS {
        let page = ask(address, &path)?;
        match (page.status, page.location) {
            (200, _) => return Ok(page.body),
            (301..=308, Some(location)) => path = path_of(&location),
            (status, _) => return Err(Failure::new(format!("http://{address}{path} answers {status}"))),
        }
    }
    Err(Failure::new(format!("http://{address}{path}: too many redirects")))
}

/// Like [`get`], again and again until it works or `limit` is over.
pub fn wait_for(address: &str, path: &str, limit: Duration) -> Outcome<String> {
    let begun = Instant::now();
    loop {
        match get(address, path) {
            Err(_) if begun.elapsed() < limit => std::thread::sleep(Duration::from_millis(200)),
            answer => return answer,
        }
    }
}

/// Asks once.
pub fn ask(address: &str, path: &str) -> Outcome<Page> {
    let shown = format!("http://{address}{path}");
    let target: SocketAddr = address.parse().doing(&shown)?;
    let mut stream = TcpStream::connect_timeout(&target, PATIENCE).doing(&shown)?;
    stream.set_read_timeout(Some(PATIENCE)).doing(&shown)?;
    let request = format!("GET {path} HTTP/1.0\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).doing(&shown)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).doing(&shown)?;
    parse(&String::from_utf8_lossy(&answer)).ok_or_else(|| Failure::new(format!("{shown}: no HTTP answer")))
}

fn parse(answer: &str) -> Option<Page> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    let field = |line: &str| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("location").then(|| value.trim().to_owned())
    };
    Some(Page { status, location: head.lines().find_map(field), body: body.to_owned() })
}

fn path_of(location: &str) -> String {
    match location.split_once("://") {
        None => location.to_owned(),
        Some((_, rest)) => rest.find('/').map_or("/".into(), |at| rest[at..].to_owned()),
    }
}
