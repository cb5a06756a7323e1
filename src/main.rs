//! The `wapbridge` program.

fn main() {}
