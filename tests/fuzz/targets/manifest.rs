//! Texts as the manifest, index and configuration of an image tarball. They are parted by a line `---`; the first two are `manifest.json` and
//! `index.json`, all are blobs, and `@2` in a text stands for the digest of the third: what must agree agrees, whatever is mutated.

#![no_main]

use libfuzzer_sys::fuzz_target;
use offspot_fuzz::tarball;

fuzz_target!(|text: &str| {
    let parts: Vec<&str> = text.split("\n---\n").take(8).collect();
    tarball::load(&tarball::of_parts(&parts));
});
