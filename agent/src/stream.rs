//! One reader or writer a file: each does one thing to the bytes that pass.

pub mod beneath;
pub mod decode;
pub mod digest;
pub mod limit;
pub mod meter;
pub mod place;
pub mod tree;
pub mod untar;
pub mod unzip;
pub mod zim;
