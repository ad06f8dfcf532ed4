//! The Rust code that is generated from `wit/`. Nothing else belongs in this file.

wit_bindgen::generate!({
    path: "../../wit",
    world: "plugin",
    pub_export_macro: true,
    export_macro_name: "export_plugin",
    default_bindings_module: "millstream::bindings",
    runtime_path: "::millstream::wit_bindgen::rt",
    generate_all,
});
