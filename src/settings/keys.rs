//! Keys that are accepted without effect, and the flags that stand for keys.

use serde_json::Value;

use super::duration::GoDuration;

/// A key of `KubeProxyConfiguration` that has no meaning here.
pub(super) struct NoEffect {
    /// Its path, such as `ipvs.scheduler`.
    pub key: &'static str,
    /// What its values are.
    pub kind: Kind,
    /// kube-proxy's default as text, which says nothing when it is written out.
    pub default: &'static str,
    /// The flag that stands for it, without the dashes.
    pub flag: Option<&'static str>,
    /// Why it has none.
    pub why: &'static str,
}

/// What the values of a key are.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    Bool,
    Integer,
    Text,
    Duration,
    /// A duration as text, or nanoseconds.
    DurationOrInteger,
    /// A quantity such as `64Ki`, or a number.
    Quantity,
    List,
    /// One of a few words.
    Word(&'static [&'static str]),
    /// What kube-proxy itself does not look at.
    Any,
}

impl Kind {
    /// What a value has to be, where it is not.
    pub fn complaint(self, value: &Value) -> Option<String> {
        let text = value.as_str();
        let (fits, expected) = match self {
            Self::Bool => (value.is_boolean(), "must be true or false"),
            Self::Integer => (value.is_i64(), "must be a whole number"),
            Self::Text => (text.is_some(), "must be text"),
            Self::Duration => return duration(text),
            Self::DurationOrInteger if value.is_i64() => return None,
            Self::DurationOrInteger => return duration(text),
            Self::Quantity => (text.is_some() || value.is_number(), "must be a quantity, such as 64Ki"),
            Self::List => (value.is_array(), "must be a list"),
            Self::Word(words) => {
                let fits = text.is_some_and(|text| text.is_empty() || words.contains(&text));
                return (!fits).then(|| format!("must be one of {}", words.join(", ")));
            }
            Self::Any => return None,
        };
        (!fits).then(|| expected.to_owned())
    }
}

fn duration(text: Option<&str>) -> Option<String> {
    match text {
        None => Some("must be a duration as text, such as \"30s\"".to_owned()),
        Some(text) => text.parse::<GoDuration>().err(),
    }
}

impl NoEffect {
    /// Whether a value says more than no value would: neither the zero value of its type nor the default.
    pub fn says_something(&self, value: &Value) -> bool {
        let same = |text: &str| {
            let parsed = |text: &str| text.parse::<GoDuration>();
            text == self.default || matches!((parsed(text), parsed(self.default)), (Ok(a), Ok(b)) if a == b)
        };
        match value {
            Value::Null => false,
            Value::Bool(yes) => *yes,
            Value::Number(number) => number.as_f64() != Some(0.0) && !same(&format!("{number}ns")),
            Value::String(text) => !(text.is_empty() || text == "0" || text == "0s" || same(text)),
            Value::Array(entries) => !entries.is_empty(),
            Value::Object(fields) => !fields.is_empty(),
        }
    }
}

const NO_IPVS: &str = "svcnat has no mode ipvs";
const NO_WINDOWS: &str = "svcnat runs on Linux only";
const NO_BUFFER: &str = "lines of the log are not buffered";
const GONE: &str = "kube-proxy 1.36 does not have it any more either";

const fn no_effect(
    key: &'static str,
    kind: Kind,
    default: &'static str,
    flag: Option<&'static str>,
    why: &'static str,
) -> NoEffect {
    NoEffect { key, kind, default, flag, why }
}

