//! What can be wrong with a configuration.

use std::fmt;
use std::io;

use svcnat_rules::name::Name;

use crate::convert::printable;

/// Everything that is wrong, one error for each line when displayed. There is at least one.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
pub struct Errors(pub Vec<Error>);

/// One error and where it is.
#[derive(Debug, Clone)]
pub struct Error {
    /// Where.
    pub at: At,
    /// What is wrong, and what would not be.
    pub reason: Reason,
}

/// What an error or a note is about. Displayed as `FILE:LINE: KEY` or `--FLAG`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum At {
    /// A file or something in it.
    File {
        /// The file as the operator named it.
        file: Name,
        /// The line, counted from 1; `None` where the whole file is meant.
        line: Option<u64>,
        /// The path of the key, such as `nftables.syncPeriod`; empty where it is no single one.
        key: String,
    },
    /// A flag, without the dashes.
    Flag(&'static str),
}

/// What is wrong.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Reason {
    /// The operating system could not read the file.
    #[error("cannot be read: {0}")]
    Unreadable(String),
    /// A file that no configuration is as large as.
    #[error("larger than 1 MiB: is it a configuration file?")]
    TooLarge,
    /// A file in another encoding.
    #[error("not UTF-8 text")]
    NotUtf8,
    /// Nothing but comments.
    #[error(
        "no document in it; a configuration has apiVersion: kubeproxy.config.k8s.io/v1alpha1 and kind: KubeProxyConfiguration"
    )]
    Empty,
    /// Neither YAML nor JSON.
    #[error("{0}")]
    Syntax(String),
    /// A document of another kind.
    #[error("must be KubeProxyConfiguration or SvcnatConfiguration, not \"{}\"", printable(.0))]
    Kind(String),
    /// The object that the configuration is wrapped in.
    #[error(
        "is ConfigMap; the configuration is the text of its key config.conf, to be saved as a file of its own"
    )]
    ConfigMap,
    /// A version that is not read.
    #[error("must be {expected}, not \"{}\"", printable(.found))]
    Version {
        /// The one that is read.
        expected: &'static str,
        /// The one found.
        found: String,
    },
    /// A kind that stands twice in the file.
    #[error("a second {0}; one is allowed")]
    Twice(&'static str),
    /// A key that nobody knows.
    #[error("unknown key{}", .0.as_ref().map_or(String::new(), |key| format!("; did you mean {key}?")))]
    UnknownKey(Option<String>),
    /// A value of the wrong type.
    #[error("{0}")]
    Type(String),
    /// A word that is none of those allowed.
    #[error("must be one of {expected}, not \"{}\"", printable(.found))]
    Word {
        /// The allowed ones, separated by commas.
        expected: &'static str,
        /// The one found.
        found: String,
    },
    /// A back end that there is not.
    #[error("{} is not supported: set it to nftables or iptables", printable(.0))]
    Mode(String),
    /// A number beyond its range.
    #[error("must be from {min} to {max}, not {found}")]
    Range {
        /// The least.
        min: i64,
        /// The greatest.
        max: i64,
        /// The one found.
        found: i64,
    },
    /// A rate that is no number.
    #[error("must be a finite number")]
    NotFinite,
    /// A duration of 0 where that has no meaning.
    #[error("must be greater than 0")]
    Zero,
    /// A timeout that the kernel would take for 0, which ends every flow at once.
    #[error("must be 1s or more, or 0 to leave what the kernel has")]
    BelowSecond,
    /// A least time between syncs that is greater than the greatest.
    #[error("must not be greater than the sync period, {0}")]
    AboveSyncPeriod(super::GoDuration),
    /// No IP address.
    #[error("\"{}\" is not an IP address", printable(.0))]
    Address(String),
    /// No address to bind.
    #[error("\"{}\" is neither an IP address nor IP:PORT, such as 0.0.0.0:10256 or [::]:10256; port 0 is for no server", printable(.0))]
    BindAddress(String),
    /// No address to serve the page at.
    #[error("must be a loopback address with a port, such as 127.0.0.1:10247 or [::1]:10247, not \"{}\": the page asks nobody who they \
             are; from elsewhere, `ssh -L 10247:127.0.0.1:10247 NODE` or `kubectl port-forward POD 10247` leads there", printable(.0))]
    PageAddress(String),
    /// No network.
    #[error("\"{}\" is not a network in CIDR notation, such as 10.244.0.0/16 or fd00::/8", printable(.0))]
    Cidr(String),
    /// Something else in the list of node port addresses.
    #[error("takes `primary` alone or networks in CIDR notation, such as 10.0.0.0/8; not \"{}\"", printable(.0))]
    NodePortAddress(String),
    /// No name of an interface.
    #[error("{0}")]
    Interface(String),
    /// A mode that needs another key, here as the operator would write it: a key or a flag.
    #[error("{mode} needs {option}")]
    Needs {
        /// The mode.
        mode: &'static str,
        /// The other key.
        option: String,
    },
    /// What only another mode can do.
    #[error("needs mode {}; in the other one, nothing is counted", .0.name())]
    NeedsMode(super::Mode),
    /// No name for the node.
    #[error("the node's name is empty; give the Node's name")]
    NoName,
    /// No name given, and none to be had.
    #[error("is needed, since the host name cannot be read ({0})")]
    HostName(String),
}

impl At {
    /// The line, for an order: what has none comes first.
    pub(super) fn line(&self) -> u64 {
        match self {
            Self::File { line, .. } => line.unwrap_or(0),
            Self::Flag(_) => 0,
        }
    }
}

/// Something wrong with a key, which may come from a file or from a flag.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Problem {
    pub key: String,
    pub reason: Reason,
}

impl Errors {
    /// The errors in the order of their lines.
    pub(super) fn in_order(mut errors: Vec<Error>) -> Self {
        errors.sort_by_key(|error| error.at.line());
        Self(errors)
    }
}

impl Error {
    /// An error about a file as a whole.
    pub(super) fn of_file(file: &Name, line: Option<u64>, reason: Reason) -> Errors {
        Errors(vec![Self { at: At::File { file: file.clone(), line, key: String::new() }, reason }])
    }
}

impl Reason {
    pub(super) fn unreadable(error: &io::Error) -> Self {
        Self::Unreadable(error.to_string())
    }
}

impl std::error::Error for Error {}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.at, self.reason)
    }
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(flag) => write!(f, "--{flag}"),
            Self::File { file, line, key } => {
                f.write_str(&printable(file))?;
                if let Some(line) = line {
                    write!(f, ":{line}")?;
                }
                if !key.is_empty() {
                    write!(f, ": {}", printable(key))?;
                }
                Ok(())
            }
        }
    }
}
