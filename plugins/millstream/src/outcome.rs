//! [`Outcome`]: what a `build` function may return.

use crate::context::StreamingContext;
use std::fmt::Display;

/// What a function that builds a program may return: nothing, or a `Result` whose error is reported.
#[diagnostic::on_unimplemented(
    message = "a `build` function cannot return `{Self}`",
    label = "this function returns `{Self}`",
    note = "a `build` function returns nothing, or a `Result<(), E>` whose error can be displayed",
    note = "end its last line with `;`: an output needs no further use"
)]
pub trait Outcome {
    /// Reports the error, if there is one.
    #[doc(hidden)]
    fn report(self, ctx: &StreamingContext);
}

impl Outcome for () {
    fn report(self, _: &StreamingContext) {}
}

impl<E: Display> Outcome for Result<(), E> {
    fn report(self, ctx: &StreamingContext) {
        if let Err(error) = self {
            ctx.graph.invalid(error.to_string());
        }
    }
}