/// Every key of kube-proxy 1.36 that is not in [`KubeProxyConfiguration`](super::KubeProxyConfiguration), and those of
/// earlier versions that files still have.
#[rustfmt::skip]
pub(super) static NO_EFFECT: &[NoEffect] = &[
    no_effect("clientConnection.acceptContentTypes", Kind::Text, "", None, "svcnat asks the API server for JSON"),
    no_effect("clientConnection.contentType", Kind::Text, "application/vnd.kubernetes.protobuf", Some("kube-api-content-type"), "svcnat talks JSON with the API server"),
    no_effect("configSyncPeriod", Kind::Duration, "15m", Some("config-sync-period"), "what is watched need not be listed from time to time"),
    no_effect("conntrack.max", Kind::Integer, "0", None, GONE),
    no_effect("enableProfiling", Kind::Bool, "", Some("profiling"), "svcnat has no profiling handlers"),
    no_effect("iptables.localhostNodePorts", Kind::Bool, "", Some("iptables-localhost-nodeports"), "node ports are never served on loopback addresses, as in kube-proxy's mode nftables"),
    no_effect("ipvs.excludeCIDRs", Kind::List, "", Some("ipvs-exclude-cidrs"), NO_IPVS),
    no_effect("ipvs.minSyncPeriod", Kind::Duration, "0s", Some("ipvs-min-sync-period"), NO_IPVS),
    no_effect("ipvs.scheduler", Kind::Text, "", Some("ipvs-scheduler"), NO_IPVS),
    no_effect("ipvs.strictARP", Kind::Bool, "", Some("ipvs-strict-arp"), NO_IPVS),
    no_effect("ipvs.syncPeriod", Kind::Duration, "30s", Some("ipvs-sync-period"), NO_IPVS),
    no_effect("ipvs.tcpFinTimeout", Kind::Duration, "0s", Some("ipvs-tcpfin-timeout"), NO_IPVS),
    no_effect("ipvs.tcpTimeout", Kind::Duration, "0s", Some("ipvs-tcp-timeout"), NO_IPVS),
    no_effect("ipvs.udpTimeout", Kind::Duration, "0s", Some("ipvs-udp-timeout"), NO_IPVS),
    no_effect("logging.flushFrequency", Kind::DurationOrInteger, "5s", Some("log-flush-frequency"), NO_BUFFER),
    no_effect("logging.format", Kind::Word(&["text", "json"]), "text", Some("logging-format"), "svcnat logs text"),
    no_effect("logging.options.json.infoBufferSize", Kind::Quantity, "0", Some("log-json-info-buffer-size"), NO_BUFFER),
    no_effect("logging.options.json.splitStream", Kind::Bool, "", Some("log-json-split-stream"), NO_BUFFER),
    no_effect("logging.options.text.infoBufferSize", Kind::Quantity, "0", Some("log-text-info-buffer-size"), NO_BUFFER),
    no_effect("logging.options.text.splitStream", Kind::Bool, "", Some("log-text-split-stream"), NO_BUFFER),
    no_effect("logging.vmodule", Kind::List, "", Some("vmodule"), "it names kube-proxy's source files; RUST_LOG takes svcnat's modules"),
    no_effect("metadata", Kind::Any, "", None, "a configuration file is no object of the cluster"),
    no_effect("portRange", Kind::Text, "", None, "kube-proxy does not use it either"),
    no_effect("resourceContainer", Kind::Text, "", None, GONE),
    no_effect("showHiddenMetricsForVersion", Kind::Text, "", Some("show-hidden-metrics-for-version"), "svcnat hides no metrics"),
    no_effect("udpIdleTimeout", Kind::Duration, "250ms", None, GONE),
    no_effect("windowsRunAsService", Kind::Bool, "", None, NO_WINDOWS),
    no_effect("winkernel.enableDSR", Kind::Bool, "", None, NO_WINDOWS),
    no_effect("winkernel.forwardHealthCheckVip", Kind::Bool, "", None, NO_WINDOWS),
    no_effect("winkernel.networkName", Kind::Text, "", None, NO_WINDOWS),
    no_effect("winkernel.rootHnsEndpointName", Kind::Text, "", None, NO_WINDOWS),
    no_effect("winkernel.sourceVip", Kind::Text, "", None, NO_WINDOWS),
];

/// The flag, without the dashes, of each key that has one.
static FLAGS: &[(&str, &str)] = &[
    ("bindAddress", "bind-address"),
    ("bindAddressHardFail", "bind-address-hard-fail"),
    ("clientConnection.burst", "kube-api-burst"),
    ("clientConnection.kubeconfig", "kubeconfig"),
    ("clientConnection.qps", "kube-api-qps"),
    ("clusterCIDR", "cluster-cidr"),
    ("conntrack.maxPerCore", "conntrack-max-per-core"),
    ("conntrack.min", "conntrack-min"),
    ("conntrack.tcpBeLiberal", "conntrack-tcp-be-liberal"),
    ("conntrack.tcpCloseWaitTimeout", "conntrack-tcp-timeout-close-wait"),
    ("conntrack.tcpEstablishedTimeout", "conntrack-tcp-timeout-established"),
    ("conntrack.udpStreamTimeout", "conntrack-udp-timeout-stream"),
    ("conntrack.udpTimeout", "conntrack-udp-timeout"),
    ("detectLocal.bridgeInterface", "pod-bridge-interface"),
    ("detectLocal.interfaceNamePrefix", "pod-interface-name-prefix"),
    ("detectLocalMode", "detect-local-mode"),
    ("featureGates", "feature-gates"),
    ("healthzBindAddress", "healthz-bind-address"),
    ("hostnameOverride", "hostname-override"),
    ("logging.verbosity", "v"),
    ("metricsBindAddress", "metrics-bind-address"),
    ("mode", "proxy-mode"),
    ("iptables.masqueradeAll", "masquerade-all"),
    ("iptables.masqueradeBit", "masquerade-bit"),
    ("iptables.minSyncPeriod", "iptables-min-sync-period"),
    ("iptables.syncPeriod", "iptables-sync-period"),
    ("nftables.masqueradeAll", "masquerade-all"),
    ("nftables.masqueradeBit", "masquerade-bit"),
    ("nftables.minSyncPeriod", "iptables-min-sync-period"),
    ("nftables.syncPeriod", "iptables-sync-period"),
    ("nodePortAddresses", "nodeport-addresses"),
    ("oomScoreAdj", "oom-score-adj"),
    ("affinitySize", "affinity-size"),
    ("backendComments", "backend-comments"),
    ("counters", "counters"),
    ("countersSeries", "counters-series"),
    ("layout", "layout"),
    ("ownTables", "own-tables"),
    ("pageBindAddress", "page-bind-address"),
    ("resetDeadConnections", "reset-dead-connections"),
    ("stateFile", "state-file"),
];

/// The flag of a key, or of the list or map that a key is an entry of, without the dashes.
pub(super) fn flag_of(key: &str) -> Option<&'static str> {
    let find = |key: &str| FLAGS.iter().find(|(known, _)| *known == key).map(|(_, flag)| *flag);
    find(key).or_else(|| key.rfind(['[', '.']).and_then(|end| find(key.get(..end)?)))
}

/// Every flag that stands for a key, without the dashes, those without effect last.
pub fn flags() -> impl Iterator<Item = &'static str> {
    FLAGS.iter().map(|(_, flag)| *flag).chain(NO_EFFECT.iter().filter_map(|entry| entry.flag))
}
