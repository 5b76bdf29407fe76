//! CustomResourceDefinitions: from the object to resources that the server serves.

pub mod names;
