//! Any bytes as an image tarball, taken through all that a load does to it.

#![no_main]

use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};
use offspot_fuzz::{sums, tarball};

fuzz_target!(|bytes: &[u8]| tarball::load(bytes));

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, _seed: u32| {
    let size = fuzzer_mutate(data, size, max_size);
    if !data.starts_with(&[0x1f, 0x8b]) {
        sums::put_right(&mut data[..size]);
    }
    size
});
