//! The known word that was probably meant.

/// Words that people write for another one.
const MEANT: &[(&str, &str)] = &[
    ("password", "passphrase"),
    ("wifi_password", "passphrase"),
    ("key", "passphrase"),
    ("name", "ssid"),
    ("wifi", "ap"),
    ("wlan", "ap"),
    ("hidden", "hide"),
    ("gateway", "as-gateway"),
    ("channel", "channel_24"),
    ("tz", "timezone"),
    ("services", "containers"),
    ("compose", "containers"),
    ("images", "oci_images"),
    ("root_size", "rootfs_size"),
    ("ip", "address"),
    ("network", "ethernet"),
    ("eth0", "ethernet"),
    ("router", "routers"),
    ("path", "to"),
    ("src", "url"),
    ("source", "url"),
    ("image", "ident"),
];

/// The candidate closest to this word, if any is close.
pub fn nearest<'c>(word: &str, candidates: impl Iterator<Item = &'c str> + Clone) -> Option<&'c str> {
    let folded = fold(word);
    let meant = MEANT
        .iter()
        .filter(|(said, _)| fold(said) == folded)
        .find_map(|(_, meant)| candidates.clone().find(|candidate| candidate == meant));
    if meant.is_some() || word.chars().count() > 40 {
        return meant;
    }
    let limit = (folded.chars().count() / 3).max(1);
    let scored = candidates.map(|candidate| (distance(&folded, &fold(candidate)), candidate));
    scored
        .filter(|(distance, _)| *distance <= limit)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

fn fold(word: &str) -> String {
    word.to_lowercase().replace('_', "-")
}

/// How many letters to insert, remove, replace or swap.
fn distance(one: &str, two: &str) -> usize {
    let (one, two): (Vec<char>, Vec<char>) = (one.chars().collect(), two.chars().collect());
    let mut rows = vec![(0..=two.len()).collect::<Vec<usize>>()];
    for (i, left) in one.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, right) in two.iter().enumerate() {
            let replaced = rows[i][j] + usize::from(left != right);
            let swapped = if i > 0 && j > 0 && *left == two[j - 1] && one[i - 1] == *right {
                rows[i - 1][j - 1] + 1
            } else {
                usize::MAX
            };
            row.push(replaced.min(rows[i][j + 1] + 1).min(row[j] + 1).min(swapped));
        }
        rows.push(row);
    }
    rows[one.len()][two.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_meant() {
        let known = ["ssid", "passphrase", "as-gateway", "channel_24", "rootfs_size"];
        for (word, meant) in [
            ("sid", Some("ssid")),
            ("SSID", Some("ssid")),
            ("password", Some("passphrase")),
            ("pasphrase", Some("passphrase")),
            ("as_gateway", Some("as-gateway")),
            ("root_size", Some("rootfs_size")),
            ("isd", None),
            ("zzz", None),
            ("", None),
        ] {
            assert_eq!(nearest(word, known.into_iter()), meant, "{word}");
        }
    }
}
