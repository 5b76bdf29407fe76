//! VirtualMachine, by subject.

mod spec;
mod status;

pub use self::spec::*;
pub use self::status::*;
