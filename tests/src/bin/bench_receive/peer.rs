//! A job from end to end against a peer that does the same work: lines from a socket, those with a word into files.

use crate::flood::{self, Flood};
use crate::processors::{self, Rate};
use crate::{Options, job};
use millstream_tests::live::LiveHost;
use millstream_tests::numbers::median;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// How long a rate is not measured at the beginning.
const WARM_UP: Duration = Duration::from_millis(1500);
/// The batch interval.
const INTERVAL_MS: u64 = 200;
/// The word: one line in a hundred has it.
const WORD: &str = "77";

/// Measures both, round by round.
///
/// # Errors
/// Returns an error if a host, the peer or a server fails.
pub fn measure(directory: &Path, options: &Options) -> Result<(), String> {
    let Some(peer) = &options.peer else {
        println!("skipped: --peer does not name the program of the peer");
        return Ok(());
    };
    let (mut rates, mut for_each) = (Vec::new(), Vec::new());
    for round in 0..=options.rounds {
        let ours = ours(&directory.join(format!("ours-{round}")), options)?;
        let theirs = theirs(peer, &directory.join(format!("peer-{round}")), options)?;
        if round == 0 {
            continue;
        }
        println!("host {}, peer {}", ours.shown(), theirs.shown());
        rates.push(ours.bytes_per_second / theirs.bytes_per_second);
        for_each.push(ours.for_each() / theirs.for_each());
    }
    println!("host / peer: {:.1} of {rates:.1?}", median(&rates));
    println!("the same for each processor: {:.1} of {for_each:.1?}", median(&for_each));
    Ok(())
}

fn ours(directory: &Path, options: &Options) -> Result<Rate, String> {
    let flood = Flood::start(flood::text(options.line_bytes))?;
    let mut host = LiveHost::start(directory, &job("save", flood.address(), INTERVAL_MS, false)?)?;
    host.wait_for_batches(1)?;
    let process = host.process();
    let (rate, before, after) = flood.rate(WARM_UP, options.seconds, || processors::of_process(process))?;
    host.kill()?;
    Ok(Rate::new(rate, before, after, options.seconds))
}

/// The peer, which ends with this value.
struct Peer(Child);

impl Drop for Peer {
    fn drop(&mut self) {
        // If the peer has ended, there is nothing to end.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn theirs(program: &str, directory: &Path, options: &Options) -> Result<Rate, String> {
    let flood = Flood::start(flood::text(options.line_bytes))?;
    let failed = |error: std::io::Error| format!("cannot start the peer {program}: {error}");
    fs::create_dir_all(directory).map_err(failed)?;
    let config = directory.join("peer.yaml");
    fs::write(&config, configuration(flood.address(), directory)).map_err(failed)?;
    let started = Command::new(program).arg("run").arg(&config).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let peer = Peer(started.map_err(failed)?);
    let process = peer.0.id();
    let (rate, before, after) = flood.rate(WARM_UP, options.seconds, || processors::of_process(process))?;
    drop(peer);
    let saved = fs::metadata(directory.join("saved")).map_or(0, |file| file.len());
    if saved == 0 {
        return Err("the peer has saved nothing".to_owned());
    }
    Ok(Rate::new(rate, before, after, options.seconds))
}

/// What the peer does. Lines come in groups, which is faster for the peer than each line on its own.
fn configuration(address: SocketAddr, directory: &Path) -> String {
    let saved = directory.join("saved");
    format!(
        "http:\n  enabled: false\ninput:\n  socket:\n    network: tcp\n    address: {address:?}\n    scanner:\n      \
         lines: {{}}\npipeline:\n  processors:\n    - mapping: 'root = if !content().contains(\"{WORD}\") \
         {{ deleted() }}'\noutput:\n  file:\n    path: {saved:?}\n    codec: lines\n"
    )
}
