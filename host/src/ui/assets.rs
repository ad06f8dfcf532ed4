//! The files of the page, which are part of the program.
//!
//! Owns their paths and media types. Nothing is built, and nothing comes from outside.

/// A file: its path, its media type, and its content.
pub(super) type Asset = (&'static str, &'static str, &'static str);

/// All files.
const ASSETS: &[Asset] = &[
    ("/", "text/html; charset=utf-8", include_str!("assets/index.html")),
    ("/style.css", "text/css; charset=utf-8", include_str!("assets/style.css")),
    ("/app.js", "text/javascript; charset=utf-8", include_str!("assets/app.js")),
    ("/pages.js", "text/javascript; charset=utf-8", include_str!("assets/pages.js")),
    ("/charts.js", "text/javascript; charset=utf-8", include_str!("assets/charts.js")),
    ("/format.js", "text/javascript; charset=utf-8", include_str!("assets/format.js")),
    ("/icon.svg", "image/svg+xml", include_str!("assets/icon.svg")),
];

/// The file at a path. `None` if there is none.
pub(super) fn find(path: &str) -> Option<&'static Asset> {
    ASSETS.iter().find(|(known, ..)| *known == path)
}
