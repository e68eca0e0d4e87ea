//! A mirror for tests: a folder over HTTP, with the faults that a test wants.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// What is wrong with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    None,
    /// The first answer ends in the middle.
    CutOnce,
    /// Every byte is another one.
    Wrong,
    /// One byte more than it should be, and it says so.
    Longer,
    /// It never ends, and does not say how long it is.
    Endless,
    /// 503 to everything.
    Busy,
}

/// A mirror at work until the test ends.
pub struct Mirror {
    /// `http://127.0.0.1:…`.
    pub url: String,
    /// Head of every request.
    pub asked: Arc<Mutex<Vec<String>>>,
    /// Bytes of bodies written.
    pub sent: Arc<Mutex<u64>>,
}

impl Mirror {
    /// Gives out what lies in `folder`.
    pub fn of(folder: &Path, fault: Fault) -> Mirror {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (asked, sent) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(0)));
        let server = Server { folder: folder.to_owned(), fault, asked: asked.clone(), sent: sent.clone() };
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let server = server.clone();
                std::thread::spawn(move || server.answer(stream));
            }
        });
        Mirror { url, asked, sent }
    }

    /// How many requests had this in their head.
    pub fn asked(&self, what: &str) -> usize {
        self.asked.lock().unwrap().iter().filter(|head| head.contains(what)).count()
    }
}

#[derive(Clone)]
struct Server {
    folder: PathBuf,
    fault: Fault,
    asked: Arc<Mutex<Vec<String>>>,
    sent: Arc<Mutex<u64>>,
}

impl Server {
    fn answer(&self, mut stream: TcpStream) {
        let mut head = String::new();
        let mut lines = BufReader::new(stream.try_clone().unwrap());
        while !head.ends_with("\r\n\r\n") {
            if lines.read_line(&mut head).unwrap_or(0) == 0 {
                return;
            }
        }
        let first = {
            let mut asked = self.asked.lock().unwrap();
            asked.push(head.to_ascii_lowercase());
            asked.len() == 1
        };
        let path = head.split(' ').nth(1).unwrap().trim_start_matches('/').to_owned();
        // Nobody is there to be told that the client went away.
        let _ = match (std::fs::read(self.folder.join(path)), self.fault) {
            (_, Fault::Busy) => {
                stream.write_all(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            }
            (Err(_), _) => {
                stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            }
            (Ok(bytes), _) => self.body(&mut stream, bytes, &head.to_ascii_lowercase(), first),
        };
    }

    fn body(&self, stream: &mut TcpStream, mut bytes: Vec<u8>, head: &str, first: bool) -> std::io::Result<()> {
        match self.fault {
            Fault::Wrong => bytes.iter_mut().for_each(|byte| *byte = !*byte),
            Fault::Longer => bytes.push(0),
            Fault::Endless => {
                stream.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")?;
                loop {
                    stream.write_all(&[0; 4096])?;
                    *self.sent.lock().unwrap() += 4096;
                }
            }
            _ => {}
        }
        let from = head.split("range: bytes=").nth(1).and_then(|range| range.split('-').next()?.parse::<usize>().ok());
        let tag = format!("\"{}\"", bytes.len());
        let same = head.split("if-range: ").nth(1).is_none_or(|given| given.starts_with(&tag));
        let from = from.filter(|_| same).unwrap_or(0);
        let (status, range) = match from {
            0 => ("200 OK", String::new()),
            _ => {
                ("206 Partial Content", format!("Content-Range: bytes {from}-{}/{}\r\n", bytes.len() - 1, bytes.len()))
            }
        };
        let rest = &bytes[from..];
        let length = rest.len();
        let head =
            format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nETag: {tag}\r\n{range}Connection: close\r\n\r\n");
        stream.write_all(head.as_bytes())?;
        let cut = if self.fault == Fault::CutOnce && first { length / 2 } else { length };
        *self.sent.lock().unwrap() += cut as u64;
        stream.write_all(&rest[..cut])
    }
}
