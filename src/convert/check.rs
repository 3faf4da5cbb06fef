//! The checks that several kinds share, and the collector of what they find.

use std::net::IpAddr;
use std::num::NonZeroU16;

use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use svcnat_rules::name::{Name, ObjectName};
use svcnat_rules::net::{Cidr, Family, Protocol};

use super::invalid::{Invalid, InvalidField, NameRule, Problem};

/// Collects the fields at fault, so that all of an object's are reported at once.
#[derive(Default)]
pub(super) struct Checks {
    fields: Vec<InvalidField>,
}

impl Checks {
    /// Reports a field.
    pub fn refuse(&mut self, field: impl Into<String>, problem: Problem) {
        self.fields.push(InvalidField { field: field.into(), problem });
    }

    /// The value, or `None` and a report.
    pub fn check<T>(&mut self, field: impl FnOnce() -> String, result: Result<T, Problem>) -> Option<T> {
        result.map_err(|problem| self.refuse(field(), problem)).ok()
    }

    /// The value if nothing was found. A value that could not be made without a report is `None`.
    pub fn finish<T>(self, value: Option<T>) -> Result<T, Invalid> {
        match value {
            Some(value) if self.fields.is_empty() => Ok(value),
            _ => Err(Invalid { fields: self.fields }),
        }
    }
}

/// The text of a field, where empty is the same as absent.
pub(super) fn given(text: Option<&str>) -> Option<&str> {
    text.filter(|text| !text.is_empty())
}

/// The value of a label.
pub(super) fn label<'a>(metadata: &'a ObjectMeta, key: &str) -> Option<&'a str> {
    metadata.labels.as_ref()?.get(key).map(String::as_str)
}

/// Namespace and name of an object. A manifest may leave the namespace out; it is `default` then, as for kubectl.
pub(super) fn object_name(metadata: &ObjectMeta, rule: NameRule, checks: &mut Checks) -> Option<ObjectName> {
    let namespace = given(metadata.namespace.as_deref()).unwrap_or("default");
    let namespace = checks.check(|| "metadata.namespace".into(), name(namespace, NameRule::Label));
    let own = given(metadata.name.as_deref()).unwrap_or_default();
    let own = checks.check(|| "metadata.name".into(), name(own, rule));
    Some(ObjectName::new(namespace?, own?))
}

/// Checks a name; an empty one is missing.
pub(super) fn name(text: &str, rule: NameRule) -> Result<&str, Problem> {
    let valid = match rule {
        NameRule::Label => is_label(text),
        NameRule::Subdomain => text.len() <= 253 && is_lowercase_dns(text, true),
        NameRule::PortName => {
            text.len() <= 15 && is_label(text) && text.bytes().any(|b| b.is_ascii_lowercase())
        }
    };
    match text {
        "" => Err(Problem::Required),
        _ if valid => Ok(text),
        _ => Err(Problem::NotAName { found: text.to_owned(), rule }),
    }
}

fn is_label(text: &str) -> bool {
    text.len() <= 63 && is_lowercase_dns(text, false)
}

const HYPHEN: u8 = 1;
const DOT: u8 = 2;
const OTHER: u8 = 4;

/// What each byte is in a name: 0 for a lower case letter and a digit.
static KINDS: [u8; 256] = {
    let mut kinds = [OTHER; 256];
    let mut byte = 0_u8;
    loop {
        kinds[byte as usize] = match byte {
            b'a'..=b'z' | b'0'..=b'9' => 0,
            b'-' => HYPHEN,
            b'.' => DOT,
            _ => OTHER,
        };
        if byte == u8::MAX {
            break kinds;
        }
        byte += 1;
    }
};

/// Whether a text is made of lower case letters, digits and hyphens that are at no end; and of dots, which separate such parts.
/// An endpoint has several names and a change of a slice brings those of all, so the bytes are looked at without a branch.
fn is_lowercase_dns(text: &str, dots: bool) -> bool {
    let bytes = text.as_bytes();
    let kinds = bytes.iter().fold(0, |kinds, byte| kinds | KINDS[usize::from(*byte)]);
    let is_part =
        |part: &[u8]| [part.first(), part.last()].iter().all(|end| end.is_some_and(|end| *end != b'-'));
    match kinds & (DOT | OTHER) {
        0 => is_part(bytes),
        DOT => dots && bytes.split(|byte| *byte == b'.').all(is_part),
        _ => false,
    }
}

