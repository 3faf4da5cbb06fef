//! The resources that are served.

/// A resource of the API, as it is named in paths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Resource {
    /// `services` of v1.
    Services,
    /// `endpoints` of v1.
    Endpoints,
    /// `nodes` of v1.
    Nodes,
    /// `endpointslices` of discovery.k8s.io/v1.
    EndpointSlices,
    /// `servicecidrs` of networking.k8s.io/v1.
    ServiceCidrs,
    /// `events` of v1 and of events.k8s.io/v1. They can be created and patched only.
    Events,
}

/// What the API says about a resource.
#[derive(Debug)]
pub(crate) struct Facts {
    /// Empty for the core group.
    pub group: &'static str,
    pub api_version: &'static str,
    pub plural: &'static str,
    pub singular: &'static str,
    pub kind: &'static str,
    pub namespaced: bool,
    /// What follows the metadata in a bookmark: the fields that Go writes even when they are empty.
    pub empty: &'static str,
}

const SERVICES: Facts = Facts {
    group: "",
    api_version: "v1",
    plural: "services",
    singular: "service",
    kind: "Service",
    namespaced: true,
    empty: r#","spec":{},"status":{"loadBalancer":{}}"#,
};

const ENDPOINTS: Facts = Facts {
    group: "",
    api_version: "v1",
    plural: "endpoints",
    singular: "endpoints",
    kind: "Endpoints",
    namespaced: true,
    empty: "",
};

const NODES: Facts = Facts {
    group: "",
    api_version: "v1",
    plural: "nodes",
    singular: "node",
    kind: "Node",
    namespaced: false,
    empty: concat!(
        r#","spec":{},"status":{"daemonEndpoints":{"kubeletEndpoint":{"Port":0}},"nodeInfo":{"machineID":"","#,
        r#""systemUUID":"","bootID":"","kernelVersion":"","osImage":"","containerRuntimeVersion":"","#,
        r#""kubeletVersion":"","kubeProxyVersion":"","operatingSystem":"","architecture":""}}"#
    ),
};

const ENDPOINT_SLICES: Facts = Facts {
    group: "discovery.k8s.io",
    api_version: "discovery.k8s.io/v1",
    plural: "endpointslices",
    singular: "endpointslice",
    kind: "EndpointSlice",
    namespaced: true,
    empty: r#","addressType":"","endpoints":null,"ports":null"#,
};

const SERVICE_CIDRS: Facts = Facts {
    group: "networking.k8s.io",
    api_version: "networking.k8s.io/v1",
    plural: "servicecidrs",
    singular: "servicecidr",
    kind: "ServiceCIDR",
    namespaced: false,
    empty: r#","spec":{},"status":{}"#,
};

const EVENTS: Facts = Facts {
    group: "",
    api_version: "v1",
    plural: "events",
    singular: "event",
    kind: "Event",
    namespaced: true,
    empty: "",
};

/// The group of the newer API of events.
pub(crate) const EVENTS_GROUP: &str = "events.k8s.io";

impl Resource {
    pub(crate) const COUNT: usize = 6;

    pub(crate) const ALL: [Self; Self::COUNT] = [
        Self::Services,
        Self::Endpoints,
        Self::Nodes,
        Self::EndpointSlices,
        Self::ServiceCidrs,
        Self::Events,
    ];

    pub(crate) fn facts(self) -> &'static Facts {
        match self {
            Self::Services => &SERVICES,
            Self::Endpoints => &ENDPOINTS,
            Self::Nodes => &NODES,
            Self::EndpointSlices => &ENDPOINT_SLICES,
            Self::ServiceCidrs => &SERVICE_CIDRS,
            Self::Events => &EVENTS,
        }
    }

    /// The resource with this name in a version of the API, as paths say it: `v1`, `discovery.k8s.io/v1`.
    pub(crate) fn find(api_version: &str, plural: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|resource| resource.facts().plural == plural && resource.is_in(api_version))
    }

    /// Whether the resource belongs to a version of the API.
    pub(crate) fn is_in(self, api_version: &str) -> bool {
        let newer = self == Self::Events && api_version.strip_prefix(EVENTS_GROUP) == Some("/v1");
        newer || self.facts().api_version == api_version
    }

    /// The resource of objects of a kind.
    pub(crate) fn of_kind(kind: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|resource| resource.facts().kind == kind)
    }

    /// `services`, `endpointslices.discovery.k8s.io`: how messages say it.
    pub(crate) fn qualified(self) -> String {
        let Facts { group, plural, .. } = self.facts();
        if group.is_empty() { (*plural).to_owned() } else { format!("{plural}.{group}") }
    }
}
