//! What can go wrong between us and the kernel, in the operator's words.

use std::io;

use nix::libc;
use svcnat_rules::name::Name;
use svcnat_rules::net::Family;
use svcnat_rules::ruleset::{MAX_COMMENT, MAX_NAME, TABLE};

use super::label::Object;
use super::message::Reply;

/// Why a transaction was not applied, or the kernel's state not read.
///
/// Of a transaction nothing is in force after any error but [`Unknown`](Self::Unknown).
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No nf_tables.
    #[error(
        "the kernel has no nf_tables: it needs CONFIG_NF_TABLES (module nf_tables, `modprobe nf_tables`), \
         CONFIG_NF_TABLES_IPV4 and CONFIG_NF_TABLES_IPV6"
    )]
    NoNfTables,
    /// No privilege.
    #[error("not permitted to change nf_tables: run as root, or with the capability CAP_NET_ADMIN")]
    Privilege,
    /// Another process owns the table (table flag `owner`).
    #[error(
        "{object}: another process owns the table; `nft list table {} {TABLE}` shows which one as `progname`: stop it",
        family_keyword(object)
    )]
    Owned {
        /// What was refused.
        object: Box<Object>,
    },
    /// A part of the kernel that is built or loaded separately.
    #[error(
        "{object}: the kernel does not support {feature} here; it needs {option}, built in or as a module that can \
         be loaded"
    )]
    MissingFeature {
        /// What was refused.
        object: Box<Object>,
        /// What it needs.
        feature: String,
        /// The option of the kernel's configuration, or its version, that provides it.
        option: String,
    },
    /// The ruleset has changed since the generation that the batch was meant for (`ERESTART`).
    #[error("the kernel's ruleset has changed in the meantime; read it again and repeat")]
    GenerationMoved,
    /// Something still refers to the object (`EBUSY`).
    #[error("{object} is busy: something still refers to it, or it exists with other properties")]
    Busy {
        /// What was refused.
        object: Box<Object>,
    },
    /// It is there already (`EEXIST`).
    #[error("{object} exists already")]
    Exists {
        /// What was refused.
        object: Box<Object>,
    },
    /// Something is not there (`ENOENT`).
    #[error("{object}: {missing} does not exist")]
    NotFound {
        /// What was refused.
        object: Box<Object>,
        /// What is not there.
        missing: String,
    },
    /// The set holds as many elements as its `size` allows (`ENFILE`, `ENOSPC`).
    #[error("{object}: the set is full; raise its size")]
    Full {
        /// What was refused.
        object: Box<Object>,
    },
    /// The batch is larger than the socket takes, and it cannot be sent in parts.
    #[error(
        "the transaction has {needed} bytes and the socket takes {available}: run with CAP_NET_ADMIN in the first \
         user namespace, or raise net.core.wmem_max to {needed} (`sysctl -w net.core.wmem_max={needed}`)"
    )]
    TooLarge {
        /// The size of the batch in bytes.
        needed: usize,
        /// What the socket takes in one piece, in bytes.
        available: usize,
    },
    /// Any other refusal.
    #[error("{object}: the kernel refused it: {}{}", io::Error::from_raw_os_error(*errno), in_words(text.as_deref()))]
    Refused {
        /// What was refused.
        object: Box<Object>,
        /// The error number.
        errno: i32,
        /// The kernel's own words.
        text: Option<String>,
    },
    /// The kernel's answer was lost (`ENOBUFS`, or none came): the transaction may or may not be in force.
    #[error("the kernel's answer was lost, so the transaction may be in force or not; read the ruleset back")]
    Unknown,
    /// The ruleset changed during every attempt to read it.
    #[error(
        "the kernel's ruleset changed during each of {attempts} attempts to read it; something changes it all the time"
    )]
    Unstable {
        /// How many attempts there were.
        attempts: u32,
    },
    /// A system call failed.
    #[error("cannot {action}: {source}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// Why it failed.
        source: io::Error,
    },
}

fn family_keyword(object: &Object) -> &'static str {
    object.family().map_or("ip", Family::keyword)
}

fn in_words(text: Option<&str>) -> String {
    text.map_or_else(String::new, |text| format!(" ({text})"))
}

/// A transaction that no kernel could take; the compiler makes none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// A name of a chain or set.
    #[error("{0:?} cannot be a name: it must have 1 to {MAX_NAME} bytes, none of them zero")]
    Name(Name),
    /// A comment.
    #[error("{0:?} cannot be a comment: it must have at most {MAX_COMMENT} bytes, none of them zero")]
    Comment(Name),
    /// A value in an expression or an element.
    #[error("a value of {0} bytes does not fit where it stands")]
    Value(usize),
    /// An element with data that its set does not take.
    #[error("the element's data are not of the kind that its set holds")]
    Data,
    /// A rule.
    #[error("a rule of {0} expressions is too long: the kernel takes 128")]
    Rule(usize),
    /// An element.
    #[error("set {set}: {problem}")]
    Element {
        /// Its set.
        set: Name,
        /// What is wrong with it.
        problem: Box<EncodeError>,
    },
}

