//! A small WASI for tasks: deterministic, without effects, never blocking.
//!
//! Owns what a component of `std` finds there: clocks that stand at the batch time, random numbers that follow from the
//! task, standard output that goes to the log, an empty environment and no files. Everything else that a component may
//! import from WASI 0.2 traps when it is called, sleeping and polling included. Nothing of another namespace is linked.

use super::instance::TaskState;
use super::load::LoadError;
use wasmtime::component::{Component, Linker, Resource, ResourceType};

/// The version that is named in the linker; it serves every 0.2.x.
const VERSION: &str = "0.2.0";

/// An output stream. What is written to it becomes log lines.
pub(super) struct OutputStream;
/// An input stream. It is at its end.
pub(super) struct InputStream;
/// An error of a stream. There is none.
pub(super) struct StreamFailure;

#[derive(wasmtime::component::ComponentType, wasmtime::component::Lift, wasmtime::component::Lower)]
#[component(variant)]
enum StreamError {
    #[component(name = "last-operation-failed")]
    LastOperationFailed(Resource<StreamFailure>),
    #[component(name = "closed")]
    Closed,
}

#[derive(wasmtime::component::ComponentType, wasmtime::component::Lower)]
#[component(record)]
struct Datetime {
    seconds: u64,
    nanoseconds: u32,
}

/// Defines WASI for tasks, and traps for the rest of what `component` imports from it.
pub(super) fn add_to_linker(linker: &mut Linker<TaskState>, component: &Component) -> Result<(), LoadError> {
    define(linker).map_err(LoadError::Engine)?;
    linker.define_unknown_imports_as_traps(component).map_err(LoadError::Engine)
}

fn define(linker: &mut Linker<TaskState>) -> wasmtime::Result<()> {
    let name = |interface: &str| format!("wasi:{interface}@{VERSION}");

    let mut error = linker.instance(&name("io/error"))?;
    error.resource("error", ResourceType::host::<StreamFailure>(), |_, _| Ok(()))?;

    let mut streams = linker.instance(&name("io/streams"))?;
    streams.resource("output-stream", ResourceType::host::<OutputStream>(), |_, _| Ok(()))?;
    streams.resource("input-stream", ResourceType::host::<InputStream>(), |_, _| Ok(()))?;
    streams.func_wrap("[method]output-stream.check-write", |_, (_,): (Resource<OutputStream>,)| {
        Ok((Ok::<u64, StreamError>(4096),))
    })?;
    for method in ["write", "blocking-write-and-flush"] {
        streams.func_wrap(
            &format!("[method]output-stream.{method}"),
            |mut store, (_, bytes): (Resource<OutputStream>, Vec<u8>)| {
                store.data_mut().standard_output(&bytes);
                Ok((Ok::<(), StreamError>(()),))
            },
        )?;
    }
    for method in ["flush", "blocking-flush"] {
        streams.func_wrap(&format!("[method]output-stream.{method}"), |_, (_,): (Resource<OutputStream>,)| {
            Ok((Ok::<(), StreamError>(()),))
        })?;
    }
    for method in ["read", "blocking-read"] {
        streams.func_wrap(&format!("[method]input-stream.{method}"), |_, (_, _): (Resource<InputStream>, u64)| {
            Ok((Err::<Vec<u8>, StreamError>(StreamError::Closed),))
        })?;
    }

    for stream in ["stdout", "stderr"] {
        linker
            .instance(&name(&format!("cli/{stream}")))?
            .func_wrap(&format!("get-{stream}"), |_, (): ()| Ok((Resource::<OutputStream>::new_own(1),)))?;
    }
    linker
        .instance(&name("cli/stdin"))?
        .func_wrap("get-stdin", |_, (): ()| Ok((Resource::<InputStream>::new_own(1),)))?;
    let mut environment = linker.instance(&name("cli/environment"))?;
    environment.func_wrap("get-environment", |_, (): ()| Ok((Vec::<(String, String)>::new(),)))?;
    environment.func_wrap("get-arguments", |_, (): ()| Ok((Vec::<String>::new(),)))?;
    environment.func_wrap("initial-cwd", |_, (): ()| Ok((None::<String>,)))?;

    linker
        .instance(&name("clocks/monotonic-clock"))?
        .func_wrap("now", |store, (): ()| Ok((store.data().batch_ms().saturating_mul(1_000_000),)))?;
    linker.instance(&name("clocks/wall-clock"))?.func_wrap("now", |store, (): ()| {
        let ms = store.data().batch_ms();
        let nanoseconds = u32::try_from(ms % 1000).unwrap_or(0) * 1_000_000;
        Ok((Datetime { seconds: ms / 1000, nanoseconds },))
    })?;

    let mut random = linker.instance(&name("random/random"))?;
    random.func_wrap("get-random-u64", |mut store, (): ()| Ok((store.data_mut().random_u64(),)))?;
    random.func_wrap("get-random-bytes", |mut store, (count,): (u64,)| Ok((store.data_mut().random_bytes(count)?,)))?;
    linker.instance(&name("random/insecure-seed"))?.func_wrap("insecure-seed", |mut store, (): ()| {
        let state = store.data_mut();
        Ok(((state.random_u64(), state.random_u64()),))
    })?;
    Ok(())
}
