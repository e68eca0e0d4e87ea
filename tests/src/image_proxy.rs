//! Between agent and engine: a socket that passes everything on, and does something first where certain words come by.

use std::io::{self, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::{Arc, Mutex};

/// What a load begins with.
pub const LOAD: &str = "/images/load";

/// Listens at `socket` for as long as this process lives, and passes on to `engine`; `first` is done when the first load begins.
pub fn listen(socket: &Path, engine: &Path, first: impl FnOnce() + Send + 'static) {
    let mut first = Some(first);
    watch(socket, engine, &[LOAD], move |_| first.take().into_iter().for_each(|first| first()));
}

/// The same; `seen` is called with each of these words before that is passed on, one call at a time.
pub fn watch(
    socket: &Path,
    engine: &Path,
    words: &'static [&'static str],
    seen: impl FnMut(&'static str) + Send + 'static,
) {
    let listener = UnixListener::bind(socket).unwrap();
    let seen = Arc::new(Mutex::new(seen));
    let engine = engine.to_owned();
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let (client, engine, seen) = (client.unwrap(), UnixStream::connect(&engine).unwrap(), seen.clone());
            let (back, forth) = (engine.try_clone().unwrap(), client.try_clone().unwrap());
            std::thread::spawn(move || pass(client, engine, words, |word| (seen.lock().unwrap())(word)));
            std::thread::spawn(move || pass(back, forth, &[], |_| ()));
        }
    });
}

fn pass(mut from: UnixStream, mut to: UnixStream, words: &[&'static str], mut seen: impl FnMut(&'static str)) {
    let mut buffer = vec![0; 64 << 10];
    // A word may come in two pieces: the end of the last one is looked at again.
    let mut kept = Vec::new();
    let mut pass = || -> io::Result<usize> {
        let read = from.read(&mut buffer)?;
        let new = kept.len();
        kept.extend_from_slice(&buffer[..read]);
        for word in words {
            let found = kept
                .windows(word.len())
                .enumerate()
                .filter(|(at, window)| at + word.len() > new && *window == word.as_bytes());
            found.for_each(|_| seen(word));
        }
        to.write_all(&buffer[..read])?;
        kept.drain(..kept.len().saturating_sub(32));
        Ok(read)
    };
    while pass().is_ok_and(|read| read > 0) {}
    let _ = to.shutdown(std::net::Shutdown::Write);
}
