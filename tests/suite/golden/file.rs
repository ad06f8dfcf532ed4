//! Reads golden files.
//!
//! Owns their form, which `tests/golden/README.md` describes. A file is read strictly: a line without a meaning, a
//! directive that is unknown, that stands twice or that has a bad value is an error with its file and line. Never runs
//! anything.

use std::path::PathBuf;

use millstream_tests::repository;

/// The directory of the golden files, from the root of the repository.
const DIRECTORY: &str = "tests/golden";

/// The ending of a golden file's name.
const EXTENSION: &str = ".stream";

/// The beginning of the line before a part of a golden file.
const MARK: &str = "---- ";

/// The directives, each with the values that it can have. A plugin is named by its package.
const DIRECTIVES: [(&str, &str); 3] =
    [("plugin", "the name of a package"), ("rows", "depend-on-partitions"), ("rerun", "adds-up")];

/// A golden file, in its parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GoldenFile {
    /// The name below `tests/golden`, without its ending, such as `operators/map`.
    pub name: String,
    /// The package of the plugin.
    pub plugin: String,
    /// Whether the rows depend on the partitions, so that another parallelism makes other rows: `rows
    /// depend-on-partitions`.
    pub rows_depend_on_partitions: bool,
    /// Whether a batch that runs again adds to the files of its first run: `rerun adds-up`. Without the directive, a
    /// batch that runs again replaces the files of its first run.
    pub reruns_add_up: bool,
    /// Lines for the table `[job]` of the job file.
    pub job_keys: String,
    /// The files beside the job file: their paths and texts.
    pub files: Vec<(String, String)>,
    /// The batches. Each batch is a JSON array of records.
    pub batches: Vec<String>,
    /// The text that the job prints, and after it each file that the job saves, after a line `---- PATH`.
    pub expected: String,
    /// The whole file without `expected`.
    pub given: String,
}

impl GoldenFile {
    /// Reads `tests/golden/NAME.stream`.
    ///
    /// # Panics
    /// If there is no such file, or a line of it has no meaning.
    pub fn read(name: &str) -> Self {
        let path = path(name);
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Self::parse(name, &text).unwrap_or_else(|error| panic!("{error}"))
    }

    /// Writes another expected output into the file.
    ///
    /// # Panics
    /// If the file cannot be written.
    pub fn bless(&self, output: &str) {
        let path = path(&self.name);
        let text = format!("{}{output}", self.given);
        std::fs::write(&path, text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }

    /// Reads the text of a golden file. On failure, returns a message with file and line.
    fn parse(name: &str, text: &str) -> Result<Self, String> {
        let mut parser = Parser::new(name);
        let mut rest = text;
        while !rest.is_empty() {
            let (line, after) = rest.split_once('\n').unwrap_or((rest, ""));
            parser.line += 1;
            rest = after;
            if parser.take(line).map_err(|problem| parser.problem(&problem))? {
                let (given, expected) = text.split_at(text.len() - rest.len());
                let mut file = parser.file;
                (file.given, file.expected) = (given.to_owned(), expected.to_owned());
                return Ok(file);
            }
        }
        Err(parser.problem("the file ends without a line `---- output`"))
    }
}

fn path(name: &str) -> PathBuf {
    repository::root().join(DIRECTORY).join(format!("{name}{EXTENSION}"))
}

/// The names of all golden files, sorted. All files of the directory except its `README.md` are golden files.
///
/// # Panics
/// If there is a file of another kind, or if a file cannot be read.
pub fn names() -> Vec<String> {
    let files = repository::bytes_below(DIRECTORY).expect("the goldens can be read").expect("the goldens are there");
    let files = files.into_iter().map(|(path, _)| path).filter(|path| path != "README.md");
    let name = |path: String| match path.strip_suffix(EXTENSION) {
        Some(name) => name.to_owned(),
        None => panic!("{DIRECTORY}/{path} is no golden file: its name does not end in {EXTENSION}"),
    };
    files.map(name).collect()
}

/// The part of a golden file to which a line belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    /// Directives and keys of the job.
    Header,
    /// The text of a file.
    File,
    /// Batches.
    Input,
}

