//! Compressed files, and text in encodings other than UTF-8, as a user meets them.

#[path = "../../fixtures/compressed/words.rs"]
mod compressed;

use super::super::support::binary::{Directory, Running, Said};
use super::{job, job_of_function};
use compressed::FIXTURES;
use std::io::Write as _;
use std::net::TcpListener;

/// Makes a job that counts the words of the files in `in`, with these further keys of the source.
fn words(files: &[(&str, &[u8])], keys: &str) -> Directory {
    let directory = Directory::with_job("network_word_count");
    directory.write(
        "job.toml",
        format!(
            "[job]\nname = \"word-count\"\nplugin = \"network_word_count.wasm\"\nbatch_interval = \"20ms\"\n\n\
             [sources.lines]\ntype = \"text-files\"\npath = \"in\"\nexisting_files = \"read\"\n{keys}\n"
        ),
    );
    std::fs::create_dir(directory.path("in")).expect("a directory can be made");
    files.iter().for_each(|(name, content)| directory.write(&format!("in/{name}"), content));
    directory
}

fn run(directory: &Directory) -> Said {
    job(directory, "run", &["--stop-when-idle"])
}

/// Rows that were printed, in alphabetical order.
fn rows(said: &Said) -> Vec<&str> {
    let mut rows: Vec<&str> = said.out.lines().filter(|line| line.starts_with('(')).collect();
    rows.sort_unstable();
    rows
}

fn utf16(text: &str) -> Vec<u8> {
    "\u{feff}".encode_utf16().chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect()
}

/// A file is decompressed as its extension says. Several compressed files in one file are read as one.
#[test]
fn compressed_files_are_read() {
    for (name, content) in FIXTURES {
        let said = run(&words(&[(name, &content.repeat(2))], ""));
        assert_eq!((said.code, said.error()), (Some(0), ""), "{name}: {}", said.err);
        let expected =
            ["(be,4)", "(café,2)", "(is,2)", "(not,2)", "(or,2)", "(question,2)", "(that,2)", "(the,2)", "(to,4)"];
        assert_eq!(rows(&said), expected, "{name}");
    }
}

/// A file that is cut off or damaged fails its batch at once, and the message names the file. Reading the file again
/// would not help.
#[test]
fn a_compressed_file_that_is_not_whole_is_an_error() {
    const HELP: &str = "help: write a compressed file under another name or in another directory, and rename it when it \
                        is whole; replace the file, or set job.on_error = \"continue\" to go on with the next batch\n";
    let codecs = ["gzip", "bzip2", "zstd", "zstd", "lz4", "lz4", "snappy", "snappy"];
    for ((name, content), codec) in FIXTURES.into_iter().zip(codecs) {
        let said = run(&words(&[(name, &content[..content.len() - 5])], ""));
        assert_eq!((said.code, rows(&said)), (Some(2), Vec::new()), "{name}: {}", said.err);
        let error = said.error();
        assert!(error.contains(&format!("in/{name}: its {codec} data is cut off, after ")), "{error}");
        assert!(error.ends_with(HELP), "{error}");
        assert!(!said.err.contains("TaskRetried"), "{name}: {}", said.err);
    }
    let said = run(&words(&[("a.gz", b"to be or not to be\n")], ""));
    assert_eq!((said.code, rows(&said)), (Some(2), Vec::new()), "{}", said.err);
    assert!(said.error().contains("in/a.gz: its gzip data is damaged, after 0 bytes of content: "), "{}", said.error());
}

/// A byte order mark is not text. It says which encoding a file has, also if the file is compressed.
#[test]
fn a_byte_order_mark_is_taken_off() {
    let compressed = FIXTURES[0].1;
    for (name, content) in [
        ("utf-8.txt", "\u{feff}to be\r\nto be\r\n".as_bytes()),
        ("utf-16.txt", &utf16("to be\r\nto be\r\n")),
        ("utf-16be.txt", b"\xfe\xff\0t\0o\0 \0b\0e\0\n\0t\0o\0 \0b\0e"),
    ] {
        let said = run(&words(&[(name, content)], ""));
        assert_eq!((said.code, said.error()), (Some(0), ""), "{name}: {}", said.err);
        assert_eq!(rows(&said), ["(be,2)", "(to,2)"], "{name}");
        assert!(!said.err.contains("TextReplaced"), "{}", said.err);
    }
    assert_eq!(rows(&run(&words(&[("a.gz", compressed)], "encoding = \"latin-1\""))).len(), 9);
}

