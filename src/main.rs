//! svcnat.
fn main() {}
