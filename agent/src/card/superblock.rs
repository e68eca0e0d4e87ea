//! The superblock of an ext4, read from its bytes: is it clean, and how large can it become.

use super::Space;

/// Byte of the partition at which it stands.
pub(crate) const AT: u64 = 1024;
/// Its bytes.
pub(crate) const LENGTH: usize = 1024;

const STATE_VALID: u16 = 1;
const STATE_ERRORS: u16 = 2;
const INCOMPAT_RECOVER: u32 = 0x4;
const INCOMPAT_64BIT: u32 = 0x80;
const RO_COMPAT_METADATA_CSUM: u32 = 0x400;

/// What the agent needs of a superblock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Superblock {
    /// Bytes of a block.
    pub block: u64,
    /// Blocks in all.
    pub blocks: u64,
    /// The kernel or a tool has seen damage, or a resize was cut.
    pub errors: bool,
    /// Its own checksum does not hold: it was half written.
    pub torn: bool,
    /// The journal holds what must be replayed: not unmounted, or mounted now.
    pub recover: bool,
    free_blocks: u64,
    free_inodes: u64,
    reserved: u64,
    first_block: u64,
    blocks_per_group: u64,
    inodes_per_group: u64,
    inode_size: u64,
    reserved_table: u64,
    wide: bool,
}

impl Superblock {
    /// Reads the 1024 bytes; `None` when this is no ext4.
    pub fn parse(bytes: &[u8]) -> Option<Superblock> {
        let field = Fields(bytes.get(..LENGTH)?);
        let scale = field.word(0x18);
        if field.half(0x38) != 0xef53 || scale > 6 {
            return None;
        }
        let incompat = field.word(0x60);
        let wide = incompat & INCOMPAT_64BIT != 0;
        let long = |low, high| u64::from(field.word(low)) | if wide { u64::from(field.word(high)) << 32 } else { 0 };
        let state = field.half(0x3a);
        let summed = field.word(0x64) & RO_COMPAT_METADATA_CSUM != 0;
        let sum_holds = !summed || crc32c(&field.0[..0x3fc]) == field.word(0x3fc);
        let superblock = Superblock {
            block: 1024 << scale,
            blocks: long(0x4, 0x150),
            free_blocks: long(0xc, 0x158),
            free_inodes: field.word(0x10).into(),
            reserved: long(0x8, 0x154),
            errors: state & STATE_ERRORS != 0 || state & STATE_VALID == 0 || !sum_holds,
            torn: !sum_holds,
            recover: incompat & INCOMPAT_RECOVER != 0,
            first_block: field.word(0x14).into(),
            blocks_per_group: field.word(0x20).into(),
            inodes_per_group: field.word(0x28).into(),
            inode_size: field.half(0x58).into(),
            reserved_table: field.half(0xce).into(),
            wide,
        };
        (superblock.blocks_per_group > 0).then_some(superblock)
    }

    /// Blocks of the filesystem once it fills that many bytes. A last group too small for its own tables is left away, as the kernel and
    /// resize2fs do, so that a grown filesystem is seen as grown.
    pub fn fitting(&self, bytes: u64) -> u64 {
        let most = if self.wide { u64::MAX } else { u64::from(u32::MAX) };
        let blocks = (bytes / self.block).min(most);
        let rest = blocks.saturating_sub(self.first_block) % self.blocks_per_group;
        match rest <= self.overhead(blocks) {
            true => blocks - rest.min(blocks),
            false => blocks,
        }
    }

    /// Blocks to grow to on a partition of that many bytes; `None` when it fills it already.
    pub fn growth(&self, bytes: u64) -> Option<u64> {
        Some(self.fitting(bytes)).filter(|blocks| *blocks > self.blocks)
    }

    /// The block of its first copy.
    pub fn copy_at(&self) -> u64 {
        self.first_block + self.blocks_per_group
    }

    /// What is free on it, as of its last unmount; the kernel keeps a little for itself besides what is reserved.
    pub fn free(&self) -> Space {
        let kept = self.reserved.saturating_add((self.blocks / 50).min(4096));
        Space { bytes: self.free_blocks.saturating_sub(kept).saturating_mul(self.block), inodes: self.free_inodes }
    }

