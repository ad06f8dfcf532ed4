//! Small files that a driver function reads and writes.
//!
//! Owns only the functions that plugin authors call: the host reads and writes the files.

use crate::runtime;

/// Writes a whole file. A reader of the file sees either the old content or the complete new content. May be called
/// only in a driver function.
///
/// `path` is a path below the directory that the job file grants as `out`. The form `name:path` means a path below
/// another granted directory. A batch that runs again writes the file again. So make the file's name depend on the
/// batch's time, or make the content depend on the whole state. A file has at most `limits.result_size` bytes; save
/// larger content as a data set. If the file cannot be written, the function ends and its output fails.
///
/// ```
/// use millstream::{files, testing};
/// let job = testing::Job::new(|ctx| {
///     ctx.stream::<u32>("numbers").foreach_rdd(|rdd| files::write("latest.txt", format!("{}\n", rdd.count())));
/// });
/// let (_, files) = job.batch("numbers", [1u32, 2]).run_with_files();
/// assert_eq!(files["latest.txt"], b"2\n");
/// ```
pub fn write(path: &str, content: impl AsRef<[u8]>) {
    runtime::write_file(path, content.as_ref());
}

/// Returns the content of a file; `None` if the file does not exist. May be called only in a driver function.
///
/// The form of `path` and the limit of the size are those of [`write`](fn@write). If the file cannot be read, the
/// function ends and its output fails.
///
/// ```
/// use millstream::{files, testing};
/// let job = testing::Job::new(|ctx| {
///     ctx.stream::<u32>("numbers").foreach_rdd(|rdd| {
///         let so_far = files::read("total").and_then(|total| String::from_utf8(total).ok()?.parse().ok());
///         let total: u64 = so_far.unwrap_or(0) + rdd.count();
///         files::write("total", total.to_string());
///     });
/// });
/// let (_, files) = job.batch("numbers", [1u32, 2]).batch("numbers", [3u32]).run_with_files();
/// assert_eq!(files["total"], b"3");
/// ```
pub fn read(path: &str) -> Option<Vec<u8>> {
    runtime::read_file(path)
}
