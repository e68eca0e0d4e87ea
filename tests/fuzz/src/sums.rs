//! Puts the sums of a tar's headers right: else nearly every mutation would be refused for its sum and nothing behind that be tried.

use tar::Header;

/// Bytes of a header and of the unit that data is padded to.
const BLOCK: usize = 512;

/// Goes from header to header as a reader would, and puts each sum right.
pub fn put_right(tar: &mut [u8]) {
    let mut at = 0_usize;
    while let Some(block) = at.checked_add(BLOCK).and_then(|end| tar.get_mut(at..end)) {
        at += BLOCK;
        if block.iter().all(|byte| *byte == 0) {
            continue;
        }
        let mut header = Header::new_old();
        header.as_mut_bytes().copy_from_slice(block);
        header.set_cksum();
        block.copy_from_slice(header.as_bytes());
        let size = header.entry_size().ok().and_then(|size| usize::try_from(size).ok());
        at = size.and_then(|size| size.checked_next_multiple_of(BLOCK)?.checked_add(at)).unwrap_or(usize::MAX);
    }
}
