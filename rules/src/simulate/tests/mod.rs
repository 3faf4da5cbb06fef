//! Tests of the simulator: on the rules of a small cluster in both layouts, and on small rulesets that each show one
//! habit of the kernel.

mod build;
mod example;
mod faults;
mod kernel;
mod numbers;
mod property;
mod services;
mod tracing;