#[test]
fn the_job_file_says_the_encoding() {
    for (encoding, content) in [
        ("latin-1", &b"caf\xe9 \x80\n"[..]),
        ("utf-16le", b"c\0a\0f\0\xe9\0 \0\xac\x20\x0a\0"),
        ("utf-8", "café €\n".as_bytes()),
    ] {
        let said = run(&words(&[("a", content)], &format!("encoding = \"{encoding}\"")));
        assert_eq!((said.code, said.error()), (Some(0), ""), "{encoding}: {}", said.err);
        assert_eq!(rows(&said), ["(café,1)", "(€,1)"], "{encoding}");
    }
    let said = run(&words(&[], "encoding = \"latin1-\""));
    assert_eq!(said.code, Some(2));
    assert!(said.err.contains("sources.lines.encoding = \"latin1-\" is not the name of an encoding"), "{}", said.err);
    assert!(said.err.contains("help: did you mean \"latin-1\"?"), "{}", said.err);
}

/// Bytes that are not valid in the encoding are replaced and reported, with their place. No line is skipped.
#[test]
fn what_is_not_of_the_encoding_is_replaced_and_told() {
    let bad_utf8 = &b"good\nb\xffd\ngood\nb\xff\xffd\n"[..];
    let bad_utf16 = b"\xff\xfeb\0\0\xdcd\0\x0a\0";
    for (content, keys, expected, told) in [
        (
            bad_utf8,
            "",
            ["(b\u{fffd}d,1)", "(b\u{fffd}\u{fffd}d,1)", "(good,2)"].as_slice(),
            "2 lines with bytes that are not UTF-8",
        ),
        (bad_utf16, "", &["(b\u{fffd}d,1)"], "1 line with bytes that are not UTF-16LE"),
        (&bad_utf16[2..], "encoding = \"utf-16\"", &["(b\u{fffd}d,1)"], "1 line with bytes that are not UTF-16LE"),
    ] {
        let said = run(&words(&[("a\nb", content)], keys));
        assert_eq!((said.code, said.error()), (Some(0), ""), "{}", said.err);
        assert_eq!(rows(&said), expected);
        let line = if content == bad_utf8 { 2 } else { 1 };
        let told =
            format!("TextReplaced lines: {told}, which U+FFFD replaces; the first is line {line} of in/a\\u{{a}}b\n");
        assert!(said.err.contains(&told), "{}", said.err);
    }
}

/// Each connection may begin with a byte order mark. The numbers of lines continue from connection to connection.
#[test]
fn sockets_give_text_in_any_encoding() {
    let directory = Directory::with_job("network_word_count");
    directory.write(
        "job.toml",
        "[job]\nname = \"word-count\"\nplugin = \"network_word_count.wasm\"\nbatch_interval = \"50ms\"\n\n\
         [sources.lines]\ntype = \"socket\"\naddress = \"server:1\"\nreconnect_delay = \"20ms\"\nencoding = \"latin-1\"\n",
    );
    let server = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let set = format!("sources.lines.address={}", server.local_addr().expect("a server has an address"));
    let mut host = Running::start(directory.host(&["run", "job.toml", "--set", &set]));
    for content in [&b"caf\xe9\n"[..], &utf16("zwei\n"), b"\xef\xbb\xbfb\xffd"] {
        let (mut connection, _) = server.accept().expect("the host connects");
        connection.write_all(content).expect("the host is there");
    }
    host.wait_for_out("(caf\u{e9},1)");
    host.wait_for_out("(zwei,1)");
    host.wait_for_out("(b\u{fffd}d,1)");
    host.wait_for_err(
        "TextReplaced lines: 1 line with bytes that are not UTF-8, which U+FFFD replaces; the first is line 3\n",
    );
    host.signal("INT");
    let said = host.finish();
    assert_eq!((said.code, said.error()), (Some(0), ""), "{}", said.err);
}

#[test]
fn a_queue_may_have_any_encoding() {
    for (content, encoding) in [
        ("\u{feff}[\"caf\u{e9}\"]\n".as_bytes().to_vec(), "utf-8"),
        (utf16("[\"caf\u{e9}\"]\n"), "utf-8"),
        (b"[\"caf\xe9\"]\n".to_vec(), "latin-1"),
    ] {
        let directory = Directory::with_job("network_word_count");
        directory.write("queue.jsonl", content);
        let said =
            job(&directory, "run", &["--stop-when-idle", "--set", &format!("sources.lines.encoding={encoding}")]);
        assert_eq!((said.code, rows(&said)), (Some(0), vec!["(caf\u{e9},1)"]), "{}", said.err);
    }
    let directory = Directory::with_job("network_word_count");
    directory.write("queue.jsonl", b"[\"good\"]\n[\"caf\xe9\"]\n");
    let said = job(&directory, "run", &["--stop-when-idle"]);
    assert!(said.error().starts_with("error: queue.jsonl line 2, column "), "{}", said.err);
}

