//! From the objects of all files to the state of the cluster.

use std::collections::{BTreeMap, HashMap};

use svcnat_rules::cluster::{Cluster, EndpointSlice, Node};
use svcnat_rules::name::ObjectName;
use svcnat_rules::net::Family;

use super::note::Note;
use super::object::{Content, Object, ObjectRef};
use crate::convert::{Outcome, Pod, Selection};

/// How many names of Nodes are told when the right one is missing.
const NODES_TOLD: usize = 5;

/// The cluster that the objects make up. Where an object is given more than once, the last one counts.
///
/// The endpoints of a Service are its EndpointSlices; where there are none, its Endpoints object; where there is none
/// either, the Pods that it selects.
pub fn assemble<'a>(objects: impl IntoIterator<Item = &'a Object>, node_name: &str) -> (Cluster, Vec<Note>) {
    let mut notes = Vec::new();
    let mut all = All::default();
    for object in last_of_each(objects, &mut notes) {
        if let Some(reason) = object.content.not_programmed() {
            let (place, object) = (object.place.clone(), object.key.clone());
            notes.push(Note::NotProgrammed { place, object, reason: reason.clone() });
        }
        all.add(object);
    }
    all.add_endpoints();
    all.add_pods();
    all.cluster.service_cidrs.sort_unstable();
    all.cluster.service_cidrs.dedup();
    all.cluster.node = all.nodes.get(node_name).copied().cloned();
    if all.cluster.node.is_none() && !all.nodes.is_empty() {
        let known = all.nodes.keys().take(NODES_TOLD).map(|name| (*name).to_owned()).collect();
        notes.push(Note::NodeMissing { wanted: node_name.to_owned(), known });
    }
    (all.cluster, notes)
}

/// The objects that count, in the order in which they stand.
fn last_of_each<'a>(objects: impl IntoIterator<Item = &'a Object>, notes: &mut Vec<Note>) -> Vec<&'a Object> {
    let objects: Vec<&Object> = objects.into_iter().collect();
    let last: HashMap<&ObjectRef, usize> =
        objects.iter().enumerate().map(|(i, object)| (&object.key, i)).collect();
    let mut counting = Vec::with_capacity(last.len());
    for (i, object) in objects.iter().enumerate() {
        match last.get(&object.key).filter(|last| **last != i).and_then(|last| objects.get(*last)) {
            None => counting.push(*object),
            Some(by) => notes.push(Note::Replaced {
                place: object.place.clone(),
                object: object.key.clone(),
                by: by.place.clone(),
            }),
        }
    }
    counting
}

#[derive(Default)]
struct All<'a> {
    cluster: Cluster,
    nodes: BTreeMap<&'a str, &'a Node>,
    pods: BTreeMap<&'a ObjectName, &'a Pod>,
    endpoints: BTreeMap<&'a ObjectRef, &'a [EndpointSlice]>,
    selections: BTreeMap<&'a ObjectName, &'a Selection>,
}

impl<'a> All<'a> {
    fn add(&mut self, object: &'a Object) {
        match &object.content {
            Content::Service(service) => {
                if let (Outcome::Programmed(service), selection) = &**service {
                    self.cluster.services.insert(service.name.clone(), service.clone());
                    self.selections.extend(selection.iter().map(|selection| (&selection.service, selection)));
                }
            }
            Content::EndpointSlice(Outcome::Programmed(slice)) => {
                let name = ObjectName::new(&object.key.namespace, &object.key.name);
                self.cluster.slices.insert(name, slice.clone());
            }
            Content::Endpoints(Outcome::Programmed(slices)) => {
                self.endpoints.insert(&object.key, slices);
            }
            Content::Pod(Outcome::Programmed(pod)) => {
                self.pods.insert(&pod.name, pod);
            }
            Content::Node(node) => {
                self.nodes.insert(&node.name, node);
            }
            Content::ServiceCidr(cidrs) => self.cluster.service_cidrs.extend(cidrs),
            Content::EndpointSlice(_) | Content::Endpoints(_) | Content::Pod(_) => {}
        }
    }

    /// Adds the slices of Endpoints objects whose Services have no slices of their own. The Endpoints object of a Service
    /// counts even where it is empty: its Service has no endpoints, whatever Pods there are.
    fn add_endpoints(&mut self) {
        let have: Vec<ObjectName> = self.cluster.slices.values().map(|slice| slice.service.clone()).collect();
        for name in have {
            self.selections.remove(&name);
            self.endpoints.remove(&endpoints_key(&name));
        }
        for (key, slices) in std::mem::take(&mut self.endpoints) {
            let service = ObjectName::new(&key.namespace, &key.name);
            self.selections.remove(&service);
            self.add_slices(&service, "endpoints", slices.iter().cloned());
        }
    }

    /// Adds the slices of Services that have nothing but a selector.
    fn add_pods(&mut self) {
        let by_label = self.pods_by_label();
        for (service, selection) in std::mem::take(&mut self.selections) {
            let pods = candidates(&by_label, selection);
            let zone = |node: &str| self.nodes.get(node).and_then(|node| node.zone.clone());
            let slices = selection.slices(pods.iter().copied(), zone);
            self.add_slices(service, "pods", slices);
        }
    }

    fn pods_by_label(&self) -> PodsByLabel<'a> {
        let mut by_label = PodsByLabel::new();
        for pod in self.pods.values() {
            for (key, value) in &pod.labels {
                by_label.entry((pod.name.namespace(), key, value)).or_default().push(*pod);
            }
        }
        by_label
    }

    /// Adds slices under names such as `web-pods-ipv4`, numbered where that is taken.
    fn add_slices(
        &mut self,
        service: &ObjectName,
        origin: &str,
        slices: impl IntoIterator<Item = EndpointSlice>,
    ) {
        for slice in slices {
            let family = match slice.family {
                Family::Ipv4 => "ipv4",
                Family::Ipv6 => "ipv6",
            };
            let base = format!("{}-{origin}-{family}", service.name());
            let mut name = ObjectName::new(service.namespace(), &base);
            let mut number = 2;
            while self.cluster.slices.contains_key(&name) {
                name = ObjectName::new(service.namespace(), &format!("{base}-{number}"));
                number += 1;
            }
            self.cluster.slices.insert(name, slice);
        }
    }
}

fn endpoints_key(service: &ObjectName) -> ObjectRef {
    ObjectRef {
        kind: "Endpoints".to_owned(),
        namespace: service.namespace().to_owned(),
        name: service.name().to_owned(),
    }
}

/// The Pods of each namespace that have a label, in the order of their names.
type PodsByLabel<'a> = HashMap<(&'a str, &'a str, &'a str), Vec<&'a Pod>>;

/// The Pods that have the rarest of the labels which a selection asks for, so that no Service looks at all Pods.
fn candidates<'a, 'b>(by_label: &'b PodsByLabel<'a>, selection: &'a Selection) -> &'b [&'a Pod] {
    let namespace = selection.service.namespace();
    let having = |(key, value): (&'a String, &'a String)| {
        by_label.get(&(namespace, key.as_str(), value.as_str())).map(Vec::as_slice).unwrap_or_default()
    };
    selection.labels.iter().map(having).min_by_key(|pods| pods.len()).unwrap_or_default()
}