/// The name of a service port or endpoint port; absent and empty are the same.
pub(super) fn port_name(text: Option<&str>) -> Result<Name, Problem> {
    given(text).map_or(Ok(Name::from("")), |text| name(text, NameRule::Label).map(Name::from))
}

/// A port number.
pub(super) fn port(number: i32) -> Result<NonZeroU16, Problem> {
    let port = u16::try_from(number).ok().and_then(NonZeroU16::new);
    port.ok_or(Problem::OutOfRange { least: 1, most: 65_535, found: number })
}

/// A port number where 0 is the same as absent.
pub(super) fn optional_port(number: Option<i32>) -> Result<Option<NonZeroU16>, Problem> {
    number.filter(|number| *number != 0).map(port).transpose()
}

/// A protocol; TCP where none is given.
pub(super) fn protocol(text: Option<&str>) -> Result<Protocol, Problem> {
    match given(text) {
        None | Some("TCP") => Ok(Protocol::Tcp),
        Some("UDP") => Ok(Protocol::Udp),
        Some("SCTP") => Ok(Protocol::Sctp),
        Some(other) => Err(not_supported("TCP, UDP, SCTP", other)),
    }
}

/// An address family as the API writes it.
pub(super) fn family(text: &str) -> Result<Family, Problem> {
    match text {
        "IPv4" => Ok(Family::Ipv4),
        "IPv6" => Ok(Family::Ipv6),
        "" => Err(Problem::Required),
        other => Err(not_supported("IPv4, IPv6", other)),
    }
}

/// The problem of a word outside its list.
pub(super) fn not_supported(allowed: &'static str, found: &str) -> Problem {
    Problem::NotSupported { allowed, found: found.to_owned() }
}

/// An address in its usual text form.
pub(super) fn address(text: &str) -> Result<IpAddr, Problem> {
    text.parse().map_err(|_| Problem::NotAnAddress(text.to_owned())).and_then(not_mapped)
}

/// Refuses an IPv4-mapped IPv6 address: the API reads it as IPv4, the kernel as IPv6.
pub(super) fn not_mapped(address: IpAddr) -> Result<IpAddr, Problem> {
    if is_mapped(address) {
        return Err(Problem::UnusableAddress { address, reason: "an IPv4 address written as IPv6" });
    }
    Ok(address)
}

/// An address that a Service or an endpoint can have, in its usual text form.
pub(super) fn unicast_address(text: &str) -> Result<IpAddr, Problem> {
    address(text).and_then(unicast)
}

/// Refuses an address that no Service or endpoint can have: what the API server calls special.
pub(super) fn unicast(address: IpAddr) -> Result<IpAddr, Problem> {
    let address = not_mapped(address)?;
    let link_local = match address {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    };
    let reason = match () {
        () if address.is_unspecified() => "the unspecified address",
        () if address.is_loopback() => "a loopback address",
        () if address.is_multicast() => "a multicast address",
        () if link_local => "a link-local address",
        () => return Ok(address),
    };
    Err(Problem::UnusableAddress { address, reason })
}

fn is_mapped(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some())
}

/// A network in CIDR notation, blanks around it trimmed, host bits cleared.
pub(super) fn network(text: &str) -> Result<Cidr, Problem> {
    let wrong = || Problem::NotANetwork(text.to_owned());
    let (start, prefix) = text.trim().split_once('/').ok_or_else(wrong)?;
    // The library would take `+8` and `255.0.0.0` as well.
    let decimal = prefix == "0" || (!prefix.starts_with('0') && prefix.bytes().all(|b| b.is_ascii_digit()));
    let start: IpAddr = start.parse().map_err(|_| wrong())?;
    let bits = prefix.parse().ok().filter(|_| decimal && !is_mapped(start)).ok_or_else(wrong)?;
    Cidr::new(start, bits).ok_or_else(wrong)
}

/// The networks of a list, sorted, each once.
pub(super) fn networks(list: Option<&Vec<String>>, field: &str, checks: &mut Checks) -> Vec<Cidr> {
    let texts = list.into_iter().flatten().enumerate();
    let mut networks: Vec<_> =
        texts.filter_map(|(i, text)| checks.check(|| format!("{field}[{i}]"), network(text))).collect();
    networks.sort_unstable();
    networks.dedup();
    networks
}

