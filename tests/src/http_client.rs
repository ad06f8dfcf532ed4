//! A client that sends requests to the receiver of type `http` and to the page of a job, over any connection.

use std::io::{self, Read, Write};
use std::net::TcpStream;

/// The bytes of a request after which the connection closes. `head` are lines of its head.
pub fn request(path: &str, head: &[&str], body: &str) -> Vec<u8> {
    let lines: String = head.iter().map(|line| format!("{line}\r\n")).collect();
    let length = body.len();
    format!("POST {path} HTTP/1.1\r\nHost: host\r\nConnection: close\r\nContent-Length: {length}\r\n{lines}\r\n{body}")
        .into_bytes()
}

/// The bytes of a request for what is at a path, after which the connection closes. `head` are lines of its head.
pub fn asks(path: &str, head: &[&str]) -> Vec<u8> {
    let lines: String = head.iter().map(|line| format!("{line}\r\n")).collect();
    format!("GET {path} HTTP/1.1\r\nConnection: close\r\n{lines}\r\n").into_bytes()
}

/// Asks a host of this machine for what is at a path, as a program of this machine does.
///
/// # Errors
/// Returns an error if the connection breaks.
pub fn get(address: &str, path: &str, head: &[&str]) -> io::Result<(u16, String)> {
    let host = format!("Host: {address}");
    exchange(&mut TcpStream::connect(address)?, &asks(path, &[&[host.as_str()], head].concat()))
}

/// The status and the body of an answer. The status is 0 if the answer has none.
pub fn parsed(answer: &str) -> (u16, String) {
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default();
    (status, answer.split_once("\r\n\r\n").unwrap_or_default().1.to_owned())
}

/// Sends a request on a connection, and waits for the answer.
///
/// # Errors
/// Returns an error if the connection breaks.
pub fn exchange(connection: &mut (impl Read + Write), request: &[u8]) -> io::Result<(u16, String)> {
    connection.write_all(request)?;
    let mut answer = String::new();
    connection.read_to_string(&mut answer)?;
    Ok(parsed(&answer))
}

/// Sends a request to a host of this machine, and waits for the answer.
///
/// # Errors
/// Returns an error if the connection breaks.
pub fn post(address: &str, path: &str, head: &[&str], body: &str) -> io::Result<(u16, String)> {
    exchange(&mut TcpStream::connect(address)?, &request(path, head, body))
}
