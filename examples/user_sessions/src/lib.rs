//! Finds the sessions of users. A session is a sequence of page views with no pause of more than 10 seconds. A line is
//! a user, a space and a page.

use millstream::*;

/// The session of a user that has not ended yet.
#[derive(Record, Clone)]
struct Session {
    began_ms: u64,
    last_ms: u64,
    pages: Vec<Text>,
}

/// Adds a page view to the session of its user. If the user was idle for too long, returns the session as text.
fn view(time: Time, user: &Text, page: Option<Text>, state: &mut State<Session>) -> Option<String> {
    let Some(page) = page else {
        let Session { began_ms, last_ms, pages } = state.get();
        return Some(format!("{user} viewed {} in {} s", pages.join(", "), (last_ms - began_ms) / 1000));
    };
    let now_ms = time.as_ms();
    let session = state.get_option().cloned();
    let mut session = session.unwrap_or(Session { began_ms: now_ms, last_ms: now_ms, pages: Vec::new() });
    session.last_ms = now_ms;
    session.pages.push(page);
    state.update(session);
    None
}

fn build(ctx: &StreamingContext) {
    let views = ctx.text_stream("views").flat_map(|line| line.split_once(' '));
    let sessions = views.map_with_state(StateSpec::function_with_time(view).timeout(seconds(10))).name("sessions");
    sessions.print().name("ended");
    sessions.state_snapshots().count().print().name("open");
}
millstream::plugin!(build);

#[cfg(test)]
mod tests {
    use millstream::{seconds, testing};

    #[test]
    fn a_session_ends_after_more_than_ten_seconds_without_a_view() {
        let printed = testing::Job::new(super::build)
            .batch_interval(seconds(5))
            .batch("views", ["ann /", "bob /", "not-a-view"])
            .batch("views", ["ann /cart"])
            .batch("views", [""; 0])
            .batch("views", [""; 0])
            .batch("views", ["bob /"])
            .run();
        let rows: Vec<String> = printed.iter().map(|batch| batch.rows.join(" ")).collect();
        let ended = ["", "", "", "bob viewed / in 0 s", "ann viewed /, /cart in 5 s"];
        let open = ["2", "2", "2", "1", "1"];
        let expected: Vec<&str> = ended.into_iter().zip(open).flat_map(|(ended, open)| [ended, open]).collect();
        assert_eq!(rows, expected);
    }
}
