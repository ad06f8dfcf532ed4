//! The store over objects in memory, and a client whose server does not work.

use super::*;
use object_store::memory::InMemory;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::thread;

fn on(objects: &Arc<InMemory>) -> S3Store {
    below(objects.clone(), "a/b")
}

fn below(store: Arc<dyn ObjectStore>, prefix: &str) -> S3Store {
    let client = Client::new(store, Arc::new(Requests::start().unwrap()), Path::from(prefix));
    S3Store::new(client, &format!("s3://bucket/{prefix}"))
}

fn store() -> S3Store {
    on(&Arc::new(InMemory::new()))
}

/// The real client, with objects in memory behind it: for checkpoints, and for outputs.
pub(in crate::env) fn in_memory() -> (Arc<dyn Store>, Arc<dyn Objects>) {
    let (objects, requests) = (Arc::new(InMemory::new()), Arc::new(Requests::start().unwrap()));
    let outputs = S3Objects::new(Client::new(objects.clone(), requests, Path::from("outputs")));
    (Arc::new(on(&objects)), Arc::new(outputs))
}

fn names(store: &S3Store, directory: &str) -> Vec<(String, u64)> {
    store.list(directory).unwrap().into_iter().map(|piece| (piece.name, piece.bytes)).collect()
}

#[test]
fn pieces_are_put_listed_read_and_removed() {
    let store = store();
    assert_eq!((names(&store, "x"), store.directories("").unwrap()), (Vec::new(), Vec::<String>::new()));
    store.put("x/two", b"22").unwrap();
    store.put("x/one", b"first").unwrap();
    store.put("x/one", b"1").unwrap();
    store.put("x/below/three", b"333").unwrap();
    assert_eq!(names(&store, "x"), [("one".to_owned(), 1), ("two".to_owned(), 2)]);
    assert_eq!(
        (store.directories("").unwrap(), store.directories("x").unwrap()),
        (vec!["x".into()], vec!["below".into()])
    );
    assert_eq!(store.read("x/one", 1).unwrap(), b"1");
    assert_eq!(store.read("x/two", 1).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
    assert_eq!(store.read("x/below", 1).unwrap_err().kind(), io::ErrorKind::NotFound);
    store.remove("x/one").unwrap();
    store.remove("x/one").unwrap();
    assert_eq!(names(&store, "x"), [("two".to_owned(), 2)]);
    assert_eq!(store.lock("x").map(drop).unwrap_err().kind(), io::ErrorKind::Unsupported);
}

/// Stores with other prefixes do not affect each other, even if names are the same.
#[test]
fn a_store_sees_nothing_beside_its_prefix() {
    let objects = Arc::new(InMemory::new());
    let other = below(objects.clone(), "a/bc");
    other.put("x/one", b"1").unwrap();
    let store = on(&objects);
    assert_eq!((names(&store, "x"), store.directories("").unwrap()), (Vec::new(), Vec::<String>::new()));
    assert_eq!(store.read("x/one", 1).unwrap_err().kind(), io::ErrorKind::NotFound);
}

#[test]
fn a_piece_that_grows_is_one_piece() {
    let store = store();
    let mut appender = store.appender("log/1").unwrap();
    for text in ["a", "bc", "", "d"] {
        appender.append(text.as_bytes()).unwrap();
    }
    assert_eq!(store.read("log/1", 4).unwrap(), b"abcd");
    assert_eq!(store.read("log/1", 3).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
    assert_eq!((names(&store, "log"), store.directories("log").unwrap()), (vec![("1".to_owned(), 4)], Vec::new()));
    assert!(!appender.is_long());
    // Another piece of that name begins empty.
    let mut again = store.appender("log/1").unwrap();
    again.append(b"e").unwrap();
    assert_eq!(store.read("log/1", 4).unwrap(), b"e");
    store.remove("log/1").unwrap();
    assert_eq!(
        (names(&store, "log"), store.read("log/1", 4).unwrap_err().kind()),
        (Vec::new(), io::ErrorKind::NotFound)
    );
}

#[test]
fn a_piece_of_many_objects_is_long_and_read_in_order() {
    let store = store();
    let mut appender = store.appender("log").unwrap();
    let mut expected = Vec::new();
    for number in 0..PIECES_MAX {
        assert!(!appender.is_long());
        appender.append(&number.to_be_bytes()).unwrap();
        expected.extend(number.to_be_bytes());
    }
    assert!(appender.is_long());
    assert_eq!(store.read("log", u64::MAX).unwrap(), expected);
}

/// A lost object is damage, and not the end of the piece.
#[test]
fn a_piece_with_a_hole_is_no_piece() {
    let store = store();
    let mut appender = store.appender("log").unwrap();
    (0..3).for_each(|_| appender.append(b"a").unwrap());
    store.remove("log.pieces/000001").unwrap();
    let error = store.read("log", 10).unwrap_err();
    assert_eq!(
        (error.kind(), error.to_string()),
        (io::ErrorKind::InvalidData, "not all objects below a/b/log.pieces are there".into())
    );
}

#[test]
fn of_hosts_that_create_a_piece_one_succeeds() {
    let objects = Arc::new(InMemory::new());
    let racers: Vec<_> = (0..8u8)
        .map(|racer| {
            let store = on(&objects);
            thread::spawn(move || store.create("owner/1", &[racer]).map_err(|error| error.kind()))
        })
        .collect();
    let outcomes: Vec<_> = racers.into_iter().map(|racer| racer.join().unwrap()).collect();
    let winners: Vec<usize> = (0..8).filter(|racer| outcomes[*racer].is_ok()).collect();
    assert_eq!(winners.len(), 1, "{outcomes:?}");
    let refused = outcomes.iter().filter(|outcome| **outcome == Err(io::ErrorKind::AlreadyExists)).count();
    assert_eq!(refused, 7, "{outcomes:?}");
    assert_eq!(on(&objects).read("owner/1", 1).unwrap(), [winners[0] as u8]);
    // The answer to the first request was lost, and the request is sent again.
    assert!(on(&objects).create("owner/1", &[winners[0] as u8]).is_ok());
}

/// A client that knows only this server.
fn client(address: SocketAddr) -> S3Store {
    let patience = Patience {
        connect: Duration::from_millis(200),
        request: Duration::from_millis(200),
        retries: 1,
        retry: Duration::from_millis(100),
    };
    let endpoint = format!("http://{address}");
    let variable = |name: &str| {
        let value = match name {
            "AWS_ACCESS_KEY_ID" | "AWS_SECRET_ACCESS_KEY" => "secret",
            "AWS_ENDPOINT_URL" => &endpoint,
            "AWS_ALLOW_HTTP" => "true",
            _ => return None,
        };
        Some(value.to_owned())
    };
    let objects = connect("bucket", patience, variable).unwrap();
    below(Arc::new(objects), "a/b")
}

/// The errors of all operations.
fn errors(store: &S3Store) -> Vec<io::Error> {
    vec![
        store.read("x", 1).unwrap_err(),
        store.list("x").unwrap_err(),
        store.directories("x").unwrap_err(),
        store.put("x", b"1").unwrap_err(),
        store.create("x", b"1").unwrap_err(),
        store.appender("x").map(drop).unwrap_err(),
        store.remove("x").unwrap_err(),
    ]
}

#[test]
fn without_a_server_everything_is_an_error() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for error in errors(&client(address)) {
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused, "{error}");
        assert!(error.to_string().starts_with(&format!("http://{address} says: Connection refused")), "{error}");
    }
}

