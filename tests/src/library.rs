//! The demo's library: kiwix-serve and a home page as container images, a ZIM, and the `offspot.yaml` that ties them together.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use crate::image_build::{Entry, Image, sha256_of_file};
use crate::tool::{self, Doing, Failure, Outcome, text};
use crate::zim::{self, ARTICLES, Article};

/// Name of the image that serves the ZIM.
pub const KIWIX: &str = "offspot-demo/kiwix-serve:1.0";
/// Name of the image that serves the home page.
pub const HOME: &str = "offspot-demo/home:1.0";
/// The ZIM's file name; kiwix-serve names the book after it.
pub const ZIM: &str = "village-library_eng.zim";
/// A sentence of the home page, to know it by.
pub const WELCOME: &str = "Welcome to the village library";

/// The three folders a card is made of, filled.
#[derive(Debug, Clone)]
pub struct Library {
    /// What lies on the boot partition.
    pub boot: PathBuf,
    /// What lies on the root partition.
    pub root: PathBuf,
    /// What lies on the data partition.
    pub data: PathBuf,
}

/// Makes the library below `folder`: one image tarball on the data partition, a gzip one and the ZIM on the boot partition.
pub fn build(folder: &Path) -> Outcome<Library> {
    let library = Library::folders(folder)?;
    let zim = library.boot.join("offspot/files").join(ZIM);
    zim::build(ARTICLES, &folder.join("articles"), &zim)?;
    let plain = library.data.join("images/kiwix-serve.tar");
    kiwix()?.write(File::create(&plain).doing(plain.display())?)?;
    let packed = library.boot.join("offspot/images/home.tar.zst");
    let file = File::create(&packed).doing(packed.display())?;
    let mut encoder = zstd::Encoder::new(file, 3).doing(packed.display())?;
    home()?.write(&mut encoder)?;
    encoder.finish().doing(packed.display())?;
    let settings = library.boot.join("offspot.yaml");
    fs::write(&settings, offspot_yaml(&zim)?).doing(settings.display())?;
    Ok(library)
}

impl Library {
    /// The folders of a card, empty but for what a card always has.
    pub fn folders(folder: &Path) -> Outcome<Library> {
        let library = Library { boot: folder.join("bootfs"), root: folder.join("rootfs"), data: folder.join("data") };
        let (boot, root, data) = (&library.boot, &library.root, &library.data);
        let folders = [
            boot.join("offspot/files"),
            boot.join("offspot/images"),
            root.join("boot/firmware"),
            root.join("data"),
            root.join("etc/docker"),
            root.join("etc/offspot"),
            root.join("run"),
            root.join("sys"),
            root.join("var/log"),
            data.join("images"),
        ];
        for folder in folders {
            fs::create_dir_all(&folder).doing(folder.display())?;
        }
        // As Debian has it: recipes speak of /var/run/internet.
        let link = root.join("var/run");
        let _ = fs::remove_file(&link);
        symlink("/run", &link).doing(link.display())?;
        Ok(library)
    }
}

/// The layer both images stand on: a shell, wget and httpd in one static binary.
pub fn base() -> Outcome<Vec<Entry>> {
    let busybox = ["/bin/busybox", "/usr/bin/busybox"].into_iter().find(|path| Path::new(path).exists());
    let busybox = busybox.ok_or_else(|| Failure::new("there is no busybox: apt-get install busybox-static"))?;
    let folder = |path: &str, mode| Entry::Folder { path: path.into(), mode };
    let link = |name: &str| Entry::Link { path: format!("bin/{name}"), target: "busybox".into() };
    let passwd = Entry::Text { path: "etc/passwd".into(), bytes: b"root:x:0:0:root:/:/bin/sh\n".to_vec() };
    let mut entries = vec![folder("bin", 0o755), folder("etc", 0o755), folder("tmp", 0o1777), passwd];
    entries.push(Entry::Copy { path: "bin/busybox".into(), from: busybox.into() });
    entries.extend(["sh", "ls", "cat", "sleep", "wget", "httpd"].map(link));
    Ok(entries)
}