/// Explains the kernel's refusal of an object.
#[must_use]
pub fn explain(object: Object, reply: Reply) -> Error {
    let whole = object == Object::Transaction;
    let object = Box::new(object);
    match reply.errno {
        // The capability is looked at once for the whole batch, the owner for each object.
        libc::EPERM if whole => Error::Privilege,
        libc::EPERM => Error::Owned { object },
        libc::EOPNOTSUPP | libc::EPROTONOSUPPORT if whole => Error::NoNfTables,
        libc::ERESTART => Error::GenerationMoved,
        libc::EBUSY => Error::Busy { object },
        libc::EEXIST => Error::Exists { object },
        libc::ENFILE | libc::ENOSPC if matches!(*object, Object::Elements { .. }) => Error::Full { object },
        libc::ENOENT | libc::EOPNOTSUPP | libc::EAFNOSUPPORT => match missing_feature(&object, reply.errno) {
            Some((feature, option)) => Error::MissingFeature { object, feature, option },
            None if reply.errno == libc::ENOENT => {
                Error::NotFound { missing: missing_object(&object), object }
            }
            None => Error::Refused { object, errno: reply.errno, text: reply.text },
        },
        errno => Error::Refused { object, errno, text: reply.text },
    }
}

/// Which part of the kernel an object needs that may be missing, and the option that provides it.
fn missing_feature(object: &Object, errno: i32) -> Option<(String, String)> {
    match object {
        Object::Chain { family, kind: Some(kind), .. } => {
            let option = if kind == "nat" { "CONFIG_NFT_NAT" } else { tables_option(*family) };
            Some((format!("chains of type {kind}"), option.to_owned()))
        }
        Object::Set { .. } if errno == libc::EOPNOTSUPP => {
            Some(("sets of this kind".to_owned(), "Linux 5.6 for ranges in concatenated keys".to_owned()))
        }
        Object::Rule { family, suspects, .. } => {
            let known = suspects.iter().filter_map(|suspect| {
                Some((suspect.expression.as_str(), expression_option(&suspect.expression, *family)?))
            });
            let (mut expressions, mut options): (Vec<_>, Vec<_>) = known.unzip();
            expressions.dedup();
            options.dedup();
            // One that is built in but refers to something may as well be at fault, if the kernel did not say.
            let refers = suspects.iter().any(|suspect| suspect.target.is_some());
            let certain = errno != libc::ENOENT || !refers;
            (certain && !expressions.is_empty())
                .then(|| (format!("the expression {}", expressions.join(" or ")), options.join(" or ")))
        }
        _ => None,
    }
}

fn tables_option(family: Family) -> &'static str {
    match family {
        Family::Ipv4 => "CONFIG_NF_TABLES_IPV4",
        Family::Ipv6 => "CONFIG_NF_TABLES_IPV6",
    }
}

/// The option for an expression that is not part of nf_tables itself (`net/netfilter/Kconfig`).
fn expression_option(expression: &str, family: Family) -> Option<&'static str> {
    Some(match (expression, family) {
        ("nat", _) => "CONFIG_NFT_NAT",
        ("masq", _) => "CONFIG_NFT_MASQ",
        ("numgen", _) => "CONFIG_NFT_NUMGEN",
        ("ct", _) => "CONFIG_NFT_CT and CONFIG_NF_CONNTRACK",
        ("reject", Family::Ipv4) => "CONFIG_NFT_REJECT and CONFIG_NFT_REJECT_IPV4",
        ("reject", Family::Ipv6) => "CONFIG_NFT_REJECT and CONFIG_NFT_REJECT_IPV6",
        ("fib", Family::Ipv4) => "CONFIG_NFT_FIB_IPV4",
        ("fib", Family::Ipv6) => "CONFIG_NFT_FIB_IPV6",
        _ => return None,
    })
}

