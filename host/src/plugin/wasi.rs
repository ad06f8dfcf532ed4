//! A small WASI for tasks: deterministic, without effects, never blocking.
//!
//! Owns the WASI that a component built with `std` gets. Clocks show the batch time, random numbers follow from the
//! task, standard output goes to the log, the environment is empty, and there are no files. All other functions of WASI
//! 0.2 trap when they are called, sleeping included. What a plugin asks for in vain is noted, for the message if the plugin
//! fails. No functions of other namespaces are linked.

use super::load_error::LoadError;
use super::log::Output;
use super::off_limits::OffLimits;
use super::state::TaskState;
use wasmtime::component::types::{self, ComponentItem};
use wasmtime::component::{Component, Linker, LinkerInstance, Resource, ResourceType};

/// The handle of a stream or of a stream's error. A handle holds only a number, which distinguishes standard error from
/// other streams. Handles have the same type as the resources of interfaces that trap.
type Handle = Resource<()>;

/// The number that stands for standard error.
const STDERR: u32 = 1;

#[derive(wasmtime::component::ComponentType, wasmtime::component::Lift, wasmtime::component::Lower)]
#[component(variant)]
enum StreamError {
    #[component(name = "last-operation-failed")]
    LastOperationFailed(Handle),
    #[component(name = "closed")]
    Closed,
}

#[derive(wasmtime::component::ComponentType, wasmtime::component::Lower)]
#[component(record)]
struct Datetime {
    seconds: u64,
    nanoseconds: u32,
}

