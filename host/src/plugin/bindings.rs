//! What `wit/` becomes in Rust. Nothing else belongs here.

wasmtime::component::bindgen!({
    path: "../wit",
    world: "plugin",
    imports: {
        "millstream:plugin/data-sets.run": async | trappable,
        "millstream:plugin/replays.next": async | trappable,
        default: trappable,
    },
});
