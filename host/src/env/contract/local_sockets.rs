//! [`LocalSockets`](super::super::LocalSockets): programs of one user find each other by a name in a directory.

use super::{in_each_world, on};
use crate::time::Duration;
use std::io;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

#[test]
fn every_executor_can_listen_connect_and_talk_both_ways() {
    in_each_world(async |world| {
        for (name, executor) in world.executors() {
            for (client_name, client) in world.executors() {
                let (local, root) = (world.env.local.clone(), world.root.clone());
                let listener = local.listen(&root, "job.sock").await.unwrap().unwrap();
                let asks = on(&*client, async move {
                    let mut stream = local.connect(&root, "job.sock").await?;
                    stream.write_all(b"status\n").await?;
                    let mut answer = String::new();
                    stream.read_to_string(&mut answer).await?;
                    io::Result::Ok(answer)
                });
                let answers = on(&*executor, async move {
                    let mut stream = listener.accept().await?;
                    let mut asked = [0; 7];
                    stream.read_exact(&mut asked).await?;
                    stream.write_all(&asked).await?;
                    stream.shutdown().await
                });
                let (asked, answered) = tokio::join!(asks, answers);
                answered.unwrap().unwrap();
                assert_eq!(asked.unwrap().unwrap(), "status\n", "{name} listens, {client_name} connects");
            }
        }
    });
}

#[test]
fn a_name_has_one_listener_at_a_time() {
    in_each_world(async |world| {
        let (local, root) = (&world.env.local, &world.root);
        let first = local.listen(root, "a").await.unwrap();
        assert!(first.is_some());
        assert!(local.listen(root, "a").await.unwrap().is_none(), "it is in use");
        assert!(local.listen(root, "b").await.unwrap().is_some(), "another name is free");
        drop(first);
        assert!(local.listen(root, "a").await.unwrap().is_some(), "it is free again");
        let other = local.listen(root, "c").await.unwrap().unwrap();
        other.close();
        assert_eq!(local.connect(root, "c").await.map(drop).unwrap_err().kind(), io::ErrorKind::NotFound);
    });
}

#[test]
fn a_name_without_a_listener_is_not_found() {
    in_each_world(async |world| {
        let found = world.env.local.connect(&world.root, "nobody").await.map(drop);
        assert_eq!(found.unwrap_err().kind(), io::ErrorKind::NotFound);
        assert!(
            world.env.local.listen(&world.root.join("made"), "a").await.unwrap().is_some(),
            "the directory is made"
        );
        let nowhere = world.root.join("no/where");
        let refused = world.env.local.listen(&nowhere, "a").await.map(drop);
        assert_eq!(refused.unwrap_err().kind(), io::ErrorKind::NotFound);
    });
}

#[test]
fn a_listener_is_waited_for_until_somebody_gives_up() {
    in_each_world(async |world| {
        let listener = world.env.local.listen(&world.root, "a").await.unwrap().unwrap();
        let clock = world.env.clock.clone();
        for _ in 0..2 {
            let gave_up = tokio::select! {
                biased;
                accepted = listener.accept() => panic!("somebody connected: {}", accepted.is_ok()),
                () = clock.sleep_until(clock.now() + Duration::from_millis(2)) => true,
            };
            assert!(gave_up);
        }
        // Futures that gave up must not have taken the next connection.
        let client = world.env.local.connect(&world.root, "a");
        let (client, server) = tokio::join!(client, listener.accept());
        client.unwrap().write_all(b"x").await.unwrap();
        assert_eq!(server.unwrap().read_u8().await.unwrap(), b'x');
    });
}
