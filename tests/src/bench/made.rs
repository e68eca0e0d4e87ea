//! Sets of images as files: layers out of Debian packages, docker-archives out of layers, each packed in every way. Kept for the next run.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::json;

use super::sets::{Layer, Packing, Set};
use crate::image_build::{architecture, sha256, sha256_of_file};
use crate::tool::{self, Doing, Failure, Outcome, text};

/// A set that lies in files.
#[derive(Debug, Clone)]
pub struct Made {
    /// What it is made after.
    pub set: Set,
    folder: PathBuf,
}

impl Made {
    /// The set below `folder`; made where it is not there, or was made after another recipe.
    pub fn of(set: Set, folder: &Path) -> Outcome<Made> {
        let made = Made { set, folder: folder.join(set.name) };
        let (seal, recipe) = (made.folder.join("recipe"), format!("{set:#?}\n"));
        if fs::read_to_string(&seal).is_ok_and(|sealed| sealed == recipe) {
            return Ok(made);
        }
        eprintln!("making the images of set {}: fetched once, kept for the next run", set.name);
        let _ = fs::remove_dir_all(&made.folder);
        made.make(&Packages::below(folder)?)?;
        fs::write(&seal, recipe).doing(seal.display())?;
        Ok(made)
    }

    /// The images' tarballs, in order.
    pub fn tarballs(&self, packing: Packing) -> Vec<PathBuf> {
        self.set.images.iter().map(|(name, _)| self.file("images", name, packing)).collect()
    }

    /// Each layer once, as a tar of its own.
    pub fn layers(&self, packing: Packing) -> Vec<PathBuf> {
        self.set.layers.iter().map(|layer| self.file("layers", layer.name, packing)).collect()
    }

    /// Bytes of the unique layers' tars, unpacked.
    pub fn unique(&self) -> Outcome<u64> {
        Ok(self.sizes()?.iter().sum())
    }

    /// Bytes of the largest of them.
    pub fn largest(&self) -> Outcome<u64> {
        Ok(self.sizes()?.into_iter().max().unwrap_or(0))
    }

    fn sizes(&self) -> Outcome<Vec<u64>> {
        let layers = self.layers(Packing::Plain);
        layers.iter().map(|file| Ok(fs::metadata(file).doing(file.display())?.len())).collect()
    }

    fn file(&self, kind: &str, name: &str, packing: Packing) -> PathBuf {
        self.folder.join(kind).join(format!("{name}.{}", packing.suffix()))
    }

    fn make(&self, packages: &Packages) -> Outcome<()> {
        for kind in ["images", "layers"] {
            fs::create_dir_all(self.folder.join(kind)).doing(kind)?;
        }
        let mut debs: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
        for layer in self.set.layers {
            let all = packages.closure(layer.packages)?;
            let below: BTreeSet<String> =
                layer.on.iter().filter_map(|name| debs.get(name)).flatten().cloned().collect();
            let own: Vec<&String> = all.difference(&below).collect();
            packages.fetch(layer.packages)?;
            self.layer(layer, &own, packages)?;
            debs.insert(layer.name, all.union(&below).cloned().collect());
        }
        for (name, layers) in self.set.images {
            self.image(name, layers)?;
        }
        let plain = [self.tarballs(Packing::Plain), self.layers(Packing::Plain)].concat();
        plain.iter().try_for_each(|file| pack(file))
    }

    fn layer(&self, layer: &Layer, debs: &[&String], packages: &Packages) -> Outcome<()> {
        let tree = self.folder.join("tree");
        fs::create_dir_all(&tree).doing(tree.display())?;
        for deb in debs {
            tool::run("dpkg-deb", &["--extract", text(&packages.archives.join(deb))?, text(&tree)?])?;
        }
        trim(&tree, layer.most)?;
        let out = self.file("layers", layer.name, Packing::Plain);
        let how = ["--create", "--sort=name", "--mtime=@0", "--numeric-owner", "--format=gnu", "--file"];
        tool::run("tar", &[&how, [text(&out)?, "--directory", text(&tree)?, "."].as_slice()].concat())?;
        fs::remove_dir_all(&tree).doing(tree.display())
    }

