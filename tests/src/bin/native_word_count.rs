//! `native-word-count FILE [--threads N] [--top N]`: the hand-written program that benchmarks compare Millstream with.
//!
//! Counts what the word-count job counts: each line, without its line end, split at every single space, so that two
//! spaces in a row enclose an empty word. The whole file is read into memory and cut at line ends into one range for
//! each thread. Words are slices of the file, and no memory is allocated for a word. Prints one line of JSON, then the
//! `N` most frequent words as `(word,count)`.

use millstream_tests::ranges::ranges;
use std::borrow::Cow;
use std::collections::HashMap;
use std::env;
use std::fs;
use std::hash::{BuildHasherDefault, Hash, Hasher};
use std::io::{self, BufWriter, Write};
use std::process::ExitCode;
use std::thread;
use std::time::Instant;

const USAGE: &str = "usage: native-word-count FILE [--threads N] [--top N]";

/// The options of the command line.
struct Options {
    file: String,
    threads: usize,
    top: usize,
}

type Counts<'a> = HashMap<Word<'a>, u64, BuildHasherDefault<WordHasher>>;

fn main() -> ExitCode {
    let options = match Options::parse(env::args().skip(1)) {
        Ok(options) => options,
        Err(problem) => {
            eprintln!("native-word-count: {problem}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match run(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("native-word-count: {}: {error}", options.file);
            ExitCode::FAILURE
        }
    }
}

impl Options {
    fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let threads = thread::available_parallelism().map_or(1, usize::from);
        let mut options = Self { file: String::new(), threads, top: 0 };
        while let Some(argument) = arguments.next() {
            let mut number = || {
                let value = arguments.next().ok_or_else(|| format!("{argument} needs a value"))?;
                value.parse::<usize>().map_err(|_| format!("`{value}` is not a whole number"))
            };
            match argument.as_str() {
                "--threads" => options.threads = number()?.max(1),
                "--top" => options.top = number()?,
                flag if flag.starts_with("--") => return Err(format!("unknown option {flag}")),
                file if options.file.is_empty() => options.file = file.to_owned(),
                other => return Err(format!("one FILE only, not also `{other}`")),
            }
        }
        if options.file.is_empty() { Err("FILE is missing".to_owned()) } else { Ok(options) }
    }
}

/// Reads, counts and prints. The time is that of reading, counting and merging.
#[expect(clippy::disallowed_methods, reason = "a benchmark runs on the real clock")]
fn run(options: &Options) -> io::Result<()> {
    let start = Instant::now();
    let text = fs::read(&options.file)?;
    let read_seconds = start.elapsed().as_secs_f64();
    let counts = count_in_parallel(&text, options.threads);
    let seconds = start.elapsed().as_secs_f64();

    let mut out = BufWriter::new(io::stdout());
    writeln!(
        out,
        "{{\"bytes\":{},\"threads\":{},\"words\":{},\"distinct\":{},\"seconds\":{seconds:.6},\
         \"read_seconds\":{read_seconds:.6},\"mb_per_s\":{:.1}}}",
        text.len(),
        options.threads,
        counts.values().sum::<u64>(),
        counts.len(),
        text.len() as f64 / 1e6 / seconds,
    )?;
    for (word, count) in top(&counts, options.top) {
        writeln!(out, "({word},{count})")?;
    }
    out.flush()
}

/// Counts each range on a thread of its own and adds the smaller tables to the largest.
fn count_in_parallel(text: &[u8], threads: usize) -> Counts<'_> {
    let (first, others) = ranges(text, threads);
    let mut tables = thread::scope(|scope| {
        let others: Vec<_> = others.into_iter().map(|range| scope.spawn(move || count(range))).collect();
        let mut tables = vec![count(first)];
        tables.extend(others.into_iter().map(|thread| thread.join().expect("counting does not panic")));
        tables
    });
    tables.sort_by_key(HashMap::len);
    let mut total = tables.pop().unwrap_or_default();
    for (word, count) in tables.into_iter().flatten() {
        *total.entry(word).or_insert(0) += count;
    }
    total
}