/// A server accepts connections and never answers. The error comes when the time limit of the request ends.
#[test]
fn a_server_that_says_nothing_is_an_error() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    for error in errors(&client(listener.local_addr().unwrap())) {
        assert!(error.to_string().contains("timed out"), "{error}");
    }
}

/// A server without the bucket is not an empty store.
#[test]
fn a_missing_bucket_is_an_error() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for connection in listener.incoming() {
            let mut connection = connection.unwrap();
            let mut request = [0; 4096];
            let _ = connection.read(&mut request);
            let body = "<?xml version=\"1.0\"?>\n<Error><Code>NoSuchBucket</Code>\n<Message>There is no such bucket.</Message></Error>";
            let head = format!("HTTP/1.1 404 Not Found\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", body.len());
            let _ = connection.write_all((head + body).as_bytes());
        }
    });
    for error in errors(&client(address)) {
        assert_eq!(error.kind(), io::ErrorKind::Other);
        assert_eq!(error.to_string(), format!("http://{address} says: There is no such bucket (NoSuchBucket)"));
    }
}

#[test]
fn a_url_names_a_bucket_and_a_prefix() {
    let parts =
        |url: &str| split(url).map(|(bucket, prefix)| (bucket, prefix.to_string())).map_err(|error| error.to_string());
    assert_eq!(parts("s3://b"), Ok(("b".to_owned(), String::new())));
    assert_eq!(parts("s3://b/"), Ok(("b".to_owned(), String::new())));
    assert_eq!(parts("s3://b/c/d/"), Ok(("b".to_owned(), "c/d".to_owned())));
    for wrong in ["", "b", "s3:", "s3://", "s3:///c", "gs://b/c", "/s3://b/c", "s3://b/c//d", "s3://b/../d"] {
        assert!(parts(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn what_the_environment_lacks_is_named() {
    let with = |given: &'static [(&'static str, &'static str)]| {
        let variable =
            move |name: &str| given.iter().find(|(given, _)| *given == name).map(|(_, value)| (*value).to_owned());
        connect("bucket", PATIENCE, variable).map(drop).map_err(|error| error.to_string())
    };
    let missing = |name: &str| Err(format!("{name} is not set"));
    assert_eq!(with(&[]), missing("AWS_ACCESS_KEY_ID"));
    assert_eq!(with(&[("AWS_ACCESS_KEY_ID", "a")]), missing("AWS_SECRET_ACCESS_KEY"));
    assert_eq!(with(&[("AWS_ACCESS_KEY_ID", "a"), ("AWS_SECRET_ACCESS_KEY", "b")]), missing("AWS_REGION"));
    assert_eq!(
        with(&[("AWS_ACCESS_KEY_ID", "a"), ("AWS_SECRET_ACCESS_KEY", "b"), ("AWS_REGION", "eu-west-1")]),
        Ok(())
    );
    let unsafe_endpoint =
        &[("AWS_ACCESS_KEY_ID", "a"), ("AWS_SECRET_ACCESS_KEY", "b"), ("AWS_ENDPOINT_URL", "http://h:9000")];
    let refused = "AWS_ENDPOINT_URL is http://h:9000, which is not encrypted, and AWS_ALLOW_HTTP is not true";
    assert_eq!(with(unsafe_endpoint), Err(refused.to_owned()));
}
