//! Clients that want to see more than they may, or to take more than their share.

use super::Job;
use millstream_tests::http_client::{asks, exchange, get};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;

/// No path leads out of the files of the page.
#[test]
fn no_path_leads_to_other_files() {
    let job = Job::counting();
    for path in [
        "/../Cargo.toml",
        "/..%2f..%2fetc/passwd",
        "//etc/passwd",
        "/assets/../../job.toml",
        "/job.toml",
        "/api/millstream/v1/../../../job.toml",
        "/api/v1/applications/word-count/streaming/batches/..%2f..%2fstatistics",
        "/style.css%00.html",
    ] {
        let (status, body) = get(&job.address, path, &[]).expect("it answers");
        assert!(status == 404 || status == 400, "{path}: {status} {body}");
    }
    job.stopped();
}

/// A page of another site reaches the job neither as itself nor under a name that leads to this machine, and may not put
/// the page into a frame.
#[test]
fn pages_of_other_sites_see_nothing() {
    let job = Job::counting();
    let status = |head: &[&str]| {
        let mut connection = TcpStream::connect(&job.address).expect("the page listens");
        exchange(&mut connection, &asks("/api/millstream/v1/job", head)).expect("it answers").0
    };
    let own = format!("Host: {}", job.address);
    assert_eq!(status(&[&own]), 200);
    assert_eq!(status(&["Host: evil.example"]), 421);
    assert_eq!(status(&[&own, "Origin: http://evil.example"]), 403);
    assert_eq!(status(&[&own, "Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: no-cors"]), 403);
    let mut connection = TcpStream::connect(&job.address).expect("the page listens");
    connection.write_all(&asks("/", &[&own])).expect("the page reads");
    let mut answer = String::new();
    connection.read_to_string(&mut answer).expect("it answers");
    for header in
        ["content-security-policy: default-src 'none'", "frame-ancestors 'none'", "x-content-type-options: nosniff"]
    {
        assert!(answer.contains(header), "{answer}");
    }
    assert!(!answer.contains("access-control-allow"), "{answer}");
    job.stopped();
}

/// Without a token in the job file, nobody can stop the job from here.
#[test]
fn without_a_token_nobody_stops_the_job() {
    let job = Job::counting();
    let (status, body) = millstream_tests::http_client::exchange(
        &mut TcpStream::connect(&job.address).expect("the page listens"),
        format!(
            "POST /api/millstream/v1/stop-now HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
            job.address
        )
        .as_bytes(),
    )
    .expect("it answers");
    assert_eq!(status, 403, "{body}");
    assert!(body.contains("set ui.token"), "{body}");
    job.stopped();
}

/// A head that does not end, a body that says something, and a thousand connections that say nothing: other clients are
/// served.
#[test]
fn clients_that_take_too_much_are_cut_off() {
    let job = Job::counting();
    let own = format!("Host: {}", job.address);
    let filler = format!("X-Filler: {}", "x".repeat(40_000));
    let mut connection = TcpStream::connect(&job.address).expect("the page listens");
    // The host may close the connection before it has read everything.
    let answered = exchange(&mut connection, &asks("/api/millstream/v1/job", &[&own, &filler]));
    assert!(answered.is_err() || answered.is_ok_and(|(status, _)| status == 431 || status == 0));
    let silent: Vec<TcpStream> = (0..1_000).filter_map(|_| TcpStream::connect(&job.address).ok()).collect();
    assert!(silent.len() > 900, "{}", silent.len());
    for _ in 0..10 {
        assert_eq!(get(&job.address, "/api/millstream/v1/job", &[]).expect("it answers").0, 200);
    }
    drop(silent);
    job.stopped();
}

/// Pages that never read what they are sent do not keep the job from its batches, nor others from their page.
#[test]
fn pages_that_do_not_read_make_nobody_wait() {
    let job = Job::counting();
    let own = format!("Host: {}", job.address);
    let deaf: Vec<TcpStream> = (0..64)
        .map(|_| {
            let mut connection = TcpStream::connect(&job.address).expect("the page listens");
            connection.write_all(&asks("/api/millstream/v1/events", &[&own])).expect("the page reads");
            connection
        })
        .collect();
    let done = |view: &serde_json::Value| view["status"]["batches_completed"].as_u64().unwrap_or_default();
    let before = done(&job.json("/api/millstream/v1/job"));
    job.json_when("/api/millstream/v1/job", |view| done(view) > before + 20);
    drop(deaf);
    job.stopped();
}
