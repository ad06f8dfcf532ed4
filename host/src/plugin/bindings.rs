//! The Rust code that is generated from `wit/`. Nothing else belongs in this file.

wasmtime::component::bindgen!({
    path: "../wit",
    world: "plugin",
    imports: {
        "millstream:plugin/data-sets.run": async | trappable,
        "millstream:plugin/replays.next": async | trappable,
        default: trappable,
    },
});
