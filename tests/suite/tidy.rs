//! The house rules that no compiler checks. Each rule is a function from source text to violations, in a file of its
//! own, with one test that applies it to the repository and one that shows it can fail.
//!
//! If a rule turns out to be wrong, change it here, in the commit that contains the code that shows this.

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
