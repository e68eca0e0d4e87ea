//! `image-skel`: see `image-skel --help`.

fn main() {}
