//! Counts the requests of a web server by their status codes, and all of them, over the last 30 seconds, every 10
//! seconds. The lines are in the common or the combined log format.

use millstream::*;

fn build(ctx: &StreamingContext) {
    let codes = ctx.text_stream("log").flat_map(|line| status(&line)).name("status");
    let window = (seconds(30), seconds(10));
    codes.count_by_value_and_window(window).print().name("requests_by_code");
    codes.window(window).count().print().name("requests");
}
millstream::plugin!(build);

/// The status code of a line: the number after the request, which stands in quotation marks. `None` if there is none.
fn status(line: &str) -> Option<u16> {
    let (_, request) = line.split_once('"')?;
    let (_, rest) = request.split_once("\" ")?;
    rest.split(' ').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use millstream::{seconds, testing};

    #[test]
    fn the_code_follows_the_request() {
        let line = r#"10.0.0.1 - ann [01/Mar/2026:10:00:00 +0000] "GET /a HTTP/1.1" 304 0 "http://b/200" "browser""#;
        assert_eq!(super::status(line), Some(304));
        assert_eq!(super::status("no log line"), None);
        assert_eq!(super::status(r#"10.0.0.1 - - [] "GET / HTTP/1.1" - 0"#), None);
    }

    #[test]
    fn counts_by_code_and_all() {
        let printed = testing::Job::new(super::build)
            .batch_interval(seconds(10))
            .batch("log", [r#"a "GET / HTTP/1.1" 200 5"#, r#"a "GET /x HTTP/1.1" 404 0"#, "noise"])
            .batch("log", [r#"b "GET / HTTP/1.1" 200 5"#])
            .run();
        assert_eq!(printed[2].rows, ["(200,2)", "(404,1)"]);
        assert_eq!(printed[3].rows, ["3"]);
    }
}
