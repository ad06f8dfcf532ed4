//! [`Network`](super::super::Network): data that a server sends arrives, and the end of its connection is noticed, on
//! every executor.

use super::{in_each_world, on, sends};
use crate::time::Duration;
use std::io;
use tokio::io::AsyncReadExt as _;

const PAUSE: Duration = Duration::from_millis(2);

#[test]
fn every_executor_can_read_what_a_server_sends() {
    in_each_world(async |world| {
        for (name, executor) in world.executors() {
            let address = world.server(vec![sends(PAUSE, b"one\ntwo\n")]);
            let network = world.env.network.clone();
            let read = on(&*executor, async move {
                let mut stream = network.connect(&address).await?;
                let mut text = String::new();
                stream.read_to_string(&mut text).await?;
                io::Result::Ok(text)
            });
            assert_eq!(read.await.unwrap().unwrap(), "one\ntwo\n", "{name}");
        }
    });
}

#[test]
fn where_nobody_listens_the_connection_is_refused() {
    in_each_world(async |world| {
        for (name, executor) in world.executors() {
            let (network, address) = (world.env.network.clone(), world.closed_port());
            let refused = on(&*executor, async move { network.connect(&address).await.map(drop) }).await.unwrap();
            assert_eq!(refused.unwrap_err().kind(), io::ErrorKind::ConnectionRefused, "{name}");
        }
    });
}

/// A reader waits for a connection that stays open and silent, and the reader can give up.
#[test]
fn a_silent_server_is_waited_for_until_somebody_gives_up() {
    in_each_world(async |world| {
        let mut connection = sends(Duration::ZERO, b"x");
        connection.stays_open = true;
        let address = world.server(vec![connection]);
        let mut stream = world.env.network.connect(&address).await.unwrap();
        assert_eq!(stream.read_u8().await.unwrap(), b'x');
        let clock = world.env.clock.clone();
        let gave_up = tokio::select! {
            biased;
            read = stream.read_u8() => panic!("the server said {read:?}"),
            () = clock.sleep_until(clock.now() + PAUSE) => true,
        };
        assert!(gave_up);
    });
}
