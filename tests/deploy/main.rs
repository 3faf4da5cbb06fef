//! What is in deploy/: manifests, the image, the systemd unit, and what its READMEs say, checked by the programs that
//! people use them with, kubectl and systemd-analyze, and against each other.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "clippy does not see that helpers are tests"
)]

mod configuration;
mod image;
mod kube_proxy;
mod manifests;
mod monitoring;
mod objects;
mod permissions;
mod readmes;
mod tools;
mod unit;