type Instance<'a> = LinkerInstance<'a, TaskState>;
type Define = fn(&mut Instance<'_>) -> wasmtime::Result<()>;

/// The interfaces that are implemented.
const INTERFACES: [(&str, Define); 9] = [
    ("io/streams", streams),
    // Only streams give pollables, and they are always ready. Clocks trap instead of giving a pollable, so nothing ever
    // waits.
    ("io/poll", |instance| {
        instance.func_wrap("[method]pollable.ready", |_, (_,): (Handle,)| Ok((true,)))?;
        instance.func_wrap("[method]pollable.block", |_, (_,): (Handle,)| Ok(()))
    }),
    ("cli/stdin", |instance| {
        instance.resource("input-stream", ResourceType::host::<()>(), |_, _| Ok(()))?;
        instance.func_wrap("get-stdin", |_, (): ()| Ok((Handle::new_own(0),)))
    }),
    ("cli/stdout", |instance| {
        instance.resource("output-stream", ResourceType::host::<()>(), |_, _| Ok(()))?;
        instance.func_wrap("get-stdout", |_, (): ()| Ok((Handle::new_own(0),)))
    }),
    ("cli/stderr", |instance| {
        instance.resource("output-stream", ResourceType::host::<()>(), |_, _| Ok(()))?;
        instance.func_wrap("get-stderr", |_, (): ()| Ok((Handle::new_own(STDERR),)))
    }),
    ("cli/environment", |instance| {
        // Not noted: the C library may ask for the environment when a plugin begins, whatever the plugin does.
        instance.func_wrap("get-environment", |_, (): ()| Ok((Vec::<(String, String)>::new(),)))?;
        instance.func_wrap("get-arguments", |mut store, (): ()| {
            store.data_mut().off_limits = Some(OffLimits::Environment);
            Ok((Vec::<String>::new(),))
        })?;
        instance.func_wrap("initial-cwd", |_, (): ()| Ok((None::<String>,)))
    }),
    ("filesystem/preopens", |instance| {
        instance.resource("descriptor", ResourceType::host::<()>(), |_, _| Ok(()))?;
        instance.func_wrap("get-directories", |mut store, (): ()| {
            store.data_mut().off_limits = Some(OffLimits::Files);
            Ok((Vec::<(Handle, String)>::new(),))
        })
    }),
    ("clocks/monotonic-clock", |instance| {
        instance.func_wrap("now", |store, (): ()| Ok((store.data().batch_ms().saturating_mul(1_000_000),)))
    }),
    ("clocks/wall-clock", |instance| {
        instance.func_wrap("now", |store, (): ()| {
            let ms = store.data().batch_ms();
            let nanoseconds = u32::try_from(ms % 1000).unwrap_or(0) * 1_000_000;
            Ok((Datetime { seconds: ms / 1000, nanoseconds },))
        })
    }),
];

/// The interfaces of random numbers.
const RANDOM: [(&str, Define); 3] = [
    ("random/random", |instance| {
        instance.func_wrap("get-random-u64", |mut store, (): ()| Ok((store.data_mut().random_u64(),)))?;
        instance
            .func_wrap("get-random-bytes", |mut store, (count,): (u64,)| Ok((store.data_mut().random_bytes(count)?,)))
    }),
    ("random/insecure", |instance| {
        instance.func_wrap("get-insecure-random-u64", |mut store, (): ()| Ok((store.data_mut().random_u64(),)))?;
        instance.func_wrap("get-insecure-random-bytes", |mut store, (count,): (u64,)| {
            Ok((store.data_mut().random_bytes(count)?,))
        })
    }),
    ("random/insecure-seed", |instance| {
        instance.func_wrap("insecure-seed", |mut store, (): ()| {
            let state = store.data_mut();
            Ok(((state.random_u64(), state.random_u64()),))
        })
    }),
];

fn streams(instance: &mut Instance<'_>) -> wasmtime::Result<()> {
    for resource in ["output-stream", "input-stream", "error"] {
        instance.resource(resource, ResourceType::host::<()>(), |_, _| Ok(()))?;
    }
    instance
        .func_wrap("[method]output-stream.check-write", |_, (_,): (Handle,)| Ok((Ok::<u64, StreamError>(4096),)))?;
    for method in ["write", "blocking-write-and-flush"] {
        instance.func_wrap(
            &format!("[method]output-stream.{method}"),
            |mut store, (stream, bytes): (Handle, Vec<u8>)| {
                let output = if stream.rep() == STDERR { Output::Error } else { Output::Standard };
                store.data_mut().standard_output(output, &bytes);
                Ok((Ok::<(), StreamError>(()),))
            },
        )?;
    }
    for stream in ["output-stream", "input-stream"] {
        instance.func_wrap(&format!("[method]{stream}.subscribe"), |_, (_,): (Handle,)| Ok((Handle::new_own(0),)))?;
    }
    for method in ["flush", "blocking-flush"] {
        instance.func_wrap(&format!("[method]output-stream.{method}"), |_, (_,): (Handle,)| {
            Ok((Ok::<(), StreamError>(()),))
        })?;
    }
    for method in ["read", "blocking-read"] {
        instance.func_wrap(&format!("[method]input-stream.{method}"), |_, (_, _): (Handle, u64)| {
            Ok((Err::<Vec<u8>, StreamError>(StreamError::Closed),))
        })?;
    }
    Ok(())
}

/// Defines WASI for tasks, and defines traps for the other WASI functions that `component` imports.
///
/// Each interface is defined under the exact name, with version, by which the component imports it. The linker would
/// accept any version 0.2.x for it, but a trap that is defined for the exact version would be preferred. A component
/// may import several versions of an interface.
pub(super) fn add_to_linker(linker: &mut Linker<TaskState>, component: &Component) -> Result<(), LoadError> {
    let ty = component.component_type();
    for (imported, item) in ty.imports(component.engine()) {
        let Some(wasi) = imported.strip_prefix("wasi:") else { continue };
        if let ComponentItem::ComponentInstance(interface) = item.ty {
            trap_all(linker, imported, &interface, component, "here").map_err(LoadError::Engine)?;
        }
        let name = wasi.split('@').next();
        let defined = INTERFACES.iter().chain(&RANDOM).find(|(interface, _)| name == Some(interface));
        if let Some((_, define)) = defined {
            linker.allow_shadowing(true);
            let outcome = linker.instance(imported).and_then(|mut instance| define(&mut instance));
            linker.allow_shadowing(false);
            outcome.map_err(LoadError::Engine)?;
        }
    }
    Ok(())
}

/// Defines traps for the interfaces of `package` that only driver functions may call.
pub(super) fn trap_imports(
    linker: &mut Linker<TaskState>,
    component: &Component,
    package: &str,
) -> Result<(), LoadError> {
    for (imported, item) in component.component_type().imports(component.engine()) {
        let interface = imported.strip_prefix(package).and_then(|rest| rest.strip_prefix('/'));
        let name = interface.and_then(|interface| interface.split('@').next());
        if let (Some("data-sets" | "files" | "topics" | "replays"), ComponentItem::ComponentInstance(interface)) =
            (name, item.ty)
        {
            let place = "here: only in a driver function";
            trap_all(linker, imported, &interface, component, place).map_err(LoadError::Engine)?;
        }
    }
    Ok(())
}

/// Defines every function of an interface as a trap whose message names the function.
fn trap_all(
    linker: &mut Linker<TaskState>,
    imported: &str,
    interface: &types::ComponentInstance,
    component: &Component,
    place: &str,
) -> wasmtime::Result<()> {
    let mut instance = linker.instance(imported)?;
    let wasi = imported.strip_prefix("wasi:").and_then(|name| name.split('@').next());
    let off_limits = wasi.and_then(OffLimits::of_interface);
    for (name, item) in interface.exports(component.engine()) {
        match item.ty {
            ComponentItem::ComponentFunc(_) => {
                let message = format!("{imported} {name} is not available {place}");
                instance.func_new(name, move |mut store, _, _, _| {
                    store.data_mut().off_limits = off_limits;
                    Err(wasmtime::Error::msg(message.clone()))
                })?;
            }
            ComponentItem::Resource(_) => instance.resource(name, ResourceType::host::<()>(), |_, _| Ok(()))?,
            _ => {}
        }
    }
    Ok(())
}