/// Reads a golden file line by line, up to its expected output.
struct Parser {
    file: GoldenFile,
    part: Part,
    /// The number of the line that is being read, from 1.
    line: usize,
    directives: Vec<String>,
    keys: Vec<String>,
}

impl Parser {
    fn new(name: &str) -> Self {
        let file = GoldenFile {
            name: name.to_owned(),
            plugin: String::new(),
            rows_depend_on_partitions: false,
            reruns_add_up: false,
            job_keys: String::new(),
            files: Vec::new(),
            batches: Vec::new(),
            expected: String::new(),
            given: String::new(),
        };
        Self { file, part: Part::Header, line: 0, directives: Vec::new(), keys: Vec::new() }
    }

    fn problem(&self, problem: &str) -> String {
        format!("{DIRECTORY}/{}{EXTENSION}:{}: {problem}", self.file.name, self.line)
    }

    /// Takes a line. Returns true if the expected output comes next.
    fn take(&mut self, line: &str) -> Result<bool, String> {
        if self.line == 1 && !line.starts_with("plugin ") {
            return Err("the first line is not `plugin NAME`".to_owned());
        }
        match (self.part, line.strip_prefix(MARK)) {
            (Part::Header | Part::File, Some("input")) => self.part = Part::Input,
            (Part::Header | Part::File, Some(mark)) => self.begin_file(mark)?,
            (Part::Input, Some("output")) => {
                return if self.file.batches.is_empty() { Err("there is no batch".to_owned()) } else { Ok(true) };
            }
            (Part::Input, Some(mark)) => return Err(format!("`{MARK}{mark}` cannot stand after `{MARK}input`")),
            (Part::Header, None) => self.take_header_line(line)?,
            (Part::File, None) => {
                if let Some((_, text)) = self.file.files.last_mut() {
                    text.push_str(line);
                    text.push('\n');
                }
            }
            (Part::Input, None) => {
                serde_json::from_str::<Vec<serde_json::Value>>(line)
                    .map_err(|error| format!("a batch is a JSON array on one line: {error}"))?;
                self.file.batches.push(line.to_owned());
            }
        }
        Ok(false)
    }

    fn begin_file(&mut self, mark: &str) -> Result<(), String> {
        let Some(path) = mark.strip_prefix("file ") else {
            return Err(format!("unknown part `{MARK}{mark}`: use `{MARK}file PATH`, `{MARK}input` or `{MARK}output`"));
        };
        let is_plain = |part: &str| !part.is_empty() && part != "." && part != ".." && part.trim() == part;
        if !path.split('/').all(is_plain) {
            return Err(format!("`{path}` is no path from the job file on"));
        }
        if self.file.files.iter().any(|(other, _)| other == path) {
            return Err(format!("the file `{path}` stands twice"));
        }
        self.file.files.push((path.to_owned(), String::new()));
        self.part = Part::File;
        Ok(())
    }

    fn take_header_line(&mut self, line: &str) -> Result<(), String> {
        if let Some((key, _)) = line.split_once(" = ") {
            if self.keys.iter().any(|other| other == key) {
                return Err(format!("the key `{key}` stands twice"));
            }
            self.keys.push(key.to_owned());
            self.file.job_keys.push_str(line);
            self.file.job_keys.push('\n');
            return Ok(());
        }
        let (name, value) = line.split_once(' ').unwrap_or((line, ""));
        if self.directives.iter().any(|other| other == name) {
            return Err(format!("the directive `{name}` stands twice"));
        }
        self.directives.push(name.to_owned());
        match (name, value) {
            ("plugin", plugin) if is_package(plugin) => self.file.plugin = plugin.to_owned(),
            ("rows", "depend-on-partitions") => self.file.rows_depend_on_partitions = true,
            ("rerun", "adds-up") => self.file.reruns_add_up = true,
            _ => return Err(unknown(name, value)),
        }
        Ok(())
    }
}

