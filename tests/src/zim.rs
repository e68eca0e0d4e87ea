//! A real ZIM of a few articles, made with zimwriterfs and checked with zimcheck.

use std::fs;
use std::io::Write;
use std::path::Path;

use flate2::write::ZlibEncoder;
use flate2::{Compression, Crc};

use crate::tool::{self, Doing, Outcome, text};

/// One article.
#[derive(Debug, Clone, Copy)]
pub struct Article {
    /// File name in the ZIM.
    pub path: &'static str,
    /// Its title.
    pub title: &'static str,
    /// Its text, a paragraph a line.
    pub text: &'static str,
}

/// The articles of the demo's library.
pub const ARTICLES: &[Article] = &[
    Article {
        path: "safe-water.html",
        title: "Safe water",
        text: "Water that looks clear can still carry disease.\n\
               Bring it to a rolling boil for one minute, three minutes above 2000 metres, and let it cool in a covered pot.\n\
               Where fuel is scarce, clear water in a clean bottle left in full sun for six hours is a good second choice.",
    },
    Article {
        path: "oral-rehydration.html",
        title: "Oral rehydration",
        text: "Most deaths from diarrhoea are deaths from lost water and salt, and both can be given back at home.\n\
               Stir six level teaspoons of sugar and half a level teaspoon of salt into one litre of safe water.\n\
               Give small sips often; go on feeding; seek help if there is blood, high fever or great weakness.",
    },
    Article {
        path: "multiplication.html",
        title: "Multiplication by nine",
        text: "Hold up both hands. To multiply four by nine, bend the fourth finger from the left.\n\
               Three fingers stand before it and six after it: thirty-six.\n\
               It works because each step of nine takes one unit away and gives one ten.",
    },
    Article {
        path: "grafting.html",
        title: "Grafting a mango tree",
        text: "A seedling bears after seven years and nobody knows what; a graft bears after three, and as its mother did.\n\
               Cut a pencil-thick shoot with three buds, trim its end to a wedge, and set it into a split in the young stem.\n\
               Bind it, keep it in shade for three weeks, and remove every shoot below the graft.",
    },
];

/// Writes the ZIM of `articles` to `zim`, using `work` as a folder of its own, and has zimcheck look at it.
pub fn build(articles: &[Article], work: &Path, zim: &Path) -> Outcome<()> {
    fs::create_dir_all(work).doing(work.display())?;
    let write = |name: &str, bytes: &[u8]| fs::write(work.join(name), bytes).doing(name);
    for article in articles {
        write(article.path, page(article).as_bytes())?;
    }
    write("index.html", index(articles).as_bytes())?;
    write("illustration.png", &png(48, [0x1b, 0x6e, 0x53]))?;
    let _ = fs::remove_file(zim);
    tool::run(
        "zimwriterfs",
        &[
            "--welcome=index.html",
            "--illustration=illustration.png",
            "--language=eng",
            "--name=village-library_eng",
            "--title=Village library",
            "--description=A few articles for a box without a network",
            "--creator=offspot demo",
            "--publisher=offspot demo",
            text(work)?,
            text(zim)?,
        ],
    )?;
    tool::run("zimcheck", &["-A", text(zim)?]).map(drop)
}

fn page(article: &Article) -> String {
    let paragraphs: String = article.text.lines().map(|line| format!("<p>{line}</p>\n")).collect();
    document(article.title, &format!("{paragraphs}<p><a href=\"index.html\">All articles</a></p>"))
}

fn index(articles: &[Article]) -> String {
    let line = |article: &Article| format!("<li><a href=\"{}\">{}</a></li>\n", article.path, article.title);
    let lines: String = articles.iter().map(line).collect();
    document("Village library", &format!("<ul>\n{lines}</ul>"))
}

fn document(title: &str, body: &str) -> String {
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\"><title>{title}</title></head>\n\
         <body>\n<h1>{title}</h1>\n{body}\n</body>\n</html>\n"
    )
}

/// A square PNG of one colour: what kiwix-serve shows as the cover.
fn png(side: u32, [red, green, blue]: [u8; 3]) -> Vec<u8> {
    let mut head = [side.to_be_bytes(), side.to_be_bytes()].concat();
    head.extend([8, 2, 0, 0, 0]);
    let row: Vec<u8> = std::iter::once(0).chain([red, green, blue].repeat(side as usize)).collect();
    let mut packed = ZlibEncoder::new(Vec::new(), Compression::best());
    let pixels = packed.write_all(&row.repeat(side as usize)).and_then(|()| packed.finish());
    let mut file = b"\x89PNG\r\n\x1a\n".to_vec();
    file.extend(chunk(b"IHDR", &head));
    file.extend(chunk(b"IDAT", &pixels.unwrap_or_default()));
    file.extend(chunk(b"IEND", &[]));
    file
}

fn chunk(kind: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let body = [kind.as_slice(), data].concat();
    let mut sum = Crc::new();
    sum.update(&body);
    [&(data.len() as u32).to_be_bytes(), body.as_slice(), &sum.sum().to_be_bytes()].concat()
}
