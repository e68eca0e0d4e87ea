//! One reader or writer a file: each does one thing to the bytes that pass.

pub mod decode;
pub mod digest;
pub mod limit;
pub mod meter;
