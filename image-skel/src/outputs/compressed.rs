//! The image in the two forms that Raspberry Pi Imager unpacks while it writes. Both encoders cut their input into jobs of a fixed
//! size: the number of workers does not show.

use std::fs::File;
use std::io::{self, Write};
use std::num::NonZeroU64;
use std::path::Path;

use lzma_rust2::{XzOptions, XzWriterMt};

/// Measured on a busy machine and a root partition of 460 MB: level 10 198 MB, level 12 195 MB, level 17 189 MB in ten times the time of 12.
const ZSTD_LEVEL: i32 = 12;
/// The largest window that decoders take without being asked: packages repeat themselves further apart than the level's own.
const ZSTD_WINDOW: u32 = 27;
/// The fast preset with the large dictionary of a slow one.
const XZ_PRESET: u32 = 1;
const XZ_DICTIONARY: u32 = 16 << 20;
/// Larger than the dictionary, so that little is lost; small beside an image, so that every processor has work.
const XZ_BLOCK: u64 = 24 << 20;

/// Zstandard, with the content's size and checksum in it.
pub(super) fn zst(image: &Path, to: &mut File, workers: u32) -> io::Result<()> {
    let mut image = File::open(image)?;
    let mut encoder = zstd::Encoder::new(to, ZSTD_LEVEL)?;
    encoder.multithread(workers)?;
    encoder.long_distance_matching(true)?;
    encoder.window_log(ZSTD_WINDOW)?;
    encoder.include_checksum(true)?;
    encoder.set_pledged_src_size(Some(image.metadata()?.len()))?;
    io::copy(&mut image, &mut encoder)?;
    encoder.finish()?.flush()
}

/// XZ, in blocks that can be unpacked beside each other.
pub(super) fn xz(image: &Path, to: &mut File, workers: u32) -> io::Result<()> {
    let mut options = XzOptions::with_preset(XZ_PRESET);
    options.lzma_options.dict_size = XZ_DICTIONARY;
    options.set_block_size(NonZeroU64::new(XZ_BLOCK));
    let mut encoder = XzWriterMt::new(to, options, workers)?;
    io::copy(&mut File::open(image)?, &mut encoder)?;
    encoder.finish()?.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_workers_does_not_show() {
        let folder = std::env::temp_dir().join(format!("image-skel-workers-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let noise = |at: u32| ((at ^ at >> 9).wrapping_mul(2_654_435_761) >> 24) as u8;
        let content: Vec<u8> =
            (0..80_u32 << 20).map(|at| if at & 0x1_8000 == 0 { noise(at & 0x3f_ffff) } else { 7 }).collect();
        let image = folder.join("image");
        std::fs::write(&image, &content).unwrap();
        for encode in [zst, xz] {
            let made = [1, 2, 5].map(|workers| {
                let path = folder.join(workers.to_string());
                encode(&image, &mut File::create(&path).unwrap(), workers).unwrap();
                std::fs::read(path).unwrap()
            });
            assert!(made[0] == made[1] && made[1] == made[2]);
            assert!(made[0].len() < content.len() / 2);
        }
        std::fs::remove_dir_all(folder).unwrap();
    }
}
