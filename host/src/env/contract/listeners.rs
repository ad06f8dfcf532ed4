//! [`Listener`](super::super::Listener): bytes cross in both directions, and who may listen and connect.

use super::in_each_world;
use std::io;
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

fn any_port() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

#[test]
fn clients_and_listeners_send_each_other_bytes() {
    in_each_world(async |world| {
        let listener = world.env.network.listen(any_port()).await.unwrap();
        let address = listener.address();
        assert_ne!(address.port(), 0);
        let network = world.env.network.clone();
        let asks = async {
            let mut client = network.connect(&address.to_string()).await?;
            client.write_all(b"question").await?;
            client.shutdown().await?;
            let mut answer = String::new();
            client.read_to_string(&mut answer).await?;
            io::Result::Ok(answer)
        };
        let answers = async {
            let mut server = listener.accept().await?;
            let mut question = String::new();
            server.read_to_string(&mut question).await?;
            server.write_all(format!("{question} and answer").as_bytes()).await?;
            io::Result::Ok(())
        };
        let (asked, answered) = tokio::join!(asks, answers);
        answered.unwrap();
        assert_eq!(asked.unwrap(), "question and answer");
    });
}

#[test]
fn an_address_has_one_listener_until_that_listener_is_dropped() {
    in_each_world(async |world| {
        let network = world.env.network.clone();
        let first = network.listen(any_port()).await.unwrap();
        let address = first.address();
        assert_eq!(network.listen(address).await.err().unwrap().kind(), io::ErrorKind::AddrInUse);
        let other = network.listen(any_port()).await.unwrap();
        assert_ne!(other.address(), address);
        drop(first);
        let refused = network.connect(&address.to_string()).await.err().unwrap();
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
        assert_eq!(network.listen(address).await.unwrap().address(), address);
    });
}

/// A connection outlives the listener that accepted it.
#[test]
fn an_accepted_connection_stays_open() {
    in_each_world(async |world| {
        let listener = world.env.network.listen(any_port()).await.unwrap();
        let network = world.env.network.clone();
        let address = listener.address().to_string();
        let (client, server) = tokio::join!(network.connect(&address), listener.accept());
        let (mut client, mut server) = (client.unwrap(), server.unwrap());
        drop(listener);
        client.write_all(b"x").await.unwrap();
        assert_eq!(server.read_u8().await.unwrap(), b'x');
        drop(client);
        assert_eq!(server.read_u8().await.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    });
}