/// What an object refers to that is not there.
fn missing_object(object: &Object) -> String {
    match object {
        Object::Rule { suspects, .. } => match suspects.as_slice() {
            [suspect] => match (suspect.expression.as_str(), &suspect.target) {
                ("immediate", Some(chain)) => format!("chain {chain}"),
                (_, Some(set)) => format!("set {set}"),
                (expression, None) => format!("what its expression {expression} refers to"),
            },
            [] => "it or its chain".to_owned(),
            _ => "it, its chain, or a chain or set that it refers to".to_owned(),
        },
        Object::Elements { chain: Some(chain), .. } => format!("it or chain {chain}"),
        Object::Elements { .. } => "the element, its set, or a chain that it leads to".to_owned(),
        Object::KubeProxyTable { .. } => "it".to_owned(),
        Object::Transaction | Object::Table { .. } | Object::Chain { .. } | Object::Set { .. } => {
            "it or its table".to_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netlink::label::Suspect;

    fn rule(family: Family, suspects: &[(&str, Option<&str>)]) -> Object {
        let suspect = |(expression, target): &(&str, Option<&str>)| Suspect {
            expression: (*expression).to_owned(),
            target: target.map(str::to_owned),
        };
        Object::Rule {
            family,
            chain: "c".into(),
            comment: None,
            handle: Some(7),
            suspects: suspects.iter().map(suspect).collect(),
        }
    }

    fn chain(kind: Option<&str>) -> Object {
        Object::Chain { family: Family::Ipv6, name: "c".into(), kind: kind.map(str::to_owned) }
    }

    fn elements() -> Object {
        Object::Elements { family: Family::Ipv4, set: "s".into(), key: Some("tcp . 80".into()), chain: None }
    }

    #[test]
    fn a_refusal_is_explained() {
        #[track_caller]
        fn check(object: Object, errno: i32, expected: &str) {
            let reply = Reply { errno, offset: None, text: Some("as said".to_owned()) };
            let error = explain(object, reply).to_string();
            assert!(error.contains(expected), "{error}");
        }
        let whole = || Object::Transaction;
        let set = || Object::Set { family: Family::Ipv4, name: "s".into() };
        check(whole(), libc::EPERM, "CAP_NET_ADMIN");
        check(whole(), libc::EOPNOTSUPP, "the kernel has no nf_tables");
        check(whole(), libc::EPROTONOSUPPORT, "the kernel has no nf_tables");
        check(whole(), libc::ERESTART, "has changed in the meantime");
        check(whole(), libc::ENOMEM, "the transaction: the kernel refused it: Cannot allocate memory");
        check(Object::Table { family: Family::Ipv6 }, libc::EPERM, "table ip6 svcnat: another process owns");
        check(chain(Some("nat")), libc::ENOENT, "CONFIG_NFT_NAT");
        check(chain(Some("filter")), libc::ENOENT, "CONFIG_NF_TABLES_IPV6");
        check(chain(Some("filter")), libc::EAFNOSUPPORT, "CONFIG_NF_TABLES_IPV6");
        check(chain(None), libc::ENOENT, "chain c in table ip6 svcnat: it or its table does not exist");
        check(chain(None), libc::EBUSY, "chain c in table ip6 svcnat is busy");
        check(set(), libc::EOPNOTSUPP, "Linux 5.6");
        check(set(), libc::EEXIST, "set s in table ip svcnat exists already");
        check(set(), libc::EINVAL, "Invalid argument (os error 22) (as said)");
        check(elements(), libc::ENFILE, "element { tcp . 80 } of set s in table ip svcnat: the set is full");
        check(elements(), libc::ENOSPC, "the set is full");
        check(set(), libc::ENFILE, "Too many open files");

        let v4 = |suspects: &[_]| rule(Family::Ipv4, suspects);
        check(v4(&[("nat", None)]), libc::ENOENT, "CONFIG_NFT_NAT,");
        check(v4(&[("masq", None)]), libc::EOPNOTSUPP, "CONFIG_NFT_MASQ,");
        check(v4(&[("numgen", None)]), libc::ENOENT, "CONFIG_NFT_NUMGEN,");
        check(v4(&[("ct", None)]), libc::ENOENT, "CONFIG_NFT_CT and CONFIG_NF_CONNTRACK");
        check(v4(&[("reject", None)]), libc::ENOENT, "CONFIG_NFT_REJECT_IPV4");
        check(rule(Family::Ipv6, &[("reject", None)]), libc::ENOENT, "CONFIG_NFT_REJECT_IPV6");
        check(v4(&[("fib", None)]), libc::ENOENT, "CONFIG_NFT_FIB_IPV4");
        check(rule(Family::Ipv6, &[("fib", None)]), libc::ENOENT, "CONFIG_NFT_FIB_IPV6");
        check(v4(&[("meta", None), ("fib", None)]), libc::ENOENT, "the expression fib here");
        check(
            v4(&[("immediate", Some("x"))]),
            libc::ENOENT,
            "rule with handle 7 of chain c in table ip svcnat: chain x",
        );
        check(v4(&[("lookup", Some("x"))]), libc::ENOENT, "set x does not exist");
        check(
            v4(&[("fib", None), ("immediate", Some("x"))]),
            libc::ENOENT,
            "or a chain or set that it refers to",
        );
        check(v4(&[]), libc::ENOENT, "it or its chain does not exist");
        check(v4(&[("cmp", None)]), libc::EOPNOTSUPP, "Operation not supported");
    }
}
