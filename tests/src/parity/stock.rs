//! The images of the corpus, made once and loaded into every engine, so that their ids are the same everywhere.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::pair::engine;
use crate::other_release::Programs;
use crate::rig::rootfs;

/// Sleeps, and ends at once when told to: the first process of a container does not die of SIGTERM.
const TINY: [&str; 3] = ["CMD [\"sleep\",\"10000\"]", "ENV PATH=/bin", "STOPSIGNAL SIGKILL"];
/// Takes whatever command a recipe gives it, and is healthy.
const RECIPE: [&str; 4] = [
    "ENTRYPOINT [\"/bin/sh\",\"-c\",\"exec sleep 10000\"]",
    "ENV PATH=/bin",
    "STOPSIGNAL SIGKILL",
    "HEALTHCHECK --interval=1s CMD true",
];
/// Has something of its own for every key that can replace it.
const RICH: [&str; 12] = [
    "ENTRYPOINT [\"/bin/env\",\"OF_IMAGE=1\"]",
    "CMD [\"sleep\",\"10000\"]",
    "ENV PATH=/bin",
    "ENV KEPT=image",
    "ENV REPLACED=image",
    "EXPOSE 8000/tcp 8001/udp",
    "LABEL org.image=rich org.replaced=image",
    "VOLUME /stored",
    "USER 1:1",
    "WORKDIR /tmp",
    "STOPSIGNAL SIGKILL",
    "HEALTHCHECK --interval=1s --timeout=3s --retries=2 CMD true",
];

/// A tarball with all images.
#[derive(Debug)]
pub struct Stock {
    /// Where it lies.
    pub tarball: PathBuf,
}

impl Stock {
    /// Makes it in `folder`. Names other than ours become that of an image which takes any command.
    pub fn make(folder: &Path, programs: &Programs, names: &BTreeSet<String>) -> Stock {
        let maker = engine(programs, &folder.join("maker"));
        let tar = folder.join("busybox.tar");
        rootfs(&tar);
        let import = |name: &str, changes: &[&str]| {
            let mut arguments = vec!["import"];
            changes.iter().for_each(|change| arguments.extend(["-c", change]));
            arguments.extend([tar.to_str().unwrap(), name]);
            maker.docker(&arguments);
        };
        import("tiny:1", &TINY);
        import("tiny:2", &[&TINY[..], &["LABEL org.version=2"]].concat());
        import("rich:1", &RICH);
        import("recipe:1", &RECIPE);
        let mut all: BTreeSet<&str> = ["tiny:1", "tiny:2", "rich:1", "recipe:1"].into();
        for name in names {
            if all.insert(name) {
                maker.docker(&["tag", "recipe:1", name]);
            }
        }
        let tarball = folder.join("images.tar");
        let all: Vec<&str> = all.into_iter().collect();
        maker.docker(&[&["save", "-o", tarball.to_str().unwrap()], &all[..]].concat());
        Stock { tarball }
    }
}
