//! Raw bindings of libmullama, the C ABI of Mullama. Use the crate `mullama` instead, which is
//! safe.
//!
//! The types and [`Functions`] follow from the C header. The library is not linked:
//! [`Library::find`] loads it when it is first needed, because a process that forks has to load it
//! in the child.
#![allow(non_camel_case_types)]

mod bindings;
mod library;

pub use bindings::*;
pub use library::{Library, LoadError};
