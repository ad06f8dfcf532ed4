//! What `wit/` becomes in Rust. Nothing else belongs here.

wit_bindgen::generate!({
    path: "../../wit",
    world: "plugin",
    pub_export_macro: true,
    export_macro_name: "export_plugin",
    default_bindings_module: "millstream::bindings",
    runtime_path: "::millstream::wit_bindgen::rt",
    generate_all,
});
