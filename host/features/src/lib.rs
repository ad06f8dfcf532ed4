//! Nothing: this crate only selects features of dependencies. `Cargo.toml` says why.
