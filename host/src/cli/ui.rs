//! `host ui`: the page of a job after the job has ended, from its checkpoint directory.

use super::job::{SetArgs, start_threads};
use super::place::Place;
use super::print;
use crate::config::UiSettings;
use crate::env::{hear_stop_signals, real};
use crate::error::{Error, ErrorKind};
use crate::ui::{Monitor, Ui, UiParts};
use clap::Args;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use tokio::sync::Notify;

/// The arguments of `host ui`.
#[derive(Args)]
pub struct UiArgs {
    /// The checkpoint directory, or the file of a job that has one. The job ran with --ui or with ui.address.
    #[arg(value_name = "DIR")]
    place: PathBuf,
    /// The address of this machine at which the page is served. Port 0 stands for any free port.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0", value_parser = parse_address)]
    address: SocketAddr,
}

fn parse_address(text: &str) -> Result<SocketAddr, String> {
    let address: SocketAddr = text.parse().map_err(|_| "it is no IP address and port".to_owned())?;
    if !address.ip().is_loopback() {
        return Err("it is not an address of this machine alone, as 127.0.0.1:4040 is".to_owned());
    }
    Ok(address)
}

/// Serves the page until a signal ends it. Prints where.
pub fn ui(args: &UiArgs) -> Result<ExitCode, Error> {
    let executors = start_threads(1)?;
    let env = real(&executors);
    let none = SetArgs { overrides: Vec::new() };
    let store = Place::find(&args.place, &none, &env)?.checkpoint(&env)?;
    let (monitor, saved) = Monitor::of_ended(&*store)?;
    let settings = UiSettings { address: Some(args.address), ..UiSettings::default() };
    let given = (store.describe(), BTreeMap::new());
    let parts = UiParts { settings, given, monitor, saved: Some(saved), status: None, graph: None, stop: None };
    let ended = Arc::new(Notify::new());
    let hears = ended.clone();
    hear_stop_signals(move || hears.notify_one())
        .map_err(|error| Error::new(ErrorKind::Unavailable, format!("cannot listen to signals: {error}")))?;
    let served: Result<ExitCode, Error> = executors.block_on(async {
        let page = Ui::start(&env, parts).await?;
        let code = print(&format!("{}\n", page.url()))?;
        ended.notified().await;
        Ok(code)
    });
    executors.shutdown();
    served
}
