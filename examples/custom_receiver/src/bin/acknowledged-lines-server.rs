//! A server for the receiver: sends the lines of a file again and again until they are acknowledged, and then ends.
//!
//! The server breaks its first connection after half of the lines, to show that no line is lost and no line comes
//! twice.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args().nth(1).ok_or("usage: acknowledged-lines-server FILE")?;
    let text = std::fs::read_to_string(path)?;
    let lines: Vec<&str> = text.lines().collect();
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("{}", listener.local_addr()?);
    let mut acknowledged = 0;
    for (count, connection) in listener.incoming().enumerate() {
        let until = if count == 0 { lines.len() / 2 } else { lines.len() };
        match serve(connection?, &lines[..until], acknowledged, count > 0) {
            Ok(last) => acknowledged = last,
            Err(error) => eprintln!("a connection ended: {error}"),
        }
        eprintln!("{acknowledged} of {} lines are acknowledged", lines.len());
        if acknowledged >= lines.len() {
            break;
        }
    }
    Ok(())
}

/// Sends the lines after the first `acknowledged` ones. Returns how many are acknowledged in the end.
fn serve(mut connection: TcpStream, lines: &[&str], acknowledged: usize, is_all: bool) -> std::io::Result<usize> {
    for (at, line) in lines.iter().enumerate().skip(acknowledged) {
        writeln!(connection, "{} {line}", at + 1)?;
    }
    if is_all {
        writeln!(connection, "end")?;
    }
    let mut last = acknowledged;
    for answer in BufReader::new(connection).lines() {
        if let Some(number) = answer?.strip_prefix("ack ") {
            last = number.parse().unwrap_or(last);
        }
        if last >= lines.len() {
            break;
        }
    }
    Ok(last)
}
