//! The updates of accumulators that an instance has made and not handed to the host yet.
//!
//! Owns the list of the accumulators that a program uses. Never knows their types: see `accumulator.rs`.

use std::any::{Any, TypeId};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

/// The updates of an accumulator that this instance has made and not handed over yet.
pub(crate) trait Pending: 'static {
    /// Makes an accumulator without updates.
    fn new(name: &str) -> Self
    where
        Self: Sized;
    /// Hands the updates to the host.
    fn hand_over(&self);
    /// Forgets the updates.
    fn forget(&self);
}

/// An accumulator: once with its own type, and once with the type that all accumulators share.
type Known = (Rc<dyn Any>, Rc<dyn Pending>);

/// The accumulators that a program uses in this instance, by name and type.
#[derive(Default)]
pub(crate) struct Accumulators(RefCell<BTreeMap<(String, TypeId), Known>>);

impl Accumulators {
    /// The state of the accumulator of this name. Calls with the same name and type return the same state.
    pub fn of_name<P: Pending>(&self, name: &str) -> Rc<P> {
        let mut all = self.0.borrow_mut();
        let new = || {
            let pending = Rc::new(P::new(name));
            (Rc::clone(&pending) as Rc<dyn Any>, pending as Rc<dyn Pending>)
        };
        let (any, _) = all.entry((name.to_owned(), TypeId::of::<P>())).or_insert_with(new);
        Rc::clone(any).downcast().unwrap_or_else(|_| Rc::new(P::new(name)))
    }

    fn each(&self, work: impl Fn(&dyn Pending)) {
        self.0.borrow().values().for_each(|(_, pending)| work(&**pending));
    }

    /// Hands all updates to the host, in the order of the names.
    pub fn hand_over(&self) {
        self.each(|pending| pending.hand_over());
    }

    /// Forgets all updates that were not handed over.
    pub fn forget(&self) {
        self.each(|pending| pending.forget());
    }
}
