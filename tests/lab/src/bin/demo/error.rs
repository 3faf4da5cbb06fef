//! Why the demo did not end well.

use std::io;
use std::path::PathBuf;

/// What can go wrong.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{0}")]
    Usage(String),
    #[error("cannot tell where this program is: {0}")]
    Program(#[source] io::Error),
    #[error("there is no svcnat at {path}: {source}. Build it (make demo does), or name it by --svcnat")]
    NoSvcnat { path: PathBuf, source: io::Error },
    #[error("cannot print: {0}")]
    Print(#[from] io::Error),
    #[error("cannot handle signals: {0}")]
    Signals(#[from] nix::Error),
    #[error("{path}: {source}")]
    Manifest { path: PathBuf, source: io::Error },
    #[error("{path} is not the example that this demo knows: there is no Pod {pod} in it")]
    OtherExample { path: PathBuf, pod: &'static str },
    #[error(transparent)]
    Lab(#[from] svcnat_lab::Error),
    #[error("{client} asked http://{target} and got: {outcome}")]
    NoAnswer { client: String, target: std::net::SocketAddr, outcome: svcnat_lab::Outcome },
    #[error("{client} asked http://{target} and was answered, which should not be: {outcome}")]
    Answered { client: String, target: std::net::SocketAddr, outcome: svcnat_lab::Outcome },
    #[error("{pod} gave {answers} of {requests} answers, which is not a fair share ({low} to {high})")]
    Unfair { pod: String, answers: usize, requests: usize, low: usize, high: usize },
    #[error("{pod} answered, which is no backend of the Service")]
    Stranger { pod: String },
    #[error("a pod saw {seen} instead of {client}'s own address {own}")]
    Masqueraded { client: String, own: std::net::IpAddr, seen: std::net::IpAddr },
    #[error("applying the same manifests again changed the rules of {node}")]
    NotIdempotent { node: String },
}