    /// What is free in addition once it fills a partition of that many bytes.
    pub fn gain_on(&self, bytes: u64) -> Space {
        let blocks = self.growth(bytes).unwrap_or(self.blocks);
        let groups = |blocks: u64| blocks.saturating_sub(self.first_block).div_ceil(self.blocks_per_group);
        let groups = groups(blocks).saturating_sub(groups(self.blocks));
        let added = blocks.saturating_sub(self.blocks);
        // The reserved share of the whole stays what it is.
        let reserved = u128::from(added) * u128::from(self.reserved) / u128::from(self.blocks.max(1));
        let tables = groups.saturating_mul(self.inode_blocks() + 2).saturating_add(reserved as u64);
        Space {
            bytes: added.saturating_sub(tables).saturating_mul(self.block),
            inodes: groups.saturating_mul(self.inodes_per_group),
        }
    }

    /// Blocks of one group's inode table.
    fn inode_blocks(&self) -> u64 {
        (self.inodes_per_group * self.inode_size).div_ceil(self.block)
    }

    /// At most this many blocks of a group are tables; with fifty more, as resize2fs asks for.
    fn overhead(&self, blocks: u64) -> u64 {
        let groups = blocks / self.blocks_per_group + 1;
        let descriptors = groups.saturating_mul(64).div_ceil(self.block);
        self.inode_blocks() + self.reserved_table + descriptors + 3 + 50
    }
}

struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn half(&self, at: usize) -> u16 {
        u16::from_le_bytes([self.0[at], self.0[at + 1]])
    }

    fn word(&self, at: usize) -> u32 {
        u32::from(self.half(at)) | u32::from(self.half(at + 2)) << 16
    }
}

/// CRC-32C as ext4 keeps it: begun with all ones, not inverted at the end.
fn crc32c(bytes: &[u8]) -> u32 {
    bytes.iter().fold(!0, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| (sum >> 1) ^ (0x82f6_3b78 & (sum & 1).wrapping_neg()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(blocks: u32) -> Vec<u8> {
        let mut bytes = vec![0; LENGTH];
        let mut put =
            |at: usize, value: u32, size: usize| bytes[at..at + size].copy_from_slice(&value.to_le_bytes()[..size]);
        put(0x4, blocks, 4);
        put(0x18, 2, 4);
        put(0x20, 32768, 4);
        put(0x28, 2048, 4);
        put(0x38, 0xef53, 2);
        put(0x3a, 1, 2);
        put(0x58, 256, 2);
        put(0x60, 0x2c2, 4);
        bytes
    }

    #[test]
    fn nonsense_is_no_superblock() {
        assert_eq!(Superblock::parse(&[0; LENGTH]), None);
        assert_eq!(Superblock::parse(&[0xff; LENGTH]), None);
        assert_eq!(Superblock::parse(&one(1)[..1000]), None);
        let mut no_groups = one(1);
        no_groups[0x20..0x24].fill(0);
        assert_eq!(Superblock::parse(&no_groups), None);
    }

    #[test]
    fn state_is_read() {
        let mut bytes = one(65536);
        let clean = Superblock::parse(&bytes).unwrap();
        assert!(!clean.errors && !clean.recover);
        bytes[0x60] |= 4;
        assert!(Superblock::parse(&bytes).unwrap().recover);
        bytes[0x3a] = 3;
        assert!(Superblock::parse(&bytes).unwrap().errors);
        bytes[0x3a] = 0;
        assert!(Superblock::parse(&bytes).unwrap().errors);
        let mut summed = one(65536);
        summed[0x65] = 4;
        let torn = Superblock::parse(&summed).unwrap();
        assert!(torn.errors && torn.torn && torn.copy_at() == 32768);
    }

    #[test]
    fn a_last_group_too_small_for_its_tables_is_left_away() {
        let superblock = Superblock::parse(&one(65536)).unwrap();
        let group = 32768 * 4096;
        assert_eq!(superblock.growth(2 * group), None);
        assert_eq!(superblock.growth(2 * group + 150 * 4096), None);
        assert_eq!(superblock.growth(2 * group + 1000 * 4096), Some(66536));
        assert_eq!(superblock.growth(group), None, "never smaller");
        let gain = superblock.gain_on(4 * group);
        assert_eq!((gain.bytes, gain.inodes), ((65536 - 2 * 130) * 4096, 4096));
    }

    #[test]
    fn crc32c_is_the_one_of_the_field() {
        assert_eq!(!crc32c(b"123456789"), 0xe306_9283);
    }
}