    /// The docker-archive of an image, as `docker save` writes it: every layer in full.
    fn image(&self, name: &str, layers: &[&str]) -> Outcome<()> {
        let files: Vec<PathBuf> = layers.iter().map(|layer| self.file("layers", layer, Packing::Plain)).collect();
        let sums = files.iter().map(|file| sha256_of_file(file)).collect::<Outcome<Vec<_>>>()?;
        let ids: Vec<String> = sums.iter().map(|sum| format!("sha256:{sum}")).collect();
        let config = json!({
            "architecture": architecture(), "os": "linux", "created": "1970-01-01T00:00:00Z",
            "config": {"Cmd": ["/bin/bash"], "Env": ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"]},
            "rootfs": {"type": "layers", "diff_ids": ids},
        });
        let config = config.to_string().into_bytes();
        let (id, members) = (sha256(&config), sums.iter().map(|sum| format!("{sum}/layer.tar")).collect::<Vec<_>>());
        let tag = format!("offspot-bench/{}-{name}:1", self.set.name);
        let manifest = json!([{"Config": format!("{id}.json"), "RepoTags": [tag], "Layers": members}]);
        let out = self.file("images", name, Packing::Plain);
        let mut archive = tar::Builder::new(BufWriter::new(File::create(&out).doing(out.display())?));
        for (member, file) in members.iter().zip(&files) {
            let mut bytes = File::open(file).doing(file.display())?;
            let size = bytes.metadata().doing(file.display())?.len();
            archive.append_data(&mut header(size), member, &mut bytes).doing(out.display())?;
        }
        for (member, bytes) in [(format!("{id}.json"), config), ("manifest.json".into(), manifest.to_string().into())] {
            archive.append_data(&mut header(bytes.len() as u64), member, bytes.as_slice()).doing(out.display())?;
        }
        archive.into_inner().and_then(|mut file| file.flush()).doing(out.display())
    }
}

fn header(size: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_size(size);
    header.set_mode(0o644);
    header
}

/// Takes files away, last names first, until at most so many bytes are left.
fn trim(tree: &Path, most: u64) -> Outcome<()> {
    let listed = tool::run("find", &[text(tree)?, "-type", "f", "-printf", "%p\\t%s\\n"])?;
    let mut files: Vec<(&str, u64)> = listed
        .lines()
        .filter_map(|line| line.rsplit_once('\t'))
        .filter_map(|(path, size)| Some((path, size.parse().ok()?)))
        .collect();
    files.sort();
    let mut left = 0_u64;
    for (path, size) in files {
        match left.checked_add(size) {
            Some(sum) if sum <= most => left = sum,
            _ => fs::remove_file(path).doing(path)?,
        }
    }
    Ok(())
}

/// Packs a plain file in every other way, beside it.
fn pack(file: &Path) -> Outcome<()> {
    for packing in Packing::ALL {
        let Some((program, options)) = packing.program().and_then(<[_]>::split_first) else { continue };
        let out = file.with_extension(packing.suffix());
        let to = File::create(&out).doing(out.display())?;
        let mut command = tool::program(program);
        let status = command.args(options).arg(file).stdin(Stdio::null()).stdout(to).status().doing(program)?;
        if !status.success() {
            return Err(Failure::new(format!("{program} {}: {status}", file.display())));
        }
    }
    Ok(())
}

/// Debian packages from the mirror this machine uses, resolved as for an empty system.
struct Packages {
    archives: PathBuf,
    status: PathBuf,
}

impl Packages {
    fn below(folder: &Path) -> Outcome<Packages> {
        let packages = Packages { archives: folder.join("debs"), status: folder.join("empty") };
        let partial = packages.archives.join("partial");
        fs::create_dir_all(&partial).doing(partial.display())?;
        fs::write(&packages.status, "").doing(packages.status.display())?;
        Ok(packages)
    }

    fn apt(&self, arguments: &[&str], packages: &[&str]) -> Outcome<String> {
        let options = [
            format!("-oDir::State::status={}", text(&self.status)?),
            format!("-oDir::Cache::archives={}", text(&self.archives)?),
            "-oAPT::Sandbox::User=root".to_owned(),
            "-oAcquire::Retries=3".to_owned(),
        ];
        let options: Vec<&str> = options.iter().map(String::as_str).collect();
        tool::run(
            "apt-get",
            &[&options, ["-qq", "-y", "--no-install-recommends"].as_slice(), arguments, packages].concat(),
        )
    }

    /// The files of these packages and of all that they depend on.
    fn closure(&self, packages: &[&str]) -> Outcome<BTreeSet<String>> {
        let list =
            |this: &Packages| this.apt(&["-oDir::Cache::archives=/nonexistent", "--print-uris", "install"], packages);
        let printed = list(self).or_else(|_| {
            tool::run("apt-get", &["-qq", "update"])?;
            list(self)
        })?;
        let files = printed.lines().filter(|line| line.starts_with('\'')).filter_map(|line| line.split(' ').nth(1));
        Ok(files.map(str::to_owned).collect())
    }

    fn fetch(&self, packages: &[&str]) -> Outcome<()> {
        self.apt(&["--download-only", "install"], packages).map(drop)
    }
}
