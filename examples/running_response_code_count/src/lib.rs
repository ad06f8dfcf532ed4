//! Counts the requests of a web server by their status codes, from the start of the job on. The lines are in the common
//! or the combined log format.

use millstream::*;

fn build(ctx: &StreamingContext) {
    let requests = ctx.text_stream("log").flat_map(|line| status(&line)).map(|code| (code, true));
    requests
        .update_state_by_key(|requests, total| Some(total.unwrap_or(0) + requests.len() as u64))
        .name("requests_by_code")
        .print();
}
millstream::plugin!(build);

/// The status code of a line: the number after the request, which stands in quotation marks. `None` if there is no such
/// number.
fn status(line: &str) -> Option<u16> {
    let (_, request) = line.split_once('"')?;
    let (_, rest) = request.split_once("\" ")?;
    rest.split(' ').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use millstream::testing;

    #[test]
    fn codes_keep_their_counts() {
        let job = testing::Job::new(super::build)
            .batch("log", [r#"a "GET / HTTP/1.1" 200 5"#, r#"a "GET /x HTTP/1.1" 404 0"#, "noise"])
            .batch("log", [r#"b "GET / HTTP/1.1" 200 5"#]);
        let mut printed = job.run();
        printed[1].rows.sort();
        assert_eq!(printed[1].rows, ["(200,2)", "(404,1)"]);
    }
}
