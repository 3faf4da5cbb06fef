//! The documents: every command in them is run, every link leads somewhere.
//!
//! A fenced block of the language `console` holds commands, behind `$ ` where anybody may run them and behind `# ` where
//! root must, and what they print. There, `...` stands for anything: for lines where it is a line of its own, else for a
//! part of its line. A command goes on in the next line after a backslash, and up to `EOF` where it has a here-document.
//! It must end with code 0; ```` ```console exit=1 ```` is a block whose last command ends with code 1. Each document runs
//! top to bottom in a shell of its own, in a [`world`] of its own.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "clippy does not see that helpers are tests"
)]

mod documents;
mod languages;
mod links;
mod markdown;
mod output;
mod shell;
mod stand_ins;
mod world;
