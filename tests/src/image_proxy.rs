//! Between agent and engine: a socket that passes everything on, and does something first when a load begins.

use std::io::{self, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::{Arc, Mutex};

/// What is to be done before the first load is passed on.
type First = Arc<Mutex<Option<Box<dyn FnOnce() + Send>>>>;

/// Listens at `socket` for as long as this process lives, and passes on to `engine`; `first` is done when the first load begins.
pub fn listen(socket: &Path, engine: &Path, first: impl FnOnce() + Send + 'static) {
    let listener = UnixListener::bind(socket).unwrap();
    let first: First = Arc::new(Mutex::new(Some(Box::new(first))));
    let engine = engine.to_owned();
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let (client, engine, first) = (client.unwrap(), UnixStream::connect(&engine).unwrap(), first.clone());
            let (back, forth) = (engine.try_clone().unwrap(), client.try_clone().unwrap());
            std::thread::spawn(move || pass(client, engine, &first));
            std::thread::spawn(move || pass(back, forth, &First::default()));
        }
    });
}

fn pass(mut from: UnixStream, mut to: UnixStream, first: &First) {
    let mut buffer = vec![0; 64 << 10];
    let mut pass = || -> io::Result<usize> {
        let read = from.read(&mut buffer)?;
        if buffer[..read].windows(12).any(|window| window == b"/images/load")
            && let Some(first) = first.lock().unwrap().take()
        {
            first();
        }
        to.write_all(&buffer[..read])?;
        Ok(read)
    };
    while pass().is_ok_and(|read| read > 0) {}
    let _ = to.shutdown(std::net::Shutdown::Write);
}
