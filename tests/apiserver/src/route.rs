//! What a path leads to.

use crate::Resource;

/// What a path leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Route {
    /// `/version`.
    Version,
    /// `/healthz`, `/livez`, `/readyz`.
    Health,
    /// `/api`: the versions of the core group.
    CoreVersions,
    /// `/apis`: all other groups.
    Groups,
    /// `/apis/GROUP`.
    Group(String),
    /// `/api/v1`, `/apis/GROUP/VERSION`, by what objects write as their apiVersion.
    Resources(String),
    /// All objects of a resource, or those of a namespace.
    Collection {
        /// The resource.
        resource: Resource,
        /// The namespace, if the path names one.
        namespace: Option<String>,
    },
    /// One object.
    Object {
        /// The resource.
        resource: Resource,
        /// Empty where there is none.
        namespace: String,
        /// The object's name.
        name: String,
    },
    /// Nothing that could be served.
    Nowhere,
}

impl Route {
    pub(crate) fn parse(path: &str) -> Self {
        let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        match parts.as_slice() {
            ["version"] => Self::Version,
            ["healthz" | "livez" | "readyz"] => Self::Health,
            ["api"] => Self::CoreVersions,
            ["apis"] => Self::Groups,
            ["apis", group] => Self::Group((*group).to_owned()),
            ["api", "v1"] => Self::Resources("v1".to_owned()),
            ["apis", group, version] => Self::Resources(format!("{group}/{version}")),
            ["api", "v1", rest @ ..] => Self::objects("v1", rest),
            ["apis", group, version, rest @ ..] => Self::objects(&format!("{group}/{version}"), rest),
            _ => Self::Nowhere,
        }
    }

    fn objects(api_version: &str, rest: &[&str]) -> Self {
        let (namespace, plural, name) = match rest {
            [plural] => (None, plural, None),
            ["namespaces", namespace, plural] => (Some(*namespace), plural, None),
            ["namespaces", namespace, plural, name] => (Some(*namespace), plural, Some(*name)),
            [plural, name] => (None, plural, Some(*name)),
            _ => return Self::Nowhere,
        };
        let Some(resource) = Resource::find(api_version, plural) else { return Self::Nowhere };
        let namespaced = resource.facts().namespaced;
        match (namespace, name) {
            (Some(_), _) if !namespaced => Self::Nowhere,
            (None, Some(_)) if namespaced => Self::Nowhere,
            (namespace, None) => Self::Collection { resource, namespace: namespace.map(str::to_owned) },
            (namespace, Some(name)) => Self::Object {
                resource,
                namespace: namespace.unwrap_or_default().to_owned(),
                name: name.to_owned(),
            },
        }
    }

    /// The resource that the path is about.
    pub(crate) fn resource(&self) -> Option<Resource> {
        match self {
            Self::Collection { resource, .. } | Self::Object { resource, .. } => Some(*resource),
            _ => None,
        }
    }
}
