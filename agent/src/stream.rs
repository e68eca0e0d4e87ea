//! One reader or writer a file: each does one thing to the bytes that pass.

pub mod ahead;
pub mod beneath;
pub mod decode;
pub mod digest;
pub mod limit;
pub mod meter;
pub mod names;
pub mod pax;
pub mod place;
pub mod tree;
pub mod twins;
pub mod untar;
pub mod unzip;
pub mod unzip_stream;
pub mod window;
pub mod zim;
