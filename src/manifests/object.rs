//! One object of a manifest: which kind it is, and its conversion.

use std::fmt;

use k8s_openapi::api::{core::v1 as core, discovery::v1 as discovery, networking::v1 as networking};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use svcnat_rules::cluster::{EndpointSlice, Node, Service};
use svcnat_rules::net::Cidr;

use super::error::{Place, Reason};
use crate::convert::{
    self, Invalid, InvalidField, NotProgrammed, Outcome, Pod, Problem, Selection, printable,
};

/// A converted object and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// Where: the first line of the document that it stands in.
    pub place: Place,
    /// Which object of the cluster it is.
    pub key: ObjectRef,
    /// What it says.
    pub content: Content,
}

/// Which object of a cluster. Displayed as `Service shop/web` or `Node n1`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectRef {
    /// `kind`.
    pub kind: String,
    /// `metadata.namespace`, `default` where it is not given; empty for kinds without namespace.
    pub namespace: String,
    /// `metadata.name`; empty where it is missing.
    pub name: String,
}

/// What an object says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// A Service and, where it has a selector, which Pods it selects.
    Service(Box<(Outcome<Service>, Option<Selection>)>),
    /// An EndpointSlice.
    EndpointSlice(Outcome<EndpointSlice>),
    /// The slices that an Endpoints object amounts to.
    Endpoints(Outcome<Vec<EndpointSlice>>),
    /// A Pod.
    Pod(Outcome<Pod>),
    /// A Node.
    Node(Node),
    /// The networks of a ServiceCIDR.
    ServiceCidr(Vec<Cidr>),
}

impl Content {
    /// Why the object takes no part in the rules, if it does not.
    #[must_use]
    pub fn not_programmed(&self) -> Option<&NotProgrammed> {
        match self {
            Self::Service(service) => reason(&service.0),
            Self::EndpointSlice(slice) => reason(slice),
            Self::Endpoints(slices) => reason(slices),
            Self::Pod(pod) => reason(pod),
            Self::Node(_) | Self::ServiceCidr(_) => None,
        }
    }
}

fn reason<T>(outcome: &Outcome<T>) -> Option<&NotProgrammed> {
    match outcome {
        Outcome::Programmed(_) => None,
        Outcome::NotProgrammed(reason) => Some(reason),
    }
}

impl fmt::Display for ObjectRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", printable(&self.kind))?;
        if !self.namespace.is_empty() {
            write!(f, "{}/", printable(&self.namespace))?;
        }
        if self.name.is_empty() {
            f.write_str("(without a name)")
        } else {
            f.write_str(&printable(&self.name))
        }
    }
}

/// What was made of an object's fields.
pub(super) enum Read {
    Object(ObjectRef, Content),
    OtherKind(String),
    OtherVersion { object: ObjectRef, found: String, expected: &'static str },
    Faulty(Option<ObjectRef>, Vec<Fault>),
}

/// A field at fault.
pub(super) struct Fault {
    /// The path from the object's root; empty for the object as a whole.
    pub field: String,
    /// What is wrong.
    pub reason: Reason,
}

/// A kind that is read.
struct Kind {
    name: &'static str,
    group: &'static str,
    version: &'static str,
    namespaced: bool,
    /// The fields to keep, in the form of [`keep`].
    fields: &'static [&'static str],
    convert: fn(Value) -> Result<Content, Vec<Fault>>,
}

/// Only what is converted is kept. The rest is nobody's business here: a Pod may say `cpu: 1` in a place where
/// k8s-openapi wants text, a Node lists hundreds of images, and all of them have `managedFields`.
const KINDS: [Kind; 6] = [
    Kind {
        name: "Service",
        group: "",
        version: "v1",
        namespaced: true,
        fields: &["metadata", "spec", "status.loadBalancer"],
        convert: service,
    },
    Kind {
        name: "EndpointSlice",
        group: "discovery.k8s.io",
        version: "discovery.k8s.io/v1",
        namespaced: true,
        fields: &["metadata", "addressType", "endpoints", "ports"],
        convert: |value| {
            let object: discovery::EndpointSlice = typed(value)?;
            Ok(Content::EndpointSlice(convert::endpoint_slice(&object.into()).map_err(faults)?))
        },
    },
    Kind {
        name: "Endpoints",
        group: "",
        version: "v1",
        namespaced: true,
        fields: &["metadata", "subsets"],
        convert: |value| {
            let object: core::Endpoints = typed(value)?;
            Ok(Content::Endpoints(convert::endpoints(&object).map_err(faults)?))
        },
    },
    Kind {
        name: "Pod",
        group: "",
        version: "v1",
        namespaced: true,
        fields: &[
            "metadata",
            "spec.nodeName",
            "spec.containers.name",
            "spec.containers.ports",
            "spec.initContainers.name",
            "spec.initContainers.ports",
            "spec.initContainers.restartPolicy",
            "status.phase",
            "status.podIP",
            "status.podIPs",
            "status.conditions.type",
            "status.conditions.status",
        ],
        convert: |value| {
            let object: core::Pod = typed(value)?;
            Ok(Content::Pod(convert::pod(&object).map_err(faults)?))
        },
    },
    Kind {
        name: "Node",
        group: "",
        version: "v1",
        namespaced: false,
        fields: &["metadata", "spec.podCIDR", "spec.podCIDRs", "status.addresses"],
        convert: |value| {
            let object: core::Node = typed(value)?;
            Ok(Content::Node(convert::node(&object).map_err(faults)?))
        },
    },
    Kind {
        name: "ServiceCIDR",
        group: "networking.k8s.io",
        version: "networking.k8s.io/v1",
        namespaced: false,
        fields: &["metadata", "spec"],
        convert: |value| {
            let object: networking::ServiceCIDR = typed(value)?;
            Ok(Content::ServiceCidr(convert::service_cidr(&object).map_err(faults)?))
        },
    },
];