/// Counts the words of whole lines.
fn count(text: &[u8]) -> Counts<'_> {
    let mut counts = Counts::default();
    let mut add = |word| match counts.get_mut(&Word(word)) {
        Some(count) => *count += 1,
        None => _ = counts.insert(Word(word), 1),
    };
    let mut start = 0;
    for at in memchr::memchr2_iter(b' ', b'\n', text) {
        let word = &text[start..at];
        start = at + 1;
        add(if text[at] == b'\n' { word.strip_suffix(b"\r").unwrap_or(word) } else { word });
    }
    if start < text.len() || text.last() == Some(&b' ') {
        add(&text[start..]);
    }
    counts
}

/// The `count` most frequent words. Equally frequent words are in the order of their bytes.
fn top<'a>(counts: &Counts<'a>, count: usize) -> Vec<(Cow<'a, str>, u64)> {
    let mut words: Vec<_> = counts.iter().map(|(word, count)| (*count, word.0)).collect();
    words.sort_unstable_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(b.1)));
    words.into_iter().take(count).map(|(count, word)| (String::from_utf8_lossy(word), count)).collect()
}

/// A word of the input. Unlike a plain slice it is hashed without its length, which [`WordHasher`] adds itself.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Word<'a>(&'a [u8]);

impl Hash for Word<'_> {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write(self.0);
    }
}

/// The multiply-and-rotate hash of rustc ("Fx"), over eight bytes at a time.
#[derive(Default)]
struct WordHasher(u64);

impl WordHasher {
    const FACTOR: u64 = 0xf135_7aea_2e62_a9c5;

    #[inline]
    fn add(&mut self, value: u64) {
        self.0 = (self.0.rotate_left(5) ^ value).wrapping_mul(Self::FACTOR);
    }
}

impl Hasher for WordHasher {
    #[inline]
    fn write(&mut self, bytes: &[u8]) {
        let length = bytes.len();
        self.0 = (length as u64).wrapping_mul(Self::FACTOR);
        if let Some(last) = bytes.last_chunk::<8>() {
            for chunk in bytes.as_chunks::<8>().0 {
                self.add(u64::from_le_bytes(*chunk));
            }
            self.add(u64::from_le_bytes(*last));
        } else if let (Some(first), Some(last)) = (bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
            self.add(u64::from(u32::from_le_bytes(*first)) | u64::from(u32::from_le_bytes(*last)) << 32);
        } else if let (Some(first), Some(last)) = (bytes.first(), bytes.last()) {
            self.add(u64::from(*first) | u64::from(bytes[length / 2]) << 8 | u64::from(*last) << 16);
        }
    }

    /// Moves the high bits to the low end. The table takes its position from the low bits, and the high bits of a
    /// product are mixed best.
    #[inline]
    fn finish(&self) -> u64 {
        self.0.rotate_left(26)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The expected result, computed by the simplest code.
    fn expected(text: &str) -> Vec<(Cow<'_, str>, u64)> {
        let mut counts = HashMap::new();
        for word in text.lines().flat_map(|line| line.split(' ')) {
            *counts.entry(word).or_insert(0) += 1;
        }
        let mut words: Vec<_> = counts.into_iter().map(|(word, count)| (Cow::Borrowed(word), count)).collect();
        words.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
        words
    }

    #[test]
    fn it_counts_what_splitting_every_line_at_spaces_gives() {
        let long = "a quick brown fox jumps over\nthe lazy dog  and an internationalisation\r\n\n of it\n".repeat(9);
        for text in ["", "a", "a b a\n", "a \nb", " ", "\n", "\r\n", "a\r\n", long.as_str()] {
            for threads in [1, 2, 3, 16] {
                let counts = count_in_parallel(text.as_bytes(), threads);
                assert_eq!(top(&counts, usize::MAX), expected(text), "{text:?} on {threads} threads");
            }
        }
    }

    #[test]
    fn words_that_differ_in_one_byte_or_in_length_hash_differently() {
        let hash = |word: &[u8]| {
            let mut hasher = WordHasher::default();
            Word(word).hash(&mut hasher);
            hasher.finish()
        };
        let words: Vec<Vec<u8>> = (0..40).flat_map(|n| [vec![b'a'; n], [vec![b'b'], vec![b'a'; n]].concat()]).collect();
        let hashes: std::collections::HashSet<u64> = words.iter().map(|word| hash(word)).collect();
        assert_eq!(hashes.len(), words.len());
    }
}