/// The image of kiwix-serve: Debian's binary with every library that `ldd` names.
pub fn kiwix() -> Outcome<Image> {
    let binary =
        ["/usr/bin/kiwix-serve", "/usr/local/bin/kiwix-serve"].into_iter().find(|path| Path::new(path).exists());
    let binary = binary.ok_or_else(|| Failure::new("there is no kiwix-serve: apt-get install kiwix-tools"))?;
    let mut entries = vec![Entry::Copy { path: "usr/bin/kiwix-serve".into(), from: binary.into() }];
    entries.extend(
        closure(binary)?
            .into_iter()
            .map(|library| Entry::Copy { path: library.trim_start_matches('/').to_owned(), from: library.into() }),
    );
    Ok(Image {
        name: KIWIX.into(),
        command: vec!["/usr/bin/kiwix-serve".into(), "--version".into()],
        layers: vec![base()?, entries],
    })
}

/// The image of the home page: busybox's httpd; the page itself is content of the card.
pub fn home() -> Outcome<Image> {
    let www = Entry::Folder { path: "var/www".into(), mode: 0o755 };
    Ok(Image {
        name: HOME.into(),
        command: ["/bin/httpd", "-f", "-p", "80", "-h", "/var/www"].map(String::from).to_vec(),
        layers: vec![base()?, vec![www]],
    })
}

/// Absolute paths of the shared libraries and the loader of `binary`.
fn closure(binary: &str) -> Outcome<Vec<String>> {
    let printed = tool::run("ldd", &[binary])?;
    if let Some(line) = printed.lines().find(|line| line.contains("not found")) {
        return Err(Failure::new(format!("{binary} lacks a library: {}", line.trim())));
    }
    let words = printed.lines().filter_map(|line| line.split_whitespace().find(|word| word.starts_with('/')));
    Ok(words.map(str::to_owned).collect())
}

/// Path of an article below the library's address, for each way kiwix-serve has had.
pub fn article_paths(article: &Article) -> [String; 2] {
    let book = ZIM.trim_end_matches(".zim");
    [format!("/content/{book}/{}", article.path), format!("/{book}/A/{}", article.path)]
}

fn offspot_yaml(zim: &Path) -> Outcome<String> {
    let size = fs::metadata(zim).doing(zim.display())?.len();
    text(zim)?;
    Ok(SETTINGS
        .replace("@SIZE@", &size.to_string())
        .replace("@SHA256@", &sha256_of_file(zim)?)
        .replace("@ZIM@", ZIM)
        .replace("@KIWIX@", KIWIX)
        .replace("@HOME@", HOME)
        .replace("@WELCOME@", WELCOME))
}

const SETTINGS: &str = r#"# What this box is to be. Every key may be left out: what is not named stays as it is.
timezone: Africa/Bamako
hostname: village
ap:
  ssid: Village library
  passphrase: null
  domain: village
  tld: hotspot

oci_images:
- ident: @KIWIX@
- ident: @HOME@

files:
- to: /data/contents/zims/@ZIM@
  url: file:///boot/firmware/offspot/files/@ZIM@
  size: @SIZE@
  checksum:
    algo: sha-256
    kind: digest
    value: @SHA256@
- to: /data/contents/home/index.html
  content: |
    <!DOCTYPE html>
    <html lang="en">
    <head><meta charset="utf-8"><title>Village library</title></head>
    <body>
    <h1>@WELCOME@</h1>
    <p><a id="library" href="/">Read the articles</a> (port 8080 of this address)</p>
    <script>document.getElementById("library").href = "//" + location.hostname + ":8080/";</script>
    </body>
    </html>

containers:
  name: offspot
  services:
    kiwix:
      image: @KIWIX@
      container_name: kiwix
      command: /bin/sh -c "kiwix-serve --blockexternal --port 80 --nodatealiases /data/*.zim"
      pull_policy: never
      restart: unless-stopped
      ports:
      - 8080:80
      healthcheck:
        test: [CMD, wget, -q, -O, /dev/null, "http://127.0.0.1:80/"]
        interval: 1s
        timeout: 5s
        retries: 30
      volumes:
      - type: bind
        source: /data/contents/zims
        target: /data
        read_only: true
    home:
      image: @HOME@
      container_name: home
      pull_policy: never
      restart: unless-stopped
      depends_on:
        kiwix:
          condition: service_healthy
      ports:
      - 80:80
      volumes:
      - type: bind
        source: /data/contents/home
        target: /var/www
        read_only: true
"#;
