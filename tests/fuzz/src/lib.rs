//! What the targets share: a place where an archive may do its worst, and headers that a mutation does not make worthless.

pub mod sandbox;
pub mod sums;
pub mod tarball;
