//! Checking the filesystem of the data partition, and repairing it: with `e2fsck`, and never so that it could not be taken back.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::filesystem::Filesystem;
use super::superblock::Superblock;
use super::tool::{self, Ended, NoResult};
use crate::problem::CardProblem;

/// A check reads every inode table: minutes on a large, full card.
const CHECK: Duration = Duration::from_secs(60 * 60);
/// So many undo files are kept: a cut in the middle of a repair makes another one, and both are needed to take it back.
const UNDOS: u32 = 4;

impl Filesystem<'_> {
    /// A filesystem that was not unmounted has its journal replayed; one marked as damaged is checked in full.
    pub(super) fn check(&self, superblock: &Superblock) -> Result<(), CardProblem> {
        let name = &self.partition.name;
        match self.e2fsck(if superblock.errors { "-fp" } else { "-p" }, superblock, None) {
            Ok(ended) if ended.code < 4 && superblock.errors => {
                self.report
                    .note(format!("the filesystem on {name} was damaged and has been repaired: {}", ended.gist()));
                Ok(())
            }
            Ok(ended) if ended.code < 4 => {
                self.report.note(format!("{name} was not unmounted last time (power cut?): {}", ended.gist()));
                Ok(())
            }
            Ok(ended) => self.repair(superblock, &ended),
            Err(why) if superblock.errors => Err(missing("e2fsck", &why)),
            Err(why) => {
                // The kernel replays the journal as well.
                self.report.problem(missing("e2fsck", &why));
                Ok(())
            }
        }
    }

    /// A file for the next repair: one that is free, else the oldest, whose repair has long been written over.
    fn undo_file(&self) -> io::Result<PathBuf> {
        fs::create_dir_all(&self.undo)?;
        let files: Vec<PathBuf> = (1..=UNDOS).map(|number| self.undo.join(format!("data-{number}.e2undo"))).collect();
        let age = |file: &PathBuf| fs::metadata(file).and_then(|about| about.modified()).ok();
        let file = files.into_iter().min_by_key(age).ok_or(io::ErrorKind::NotFound)?;
        match fs::remove_file(&file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(file),
        }
    }

    /// What e2fsck dares not do by itself, with everything that it overwrites kept, so that it can be put back.
    fn repair(&self, superblock: &Superblock, refused: &Ended) -> Result<(), CardProblem> {
        let no_undo = |error: io::Error| {
            self.not_repaired(format!("{}; there is no room for an undo file: {error}", refused.gist()))
        };
        let file = self.undo_file().map_err(no_undo)?;
        let ended = self.e2fsck("-fy", superblock, Some(&file)).map_err(|why| missing("e2fsck", &why))?;
        if ended.code >= 4 {
            return Err(self.not_repaired(ended.gist()));
        }
        self.report.note(format!(
            "the filesystem on {} was badly damaged and has been repaired: lost files may be in lost+found, and {} keeps for e2undo what was overwritten: {}",
            self.partition.name,
            file.display(),
            ended.gist()
        ));
        Ok(())
    }

    /// A superblock that was half written makes e2fsck stop, unless it is told of the copy.
    fn e2fsck(&self, how: &str, superblock: &Superblock, undo: Option<&Path>) -> Result<Ended, NoResult> {
        let (node, copy, block) =
            (self.partition.node(), superblock.copy_at().to_string(), superblock.block.to_string());
        let mut arguments: Vec<&OsStr> = vec![how.as_ref()];
        if superblock.torn {
            arguments.extend(["-b", &copy, "-B", &block].map(OsStr::new));
        }
        if let Some(undo) = undo {
            arguments.extend([OsStr::new("-z"), undo.as_os_str()]);
        }
        arguments.push(node.as_os_str());
        tool::run("e2fsck", &arguments, CHECK)
    }

    /// A check in full that the filesystem did not ask for itself.
    pub(super) fn check_in_full(&self) -> Result<(), CardProblem> {
        let superblock = self.superblock()?;
        let ended = self.e2fsck("-fp", &superblock, None).map_err(|why| missing("e2fsck", &why))?;
        match ended.code {
            0 => {}
            1..4 => {
                self.report.note(format!("the filesystem on {} was repaired: {}", self.partition.name, ended.gist()))
            }
            _ => self.repair(&superblock, &ended)?,
        }
        Ok(())
    }
}

pub(super) fn missing(tool: &str, why: &NoResult) -> CardProblem {
    CardProblem::Tool { tool: tool.to_owned(), why: why.to_string() }
}
