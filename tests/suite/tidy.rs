//! The house rules that no compiler checks. Each rule is a function from source text to violations, in a file of its
//! own, with one test that applies it to the repository and one that shows it can fail.
//!
//! A rule that turns out wrong is changed here, in the same commit as the code that shows it wrong.

mod arithmetic;
mod circles;
mod constructs;
mod docs;
mod files;
mod layers;
mod owners;
mod paths;
mod released;
mod shown;
mod size;
mod source;