fn is_package(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

/// The message about a directive with an unknown name or value.
fn unknown(name: &str, value: &str) -> String {
    let known = DIRECTIVES.iter().find(|(known, _)| *known == name);
    match known {
        Some((_, values)) => format!("bad value `{value}` of the directive `{name}`: use {values}"),
        None => {
            let known: Vec<&str> = DIRECTIVES.iter().map(|(known, _)| *known).collect();
            format!("`{name}` is no directive ({}), and the line is no `key = value` of the job", known.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "plugin operators\nparallelism = 2\nrows depend-on-partitions\n";

    fn problem(text: &str) -> String {
        GoldenFile::parse("operators/map", text).expect_err("something is wrong with it")
    }

    #[test]
    fn a_file_has_all_its_parts() {
        let text = format!(
            "{HEADER}args = {{ a = \"b\" }}\n---- file in/a\none\n\n---- file b\n---- input\n[1, 2]\n[]\n---- output\n\
             ----\n---- file c\n---- input\n"
        );
        let file = GoldenFile::parse("operators/map", &text).expect("every line has a meaning");
        assert_eq!(
            (file.plugin.as_str(), file.rows_depend_on_partitions, file.reruns_add_up),
            ("operators", true, false)
        );
        assert_eq!(file.job_keys, "parallelism = 2\nargs = { a = \"b\" }\n");
        assert_eq!(file.files, [("in/a".to_owned(), "one\n\n".to_owned()), ("b".to_owned(), String::new())]);
        assert_eq!(file.batches, ["[1, 2]", "[]"]);
        assert_eq!(file.expected, "----\n---- file c\n---- input\n");
        assert_eq!(file.given + &file.expected, text);
    }

    #[test]
    fn a_directive_is_known_stands_once_and_has_a_value_that_it_can_have() {
        let place = "tests/golden/operators/map.stream:4: ";
        let header = |line: &str| problem(&format!("{HEADER}{line}\n---- input\n[]\n---- output\n"));
        let unknown = |name: &str| {
            format!(
                "{place}`{name}` is no directive (plugin, rows, rerun), and the line is no `key = value` of the job"
            )
        };
        assert_eq!(header("skip crashes"), unknown("skip"));
        assert_eq!(header("# Shows partitions"), unknown("#"));
        assert_eq!(header(""), unknown(""));
        assert_eq!(header("rerun"), format!("{place}bad value `` of the directive `rerun`: use adds-up"));
        assert_eq!(
            header("rerun adds-up "),
            format!("{place}bad value `adds-up ` of the directive `rerun`: use adds-up")
        );
        assert_eq!(header("rows depend-on-partitions"), format!("{place}the directive `rows` stands twice"));
        assert_eq!(header("plugin operators"), format!("{place}the directive `plugin` stands twice"));
        assert_eq!(header("parallelism = 3"), format!("{place}the key `parallelism` stands twice"));
        let bad = "tests/golden/operators/map.stream:1: bad value `../x` of the directive `plugin`: use the name of a package";
        assert_eq!(problem("plugin ../x\n"), bad);
        assert!(
            problem("rows depend-on-partitions\nplugin operators\n")
                .ends_with(":1: the first line is not `plugin NAME`")
        );
    }

    #[test]
    fn parts_are_known_and_in_order() {
        let ends = |text: &str, end: &str| {
            let problem = problem(&format!("{HEADER}{text}"));
            assert!(problem.ends_with(end), "{problem}");
        };
        ends("---- inputs\n", ":4: unknown part `---- inputs`: use `---- file PATH`, `---- input` or `---- output`");
        ends("---- output\n", ":4: unknown part `---- output`: use `---- file PATH`, `---- input` or `---- output`");
        ends("---- file a/../b\n", ":4: `a/../b` is no path from the job file on");
        ends("---- file a\n---- file a\n", ":5: the file `a` stands twice");
        ends("---- input\n---- file a\n", ":5: `---- file a` cannot stand after `---- input`");
        ends("---- input\n---- output\n", ":5: there is no batch");
        ends(
            "---- input\n[1\n",
            ":5: a batch is a JSON array on one line: EOF while parsing a list at line 1 column 2",
        );
        ends("---- input\n[1]\n", ":5: the file ends without a line `---- output`");
    }
}
