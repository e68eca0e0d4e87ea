//! Any bytes as a zip that comes from the network. What is taken as it comes must come out the same where its directory is read first.

#![no_main]

use std::io::{self, Cursor};

use libfuzzer_sys::fuzz_target;
use offspot_agent::stream::unzip;
use offspot_agent::stream::unzip_stream::{Stop, unzip_stream};
use offspot_fuzz::sandbox::Sandbox;

fuzz_target!(|archive: &[u8]| {
    let came = Sandbox::unpack(|tree| {
        unzip_stream(&mut &*archive, tree).map_err(|stop| match stop {
            Stop::NotStreamable(why) => io::Error::other(why),
            Stop::Failed(error) => error,
        })
    });
    if came.is_some() {
        let read = Sandbox::unpack(|tree| unzip::unzip(Cursor::new(archive), tree));
        assert_eq!(came, read, "it depends on how it is read");
    }
});
