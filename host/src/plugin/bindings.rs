//! What `wit/` becomes in Rust. Nothing else belongs here.

wasmtime::component::bindgen!({
    path: "../wit",
    world: "plugin",
    imports: { default: trappable },
});
