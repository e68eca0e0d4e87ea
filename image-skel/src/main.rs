//! `image-skel`: see `image-skel --help`.

use std::process::ExitCode;

use image_skel::arguments::Arguments;
use image_skel::commands;
use image_skel::tool;

fn main() -> ExitCode {
    let arguments = match Arguments::read(tool::arguments()) {
        Ok(arguments) => arguments,
        Err(wrong) => {
            eprintln!("image-skel: {wrong}");
            return ExitCode::from(64);
        }
    };
    match commands::perform(&arguments) {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            eprintln!("image-skel: {failure}");
            ExitCode::from(1)
        }
    }
}
