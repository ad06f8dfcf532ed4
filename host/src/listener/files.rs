//! The data of events about files of a source that are not read.
//!
//! Owns the causes and their texts. Never decides which files are read.

use crate::shown::counted;
use std::fmt;

/// Why files of a source are not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PassedOverCause {
    /// The files were there before the job started, and `existing_files` is `ignore`.
    Existing,
    /// The files came after the start with a modification time before the start, and `existing_files` is `ignore`.
    MovedIn,
    /// The modification time of the files is too long ago.
    TooOld,
    /// The names of the files say that they are hidden or not finished.
    HiddenName,
    /// `include` or `ignore` leaves the files out.
    Pattern,
    /// The files were removed, or other files took their names, before the batch was made.
    Replaced,
    /// The files are directories in a watched directory.
    Nested,
    /// The files are pipes, sockets or devices.
    NoRegularFile,
    /// The pattern in `path` stands for directories, and matches these files.
    MatchedByPath,
}

impl PassedOverCause {
    /// The cause as one word, for scripts.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Existing => "existing",
            Self::MovedIn => "moved_in",
            Self::TooOld => "too_old",
            Self::HiddenName => "hidden_name",
            Self::Pattern => "pattern",
            Self::Replaced => "replaced",
            Self::Nested => "nested",
            Self::NoRegularFile => "no_regular_file",
            Self::MatchedByPath => "matched_by_path",
        }
    }

    /// Whether the job file asks for the cause explicitly, so that no warning is needed.
    pub const fn is_asked_for(self) -> bool {
        matches!(self, Self::Existing | Self::HiddenName | Self::Pattern)
    }

    /// A description of the files, and what would make the source read them.
    const fn explanation(self) -> (&'static str, &'static str) {
        match self {
            Self::Existing => (
                "modified before the job started",
                "existing_files = \"read\" reads what is there at the first start of a job",
            ),
            Self::MovedIn => (
                "that came with a modification time before the start, as `mv`, `cp -p` and `rsync -a` keep it",
                "`touch` a file when it is in place",
            ),
            Self::TooOld => (
                "with a modification time before min_remember, as `mv`, `cp -p` and `rsync -a` keep it",
                "`touch` a file when it is in place, or raise min_remember",
            ),
            Self::HiddenName => (
                "with a name that begins with `.` or `_` or ends with `._COPYING_`",
                "give a file another name when it is complete",
            ),
            Self::Pattern => ("left out by include or ignore", "change include or ignore to read them"),
            Self::Replaced => (
                "replaced or removed before the batch was made",
                "give each file a name of its own, and leave it there",
            ),
            Self::Nested => (
                "of the kind directory, in a watched directory",
                "end `path` with `/**` to read what is below them, or with `/*` to read what is in them",
            ),
            Self::NoRegularFile => ("of the kind pipe, socket or device", "only regular files are read"),
            Self::MatchedByPath => (
                "matched by `path`, although `path` is for directories",
                "name the directory in `path`, and use include for names of files",
            ),
        }
    }
}

/// The description of the files.
impl fmt::Display for PassedOverCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.explanation().0)
    }
}

/// Files that a source does not read, all for the same cause.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PassedOverInfo {
    /// The source.
    pub source: String,
    /// Why the files are not read.
    pub cause: PassedOverCause,
    /// The number of such files since the start.
    pub files: u64,
    /// One of the files.
    pub example: String,
    /// Whether this is the first report of the cause. A cause is reported again whenever there are ten times as many
    /// files.
    pub is_first: bool,
}

impl fmt::Display for PassedOverInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { source, cause, files, example, .. } = self;
        let files = counted(*files, "file");
        write!(f, "{source}: not read: {files} {cause}, such as {example}: {}", cause.explanation().1)
    }
}
