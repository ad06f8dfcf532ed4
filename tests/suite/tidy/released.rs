//! Rule `released`: a released version of the WIT package never changes.
//!
//! `wit/released/CHECKSUMS` has a line `checksum  path` for each file below `wit/released`. A release adds lines; a
//! line is never changed, because plugins built against that version exist.

use std::collections::BTreeMap;

use millstream_tests::repository::{self, SourceFile};

use super::source::{Violation, require_none};

const RULE: &str = "released";
const DIR: &str = "wit/released";
const CHECKSUMS: &str = "CHECKSUMS";

/// FNV-1a over 128 bits. It guards against an oversight, not against an attacker, who could change the list as well.
fn checksum(bytes: &[u8]) -> String {
    const BASIS: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;
    let hash = bytes.iter().fold(BASIS, |hash, byte| (hash ^ u128::from(*byte)).wrapping_mul(PRIME));
    format!("{hash:032x}")
}

/// Files that differ from the list, are missing, or are not in it. Paths are relative to `wit/released`.
fn changed(files: &[(String, Vec<u8>)]) -> Vec<Violation> {
    let list = files.iter().find(|(path, _)| path == CHECKSUMS).map_or(&[][..], |(_, bytes)| bytes);
    let list = SourceFile::new(format!("{DIR}/{CHECKSUMS}"), String::from_utf8_lossy(list));
    let mut found: BTreeMap<&str, String> = files
        .iter()
        .filter(|(path, _)| path != CHECKSUMS)
        .map(|(path, bytes)| (path.as_str(), checksum(bytes)))
        .collect();
    let mut violations = Vec::new();
    for (index, line) in list.text.lines().enumerate() {
        let (expected, path) = line.split_once("  ").unwrap_or((line, ""));
        let message = match found.remove(path) {
            Some(actual) if actual == expected => continue,
            Some(_) => format!("`{path}` was changed after its release: restore it, and release a new version"),
            None => format!("`{path}` is missing: a released version stays"),
        };
        violations.push(Violation::new(RULE, &list, index + 1, message));
    }
    let new = found.into_iter().map(|(path, actual)| format!("not listed yet; add the line `{actual}  {path}`"));
    violations.extend(new.map(|message| Violation::new(RULE, &list, list.text.lines().count() + 1, message)));
    violations
}

#[test]
fn released_versions_of_the_wit_package_are_unchanged() {
    let files = repository::bytes_below(DIR).expect("wit/released can be read");
    // Before the first release there is no such directory.
    require_none(&files.map(|files| changed(&files)).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(checksums: &str) -> Vec<String> {
        let files = [(CHECKSUMS, checksums), ("0.1.0/types.wit", "interface types {}\n")];
        let files = files.map(|(path, text)| (path.to_owned(), text.as_bytes().to_vec()));
        changed(&files).into_iter().map(|violation| violation.message).collect()
    }

    #[test]
    fn the_checksum_is_fnv_1a() {
        assert_eq!(checksum(b""), "6c62272e07bb014262b821756295c58d");
        assert_eq!(checksum(b"a"), "d228cb696f1a8caf78912b704e4a8964");
    }

    #[test]
    fn a_changed_a_missing_and_a_new_file_are_found() {
        let good = format!("{}  0.1.0/types.wit\n", checksum(b"interface types {}\n"));
        assert_eq!(messages(&good), Vec::<String>::new());
        assert!(messages(&good.replacen(|c: char| c.is_ascii_hexdigit(), "x", 1))[0].contains("was changed"));
        assert!(messages(&format!("{good}00  0.1.0/task.wit\n"))[0].contains("is missing"));
        assert_eq!(messages(""), [format!("not listed yet; add the line `{}`", good.trim_end())]);
    }
}
