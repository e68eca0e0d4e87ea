//! Any bytes as a zip, unpacked into a folder.

#![no_main]

use std::io::Cursor;

use libfuzzer_sys::fuzz_target;
use offspot_agent::stream::unzip;
use offspot_fuzz::sandbox::Sandbox;

fuzz_target!(|archive: &[u8]| {
    let _ = Sandbox::unpack(|tree| unzip::unzip(Cursor::new(archive), tree));
});