fn gzip(content: &[u8]) -> Vec<u8> {
    use std::process::{Command, Stdio};
    let child = Command::new("gzip").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let mut child = child.expect("there is gzip");
    // The content is short enough to fit into a pipe.
    child.stdin.take().expect("it is piped").write_all(content).expect("gzip takes it");
    child.wait_with_output().expect("gzip ends").stdout
}

/// Files that driver functions load may be compressed, and may have a byte order mark.
#[test]
fn loaded_files_are_decoded_too() {
    let csv = ["\u{feff}number,name\r\n1,one\r\n", "name,number\ntwo,2\n"];
    let json = "\u{feff}{\"number\":3,\"name\":\"three\"}\n{\"number\":1,\"name\":\"one\"}\n";
    let directory = job_of_function("csv_file", "[1, 2, 3]\n");
    std::fs::create_dir(directory.path("names.csv")).expect("a directory can be made");
    directory.write("names.csv/a.csv.gz", gzip(csv[0].as_bytes()));
    directory.write("names.csv/b.csv", utf16(csv[1]));
    assert_eq!(rows(&run(&directory)), ["(1,one None)", "(2,two None)"]);
    let directory = job_of_function("json_file", "[1, 2, 3]\n");
    std::fs::create_dir(directory.path("names")).expect("a directory can be made");
    directory.write("names/a.json.gz", gzip(json.as_bytes()));
    directory.write("names/b.json", utf16("{\"number\":2,\"name\":\"two\"}\n"));
    assert_eq!(rows(&run(&directory)), ["(1,one None)", "(2,two None)", "(3,three None)"]);
    let directory = job_of_function("text_file", "[1, 2, 3]\n");
    std::fs::create_dir(directory.path("lines.txt")).expect("a directory can be made");
    directory.write("lines.txt/a.sz", FIXTURES[7].1);
    directory.write("lines.txt/b", b"\xef\xbb\xbffine\nb\xffd\n");
    let said = run(&directory);
    assert_eq!((said.code, said.error()), (Some(0), ""), "{}", said.err);
    for line in ["to be or not to be", "that is the question", "café", "fine", "b\u{fffd}d"] {
        assert!(said.out.lines().any(|found| found == line), "{line}: {}", said.out);
    }
    assert!(said.err.contains("TextReplaced: 1 line with bytes that are not UTF-8"), "{}", said.err);
    let place = said.err.lines().find(|line| line.contains("TextReplaced")).unwrap_or_default();
    assert!(place.contains("the first is line 2 of ") && place.ends_with("/lines.txt/b"), "{place}");
}

#[test]
fn a_loaded_file_that_is_not_whole_is_an_error() {
    for (function, file, content, told) in [
        ("csv_file", "names.csv/a.csv.gz", gzip(b"number,name\n1,one\n"), "its gzip data is cut off, after "),
        (
            "json_file",
            "names/a.json.gz",
            gzip(b"{\"number\":1,\"name\":\"one\"}\n"),
            "its gzip data is cut off, after ",
        ),
        ("text_file", "lines.txt/a.zst", FIXTURES[3].1.to_vec(), "its zstd data is cut off, after "),
    ] {
        let directory = job_of_function(function, "[1, 2, 3]\n");
        let (parent, _) = file.split_once('/').expect("it is in a directory");
        std::fs::create_dir(directory.path(parent)).expect("a directory can be made");
        directory.write(file, &content[..content.len() - 1]);
        let said = run(&directory);
        assert_eq!(said.code, Some(2), "{}", said.err);
        assert!(said.error().contains(&format!("{file}: {told}")), "{}", said.error());
        assert!(!said.err.contains("TaskRetried"), "{}", said.err);
    }
    let directory = job_of_function("json_file", "[1, 2, 3]\n");
    directory.write("names", b"{\"number\":1,\"name\":\"one\"}\n{\"number\":2,\"name\":\"\xff\"}\n");
    let said = run(&directory);
    assert!(said.error().contains("names, line 2: the text is not UTF-8"), "{}", said.error());
}
