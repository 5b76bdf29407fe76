//! The `ferrovirt` program.
fn main() {}
