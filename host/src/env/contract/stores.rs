//! [`Store`](super::super::Store): named pieces on a disk and behind a network, in both worlds, from every executor.

use super::super::{DiskStore, Store};
use super::{World, in_each_world, on};
use std::io;
use std::sync::Arc;

/// The stores of a world: one in a directory, and one behind a network.
fn stores(world: &World, name: &str) -> Vec<(&'static str, Arc<dyn Store>)> {
    let on_disk = DiskStore::new(world.env.disk.clone(), world.root.join("store").join(name));
    vec![("on disk", Arc::new(on_disk)), ("behind a network", world.store.clone())]
}

/// Performs the same steps on a store, and returns the results of all of them.
fn steps(store: &dyn Store) -> Vec<String> {
    let mut seen = Vec::new();
    let mut see = |what: &str, outcome: io::Result<String>| {
        seen.push(format!("{what}: {:?}", outcome.map_err(|error| error.kind())));
    };
    let names = |directory: &str| {
        let pieces = store.list(directory)?;
        let names: Vec<String> = pieces.into_iter().map(|piece| format!("{} {}", piece.name, piece.bytes)).collect();
        io::Result::Ok(names.join(", "))
    };
    let done = |outcome: io::Result<()>| outcome.map(|()| "done".to_owned());
    let text = |bytes: io::Result<Vec<u8>>| bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    see("list nothing", names("x"));
    see("directories of nothing", store.directories("x").map(|names| names.join(", ")));
    see("read nothing", text(store.read("x/one", 9)));
    see("remove nothing", done(store.remove("x/one")));
    see("put", done(store.put("x/one", b"1")));
    see("put again", done(store.put("x/one", b"22")));
    see("read", text(store.read("x/one", 2)));
    see("read too much", text(store.read("x/one", 1)));
    see("create", done(store.create("x/two", b"2")));
    see("create another", done(store.create("x/two", b"3")));
    see("read what was created", text(store.read("x/two", 9)));
    see("put nothing", done(store.put("x/empty", b"")));
    see("list", names("x"));
    see("put below", done(store.put("x/below/three", b"333")));
    see("directories", store.directories("x").map(|names| names.join(", ")));
    see("list what is above", names("x"));
    see("read a directory", text(store.read("x/below", 9)));
    match store.appender("log/1") {
        Err(error) => see("append", Err(error)),
        Ok(mut appender) => {
            for bytes in ["a", "bc", "d"] {
                see("append", done(appender.append(bytes.as_bytes())));
            }
        }
    }
    see("read what grew", text(store.read("log/1", 4)));
    see("read too much of it", text(store.read("log/1", 3)));
    see("list it", names("log"));
    let again = store.appender("log/1").and_then(|mut appender| appender.append(b"e"));
    see("begin it anew", done(again));
    see("read it", text(store.read("log/1", 4)));
    see("remove it", done(store.remove("log/1")));
    see("list nothing again", names("log"));
    see("remove", done(store.remove("x/two")));
    see("list the rest", names("x"));
    seen
}

#[test]
fn all_stores_do_the_same_on_every_executor() {
    let expected = Arc::new(std::sync::Mutex::new(None));
    in_each_world(move |world| {
        let expected = expected.clone();
        async move {
            for (name, executor) in world.executors() {
                for (kind, store) in stores(&world, name) {
                    let steps = {
                        let store = store.clone();
                        on(&*executor, async move {
                            let steps = steps(&*store);
                            for left in ["x/one", "x/empty", "x/below/three"] {
                                store.remove(left).unwrap();
                            }
                            steps
                        })
                    };
                    let steps = steps.await.expect("the executor runs it");
                    let first = expected.lock().unwrap().get_or_insert_with(|| steps.clone()).clone();
                    assert_eq!(steps, first, "{kind}, {name}");
                    assert!(steps.contains(&"create another: Err(AlreadyExists)".to_owned()), "{steps:#?}");
                }
            }
        }
    });
}

#[test]
fn a_lock_is_held_by_one_or_not_to_be_had() {
    in_each_world(async |world| {
        for (kind, store) in stores(&world, "locks") {
            match store.lock("owner/lock") {
                Ok(first) => {
                    assert!(first.is_some(), "{kind}");
                    assert!(store.lock("owner/lock").unwrap().is_none(), "{kind}");
                    drop(first);
                    assert!(store.lock("owner/lock").unwrap().is_some(), "{kind}");
                }
                Err(error) => assert_eq!(error.kind(), io::ErrorKind::Unsupported, "{kind}"),
            }
        }
    });
}

/// The bytes of such a file cannot be read any more, so they do not count as stored.
#[test]
fn a_file_that_is_removed_while_it_grows_is_an_error() {
    in_each_world(async |world| {
        let (_, store) = stores(&world, "removed").remove(0);
        let mut appender = store.appender("log/1").unwrap();
        appender.append(b"a").unwrap();
        store.remove("log/1").unwrap();
        let error = appender.append(b"b").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        assert!(error.to_string().ends_with("/log/1 was removed"), "{error}");
    });
}
