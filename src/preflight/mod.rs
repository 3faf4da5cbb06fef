//! What the kernel must have, tried before it is needed, and who else is at work in it.
//!
//! Each feature is a small ruleset, taken from what the compiler makes of a cluster that needs everything. The kernel is
//! given it as a batch that is checked and taken back ([`Options::rehearse`]): no table comes to be, no generation
//! passes. What stays is what the kernel has loaded for it, its modules.

mod feature;
mod libraries;
mod neighbours;

use serde::Serialize;
use svcnat_rules::diff::diff;
use svcnat_rules::installed::Installed;
use svcnat_rules::ruleset::Ruleset;

use crate::conntrack::{self, Conntrack, Query};
use crate::netlink::{Error, Netlink, Options, Socket, Transport, encode};
use feature::{COUNTERS, FEATURES, Feature};
pub use libraries::{Library, libraries};
pub use neighbours::neighbours;
use svcnat_rules::net::{Family, Protocol};

/// Something that the kernel must have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// The module, or the part of nf_tables.
    pub module: &'static str,
    /// The option of the kernel's configuration, or the release, that provides it.
    pub option: &'static str,
    /// What svcnat uses it for.
    pub purpose: &'static str,
    /// Whether it is there.
    pub present: bool,
    /// Whether svcnat does without where it is not.
    pub optional: bool,
    /// What the kernel said, where it is not there.
    pub reason: Option<String>,
}

/// Tries everything, in the network namespace of the calling thread; also what counting connections takes, if `counters` says so.
///
/// # Errors
///
/// Where nothing can be tried: [`Error::Privilege`], [`Error::Io`].
pub fn look(counters: bool) -> Result<Vec<Finding>, Error> {
    let asked: &[Feature] = if counters { &COUNTERS } else { &[] };
    let mut kernel = match Netlink::open() {
        Err(Error::NoNfTables) => {
            return Ok(FEATURES.iter().chain(asked).map(|feature| feature.missing(None)).collect());
        }
        kernel => kernel?,
    };
    let mut findings = look_at(&mut kernel, &FEATURES, false)?;
    for mut finding in look_at(&mut kernel, asked, true)? {
        if finding.present && !Netlink::<Socket>::can_count() {
            finding.present = false;
            finding.reason = Some("the kernel takes the set, but counts nothing".to_owned());
        }
        findings.push(finding);
    }
    findings.push(owned_tables());
    findings.push(tracked_connections());
    Ok(findings)
}

/// Tries features of nf_tables, with rules that count or do not.
fn look_at<T: Transport>(
    kernel: &mut Netlink<T>,
    features: &[Feature],
    counters: bool,
) -> Result<Vec<Finding>, Error> {
    let complete = feature::complete(counters);
    let mut findings = Vec::new();
    for feature in features {
        let refusal = feature.rehearsals(&complete).iter().find_map(|part| rehearse(kernel, part).err());
        findings.push(match refusal {
            None => feature.present(),
            Some(error @ (Error::Privilege | Error::Io { .. })) => return Err(error),
            Some(error) => feature.missing(Some(said(&error))),
        });
    }
    Ok(findings)
}

/// Has the kernel check a ruleset and take it back.
///
/// # Errors
///
/// What it would refuse.
fn rehearse<T: Transport>(kernel: &mut Netlink<T>, ruleset: &Ruleset) -> Result<(), Error> {
    let nothing = Installed::default();
    let transaction = diff(ruleset, &nothing);
    let options = Options { rehearse: true, ..Options::default() };
    // What cannot be encoded is no question to the kernel; the compiler makes none.
    encode(&transaction, &options).map_or(Ok(()), |batch| kernel.apply(&batch))
}

/// What the kernel said. All that a rehearsal refers to is in it, so what is not found is a part of the kernel.
fn said(error: &Error) -> String {
    match error {
        Error::MissingFeature { .. } | Error::NotFound { .. } => "the kernel does not know it".to_owned(),
        Error::Refused { errno, .. } => std::io::Error::from_raw_os_error(*errno).to_string(),
        other => other.to_string(),
    }
}

fn owned_tables() -> Finding {
    let present = Netlink::<Socket>::can_own();
    Finding {
        module: "nf_tables (flags owner and persist)",
        option: "Linux 6.9",
        purpose: "tables that nobody else can change",
        present,
        optional: true,
        reason: (!present).then(|| "changes by others are noticed and mended instead".to_owned()),
    }
}

fn tracked_connections() -> Finding {
    // A protocol that hardly anybody uses: the list is short.
    let query = Query { family: Family::Ipv6, protocol: Protocol::Sctp, translated: true };
    let listed = Conntrack::open().and_then(|mut conntrack| conntrack.delete(query, |_| false));
    Finding {
        module: "nf_conntrack_netlink",
        option: "CONFIG_NF_CT_NETLINK",
        purpose: "removing flows to backends that are gone",
        present: listed.is_ok(),
        optional: false,
        reason: listed.err().map(|error: conntrack::Error| error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use nix::libc;

    use super::*;
    use crate::netlink::constants::nlm;
    use crate::netlink::message::{Messages, put};

    /// A kernel that does not know an expression.
    struct Lacking {
        expression: &'static [u8],
        replies: Vec<Vec<u8>>,
    }

    impl Transport for Lacking {
        fn reserve(&mut self, _: usize) -> Result<(), Error> {
            Ok(())
        }

        fn send(&mut self, messages: &[u8]) -> io::Result<()> {
            let names = |bytes: &[u8]| bytes.windows(self.expression.len()).any(|at| at == self.expression);
            let refused: Vec<u32> = Messages(messages)
                .filter(|message| names(message.bytes))
                .map(|message| message.sequence)
                .collect();
            for sequence in refused {
                let mut reply = Vec::new();
                // `struct nlmsgerr` behind the header: the error, then the header of the message at fault.
                put(&mut reply, nlm::ERROR, 0, sequence, 0, 0, |_| {});
                reply.truncate(16);
                reply.extend_from_slice(&(-libc::ENOENT).to_ne_bytes());
                reply.extend_from_slice(&[0; 16]);
                let len = u32::try_from(reply.len()).unwrap();
                reply[..4].copy_from_slice(&len.to_ne_bytes());
                self.replies.push(reply);
            }
            Ok(())
        }

        fn receive(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let reply = self.replies.pop().ok_or(io::ErrorKind::WouldBlock)?;
            buffer[..reply.len()].copy_from_slice(&reply);
            Ok(reply.len())
        }
    }

    #[test]
    fn what_a_kernel_lacks_is_named() {
        #[track_caller]
        fn check(expression: &'static [u8], missing: &[&str]) {
            let mut kernel = Netlink::over(Lacking { expression, replies: Vec::new() });
            let mut findings = look_at(&mut kernel, &FEATURES, false).unwrap();
            findings.extend(look_at(&mut kernel, &COUNTERS, true).unwrap());
            let lacking = findings.iter().filter(|finding| !finding.present);
            let expected = missing.iter().map(|module| (*module, Some("the kernel does not know it")));
            let lacking = lacking.map(|finding| (finding.module, finding.reason.as_deref()));
            assert_eq!(lacking.collect::<Vec<_>>(), expected.collect::<Vec<_>>());
        }
        check(b"numgen\0", &["nft_numgen"]);
        check(b"masq\0", &["nft_masq"]);
        check(b"fib\0", &["nft_fib"]);
        check(b"reject\0", &["nft_reject"]);
        check(b"dynset\0", &["nf_tables (dynamic maps)"]);
        check(b"counter\0", &["nf_tables (sets that count)"]);
        check(b"an expression that no rule has", &[]);
    }
}
