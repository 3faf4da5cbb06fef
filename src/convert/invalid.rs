//! What can be wrong with an object.

use std::net::IpAddr;

use svcnat_rules::net::Family;

/// An object that cannot be converted, with every field at fault. There is at least one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .fields.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
pub struct Invalid {
    /// The fields, in the order in which they were looked at.
    pub fields: Vec<InvalidField>,
}

/// One field at fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {problem}", printable(field))]
pub struct InvalidField {
    /// The path from the object's root, such as `spec.ports[0].port`; label keys stand after a dot as they are.
    pub field: String,
    /// What is wrong with it.
    pub problem: Problem,
}

/// What is wrong with a field.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// The field is missing or empty.
    #[error("is required")]
    Required,
    /// A number outside its range.
    #[error("must be from {least} to {most}, not {found}")]
    OutOfRange {
        /// The least number allowed.
        least: i32,
        /// The greatest number allowed.
        most: i32,
        /// The number that stands there.
        found: i32,
    },
    /// A word outside its list.
    #[error("must be one of {allowed}, not \"{}\"", printable(.found))]
    NotSupported {
        /// The words allowed.
        allowed: &'static str,
        /// The word that stands there.
        found: String,
    },
    /// Not an IP address in its usual text form.
    #[error("\"{}\" is not an IP address{}", printable(.0), leading_zero_hint(.0))]
    NotAnAddress(String),
    /// Not a network in CIDR notation.
    #[error("\"{}\" is not a network in CIDR notation, such as 10.0.0.0/8 or fd00::/8", printable(.0))]
    NotANetwork(String),
    /// An address that cannot be anybody's in a cluster.
    #[error("{address} cannot be used: it is {reason}")]
    UnusableAddress {
        /// The address.
        address: IpAddr,
        /// What kind of address it is, with its article.
        reason: &'static str,
    },
    /// An address of the other family.
    #[error("{address} is not an {} address", family_name(*.expected))]
    WrongFamily {
        /// The address.
        address: IpAddr,
        /// The family that it should have.
        expected: Family,
    },
    /// Two addresses of one family where one of each is allowed.
    #[error("{0} is the second address of its family; one of each is allowed")]
    SecondOfFamily(IpAddr),
    /// Two fields that must say the same.
    #[error("\"{}\" must be the same as {other}", printable(.found))]
    Differs {
        /// What the field says.
        found: String,
        /// The other field.
        other: &'static str,
    },
    /// Not a name as Kubernetes has them.
    #[error("\"{}\" is not a name: {rule}", printable(.found))]
    NotAName {
        /// The text that stands there.
        found: String,
        /// What a name looks like there.
        rule: NameRule,
    },
    /// A value that another entry of the same list has already.
    #[error("{0} is given twice")]
    Duplicate(String),
    /// A list that must be sorted and without duplicates.
    #[error("must be in ascending order, each value once")]
    Unordered,
    /// A node port on a Service that has none.
    #[error("may not be used with type ClusterIP; set type to NodePort or LoadBalancer")]
    NodePortOfClusterIp,
}

/// What a name looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NameRule {
    /// RFC 1123 label: namespaces, Services, service ports.
    #[error("at most 63 lower-case letters, digits and '-', beginning and ending with a letter or digit")]
    Label,
    /// RFC 1123 subdomain: nodes, pods, slices.
    #[error(
        "at most 253 lower-case letters, digits, '-' and '.', each part beginning and ending with a letter or digit"
    )]
    Subdomain,
    /// IANA service name (RFC 6335): named ports of containers.
    #[error("at most 15 lower-case letters, digits and '-', with a letter among them")]
    PortName,
}

/// Text from outside, made fit for one line of a terminal: control characters escaped, cut after 200 characters.
#[must_use]
pub fn printable(text: &str) -> String {
    const MOST: usize = 200;
    let mut shown = String::new();
    for character in text.chars().take(MOST) {
        match character {
            // Harmless, and escape_debug would escape them.
            '\'' | '"' | '\\' => shown.push(character),
            _ => shown.extend(character.escape_debug()),
        }
    }
    if text.chars().nth(MOST).is_some() {
        shown.push('…');
    }
    shown
}

/// The name that people and the API use for a family.
pub(super) fn family_name(family: Family) -> &'static str {
    match family {
        Family::Ipv4 => "IPv4",
        Family::Ipv6 => "IPv6",
    }
}

/// Older tools read 010 as 8 or as 10; whoever writes it is told why it is refused.
fn leading_zero_hint(text: &str) -> &'static str {
    let zero =
        |part: &str| part.len() > 1 && part.starts_with('0') && part.bytes().all(|b| b.is_ascii_digit());
    let dotted = text.contains('.') && !text.contains(':');
    if dotted && text.split('.').any(zero) { " (leading zeros are not allowed)" } else { "" }
}