const METADATA: [&str; 5] = ["name", "namespace", "labels", "creationTimestamp", "deletionTimestamp"];

/// Converts the fields of one object.
pub(super) fn read(mut fields: Map<String, Value>) -> Read {
    let kind = text(&fields, "kind").to_owned();
    let version = text(&fields, "apiVersion").to_owned();
    if kind.is_empty() || version.is_empty() {
        let field = if kind.is_empty() { "kind" } else { "apiVersion" };
        let object = (!kind.is_empty()).then(|| object_ref(&kind, &fields, true));
        return Read::Faulty(
            object,
            vec![Fault { field: field.to_owned(), reason: Problem::Required.into() }],
        );
    }
    // Others may have kinds of the same name, such as Knative's Service.
    let group = version.rsplit_once('/').map_or("", |(group, _)| group);
    let Some(known) = KINDS.iter().find(|known| known.name == kind && known.group == group) else {
        return Read::OtherKind(kind);
    };
    let object = object_ref(&kind, &fields, known.namespaced);
    if version != known.version {
        return Read::OtherVersion { object, found: version, expected: known.version };
    }
    keep(&mut fields, known.fields);
    if let Some(Value::Object(metadata)) = fields.get_mut("metadata") {
        keep(metadata, &METADATA);
    }
    match (known.convert)(Value::Object(fields)) {
        Ok(content) => Read::Object(object, content),
        Err(faults) => Read::Faulty(Some(object), faults),
    }
}

fn text<'a>(fields: &'a Map<String, Value>, key: &str) -> &'a str {
    fields.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn object_ref(kind: &str, fields: &Map<String, Value>, namespaced: bool) -> ObjectRef {
    let empty = Map::new();
    let metadata = fields.get("metadata").and_then(Value::as_object).unwrap_or(&empty);
    let namespace = match text(metadata, "namespace") {
        _ if !namespaced => "",
        "" => "default",
        given => given,
    };
    let name = text(metadata, "name");
    ObjectRef { kind: kind.to_owned(), namespace: namespace.to_owned(), name: name.to_owned() }
}

/// Drops every field that no path leads to or through; `a.b` stands for `b` in `a` or, where `a` is a list, in each of
/// its entries.
fn keep(fields: &mut Map<String, Value>, paths: &[&'static str]) {
    let head = |path: &&'static str| path.split_once('.').map_or(*path, |(head, _)| head);
    fields.retain(|key, _| paths.iter().any(|path| head(path) == key));
    for (key, value) in fields.iter_mut() {
        let of_key = paths.iter().filter(|path| head(path) == key);
        let tails: Vec<_> = of_key.filter_map(|path| path.split_once('.')).map(|(_, tail)| tail).collect();
        match value {
            _ if tails.is_empty() => {}
            Value::Object(fields) => keep(fields, &tails),
            Value::Array(entries) => {
                entries.iter_mut().filter_map(Value::as_object_mut).for_each(|fields| keep(fields, &tails));
            }
            _ => {}
        }
    }
}

fn typed<T: DeserializeOwned>(value: Value) -> Result<T, Vec<Fault>> {
    serde_path_to_error::deserialize(value).map_err(|error| {
        let path = error.path().to_string();
        let field = if path == "." { String::new() } else { path };
        vec![Fault { field, reason: Reason::Type(printable(&error.inner().to_string())) }]
    })
}

fn faults(invalid: Invalid) -> Vec<Fault> {
    let fault = |fault: InvalidField| Fault { field: fault.field, reason: fault.problem.into() };
    invalid.fields.into_iter().map(fault).collect()
}

fn service(value: Value) -> Result<Content, Vec<Fault>> {
    let object: core::Service = typed(value)?;
    let outcome = convert::service(&object).map_err(faults)?;
    let selection = match &outcome {
        Outcome::Programmed(service) => convert::selection(&object, service).map_err(faults)?,
        Outcome::NotProgrammed(_) => None,
    };
    Ok(Content::Service(Box::new((outcome, selection))))
}
