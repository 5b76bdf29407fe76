//! The KubeVirt resource, by subject.

mod components;
mod configuration;
mod spec;
mod status;

pub use self::components::*;
pub use self::configuration::*;
pub use self::spec::*;
pub use self::status::*;
