//! Every ioctl of the agent, and with them every `unsafe` line of it.
#![allow(unsafe_code)]

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

use nix::libc::{c_int, c_longlong, c_void};

const BLKPG_ADD: c_int = 1;
const BLKPG_RESIZE: c_int = 3;

/// `struct blkpg_ioctl_arg` of `linux/blkpg.h`.
#[repr(C)]
pub struct BlkpgArgument {
    op: c_int,
    flags: c_int,
    datalen: c_int,
    data: *mut c_void,
}

/// `struct blkpg_partition` of `linux/blkpg.h`; the names are ignored by the kernel.
#[repr(C)]
pub struct BlkpgPartition {
    start: c_longlong,
    length: c_longlong,
    pno: c_int,
    devname: [u8; 64],
    volname: [u8; 64],
}

mod raw {
    use super::BlkpgArgument;
    use nix::libc::c_int;

    nix::ioctl_read_bad!(read_only, nix::request_code_none!(0x12, 94), c_int);
    nix::ioctl_read!(size_in_bytes, 0x12, 114, usize);
    nix::ioctl_read_bad!(sector_size, nix::request_code_none!(0x12, 104), c_int);
    nix::ioctl_write_ptr_bad!(partition, nix::request_code_none!(0x12, 105), BlkpgArgument);
    nix::ioctl_write_ptr!(ext4_resize, b'f', 16, u64);
}

/// Bytes of a logical sector (`BLKSSZGET`).
pub fn sector_size(disk: &File) -> io::Result<u64> {
    let mut size: c_int = 0;
    // SAFETY: the kernel writes one int to the address, which lives until the call returns.
    unsafe { raw::sector_size(disk.as_raw_fd(), &mut size) }?;
    u64::try_from(size).map_err(|_| io::ErrorKind::InvalidData.into())
}

/// Bytes of the whole device (`BLKGETSIZE64`, which writes 64 bits whatever its type in the header says).
pub fn size_in_bytes(disk: &File) -> io::Result<u64> {
    let mut size: u64 = 0;
    // SAFETY: the kernel writes one u64 to the address, which is that of a u64 and lives until the call returns.
    unsafe { raw::size_in_bytes(disk.as_raw_fd(), (&raw mut size).cast()) }?;
    Ok(size)
}

/// Whether the kernel takes the device for read-only (`BLKROGET`).
pub fn is_read_only(disk: &File) -> io::Result<bool> {
    let mut flag: c_int = 0;
    // SAFETY: the kernel writes one int to the address, which lives until the call returns.
    unsafe { raw::read_only(disk.as_raw_fd(), &mut flag) }?;
    Ok(flag != 0)
}

/// Tells the kernel that a partition is longer now, even while it is mounted. Start and length in bytes.
pub fn resize_partition(disk: &File, number: u32, start: u64, length: u64) -> io::Result<()> {
    partition(disk, BLKPG_RESIZE, number, start, length)
}

/// Tells the kernel of a partition that it has not read from the table itself. Start and length in bytes.
pub fn add_partition(disk: &File, number: u32, start: u64, length: u64) -> io::Result<()> {
    partition(disk, BLKPG_ADD, number, start, length)
}

fn partition(disk: &File, op: c_int, number: u32, start: u64, length: u64) -> io::Result<()> {
    let too_large = |_| io::Error::from(io::ErrorKind::InvalidInput);
    let mut partition = BlkpgPartition {
        start: start.try_into().map_err(too_large)?,
        length: length.try_into().map_err(too_large)?,
        pno: number.try_into().map_err(too_large)?,
        devname: [0; 64],
        volname: [0; 64],
    };
    let argument = BlkpgArgument {
        op,
        flags: 0,
        datalen: size_of::<BlkpgPartition>() as c_int,
        data: (&raw mut partition).cast(),
    };
    // SAFETY: both structs have the kernel's layout, `datalen` is the size of the second, and both live until the call returns.
    unsafe { raw::partition(disk.as_raw_fd(), &argument) }?;
    Ok(())
}

/// Grows a mounted ext4 to that many blocks (`EXT4_IOC_RESIZE_FS`); any file of it will do.
pub fn grow_ext4(on: &File, blocks: u64) -> io::Result<()> {
    // SAFETY: the kernel reads one u64 from the address, which lives until the call returns.
    unsafe { raw::ext4_resize(on.as_raw_fd(), &blocks) }?;
    Ok(())
}