/// What an endpoint points to.
pub(super) struct Target<'a> {
    pub kind: Option<&'a str>,
    pub namespace: Option<&'a str>,
    pub name: Option<&'a str>,
}

impl<'a> From<&'a ObjectReference> for Target<'a> {
    fn from(found: &'a ObjectReference) -> Self {
        Self {
            kind: found.kind.as_deref(),
            namespace: found.namespace.as_deref(),
            name: found.name.as_deref(),
        }
    }
}

/// The pod that an endpoint points to, where it is in the namespace of its slice unless it says another.
///
/// The API server does not check these names and no rule depends on them, so one that cannot be a pod's counts as none.
pub(super) fn pod_of(target: Option<Target<'_>>, namespace: &str) -> Option<ObjectName> {
    let target = target.filter(|target| target.kind == Some("Pod"))?;
    let namespace = given(target.namespace).unwrap_or(namespace);
    let namespace = name(namespace, NameRule::Label).ok()?;
    let own = name(target.name.unwrap_or_default(), NameRule::Subdomain).ok()?;
    Some(ObjectName::new(namespace, own))
}

/// The name of the node that an endpoint or pod is on.
pub(super) fn node_name(text: Option<&str>) -> Result<Option<Name>, Problem> {
    given(text).map(|text| name(text, NameRule::Subdomain).map(Name::from)).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_lose_their_host_bits_and_nothing_else_is_taken_for_one() {
        let check = |text: &str, expected: Option<&str>| {
            let found = network(text).ok().map(|network| network.to_string());
            assert_eq!(found.as_deref(), expected, "{text:?}");
        };
        check(" 10.1.2.3/8 ", Some("10.0.0.0/8"));
        check("0.0.0.0/0", Some("0.0.0.0/0"));
        check("::/0", Some("::/0"));
        check("fd00::1/64", Some("fd00::/64"));
        for wrong in [
            "",
            "/",
            "10.0.0.0",
            "10.0.0.0/",
            "10.0.0.0/33",
            "10.0.0.0/08",
            "10.0.0.0/+8",
            "010.0.0.0/8",
            "10.0.0.0/255.0.0.0",
            "::ffff:10.0.0.0/104",
            "fd00::/129",
            "10.0.0.0/8/8",
        ] {
            check(wrong, None);
        }
    }

    #[test]
    fn addresses_are_unicast_and_written_in_one_way() {
        let check = |text: &str, valid: bool| assert_eq!(unicast_address(text).is_ok(), valid, "{text:?}");
        for valid in ["10.0.0.1", "192.168.0.255", "fd00::1", "2001:db8::a"] {
            check(valid, true);
        }
        for wrong in [
            "",
            "10.0.0",
            "10.0.0.01",
            "010.0.0.1",
            "10.0.0.256",
            " 10.0.0.1",
            "10.0.0.1/32",
            "fd00::1%eth0",
            "::ffff:10.0.0.1",
            "0.0.0.0",
            "::",
            "127.0.0.1",
            "::1",
            "169.254.1.1",
            "fe80::1",
            "224.0.0.1",
            "ff02::1",
        ] {
            check(wrong, false);
        }
    }

    #[test]
    fn names_follow_their_rule() {
        let long = "a".repeat(63);
        let parts = [long.as_str(); 4].join(".");
        let check = |rule: NameRule, text: &str, valid: bool| {
            assert_eq!(name(text, rule).is_ok(), valid, "{rule:?} {text:?}");
        };
        for (text, label, subdomain, port) in [
            ("web", true, true, true),
            ("1web", true, true, true),
            ("80", true, true, false),
            ("web-1.shop", false, true, false),
            (long.as_str(), true, true, false),
            (&format!("{long}a"), false, true, false),
            (&parts[..253], false, true, false),
            (&parts, false, false, false),
            ("", false, false, false),
            ("-web", false, false, false),
            ("web-", false, false, false),
            ("Web", false, false, false),
            ("a..b", false, false, false),
            ("a/b", false, false, false),
            ("wéb", false, false, false),
            ("a\" accept", false, false, false),
        ] {
            check(NameRule::Label, text, label);
            check(NameRule::Subdomain, text, subdomain);
            check(NameRule::PortName, text, port);
        }
    }
}
