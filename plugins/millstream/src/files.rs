//! Small files of a driver function.
//!
//! Owns nothing but the words: the host reads and writes.

use crate::runtime;

/// Writes a file whole: who reads it sees what was there before, or all of this. Only in a driver function.
///
/// `path` is below the directory that the job file grants as `out`, or, as `name:path`, below another one. A batch that runs
/// again writes again: let the name follow from the batch's time, or the content from the whole state. A file has at most
/// `limits.result_size`; what is larger is saved as a data set. If it cannot be written, the function ends and its output
/// fails.
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

/// What a file holds, and nothing if it is not there. Only in a driver function.
///
/// A path is one of [`write`](fn@write), and so is the limit. If the file cannot be read, the function ends and its output
/// fails.
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
