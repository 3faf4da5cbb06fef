//! Rendered manifests as Kubernetes' own types.

use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::api::core::v1::{ConfigMap, PodSpec, ServiceAccount};
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::tools::{kustomize, yaml};

/// The objects that a folder renders to.
#[derive(Default)]
pub struct Objects {
    pub daemon_sets: Vec<DaemonSet>,
    pub config_maps: Vec<ConfigMap>,
    pub accounts: Vec<ServiceAccount>,
    pub roles: Vec<ClusterRole>,
    pub bindings: Vec<ClusterRoleBinding>,
}

impl Objects {
    /// Renders a folder. Fields that Kubernetes does not know, and kinds that are not here, are refused.
    #[track_caller]
    pub fn of(folder: &str) -> Self {
        let mut objects = Self::default();
        for object in yaml(&kustomize(folder)) {
            let kind = (object["apiVersion"].as_str().unwrap(), object["kind"].as_str().unwrap());
            match kind {
                ("apps/v1", "DaemonSet") => objects.daemon_sets.push(strictly(&object)),
                ("v1", "ConfigMap") => objects.config_maps.push(strictly(&object)),
                ("v1", "ServiceAccount") => objects.accounts.push(strictly(&object)),
                ("rbac.authorization.k8s.io/v1", "ClusterRole") => objects.roles.push(strictly(&object)),
                ("rbac.authorization.k8s.io/v1", "ClusterRoleBinding") => {
                    objects.bindings.push(strictly(&object));
                }
                _ => panic!("{folder}: {kind:?}"),
            }
        }
        objects
    }

    /// The only DaemonSet.
    #[track_caller]
    pub fn daemon_set(&self) -> &DaemonSet {
        let [daemon_set] = &self.daemon_sets[..] else { panic!("{} DaemonSets", self.daemon_sets.len()) };
        daemon_set
    }

    /// The pods of the only DaemonSet.
    #[track_caller]
    pub fn pod(&self) -> &PodSpec {
        self.daemon_set().spec.as_ref().unwrap().template.spec.as_ref().unwrap()
    }

    /// The ConfigMap of a name, if it is one of these objects.
    fn config_map(&self, name: &str) -> Option<&ConfigMap> {
        self.config_maps.iter().find(|found| found.metadata.name.as_deref() == Some(name))
    }

    /// The keys of a ConfigMap, if it is one of these objects.
    pub fn keys(&self, config_map: &str) -> Option<Vec<&str>> {
        let data = self.config_map(config_map)?.data.iter().flatten();
        Some(data.map(|(key, _)| key.as_str()).collect())
    }

    /// The text under a key of a ConfigMap.
    #[track_caller]
    pub fn text(&self, config_map: &str, key: &str) -> &str {
        let found = self.config_map(config_map).unwrap_or_else(|| panic!("no ConfigMap {config_map}"));
        &found.data.as_ref().unwrap()[key]
    }
}

/// Reads an object and refuses fields that its type does not have.
#[track_caller]
fn strictly<T: DeserializeOwned>(object: &Value) -> T {
    let mut unknown = Vec::new();
    let read = serde_ignored::deserialize(object, |path| unknown.push(path.to_string()));
    assert!(unknown.is_empty(), "unknown fields: {unknown:?}");
    read.unwrap_or_else(|error| panic!("{error}: {object:#}"))
}

#[test]
#[should_panic(expected = "unknown fields: [\"spec.?.template.?.spec.?.hostNetworks\"]")]
fn a_field_that_kubernetes_does_not_know_is_refused() {
    let pod = serde_json::json!({ "containers": [], "hostNetworks": true });
    let spec = serde_json::json!({ "selector": {}, "template": { "spec": pod } });
    strictly::<DaemonSet>(&serde_json::json!({ "apiVersion": "apps/v1", "kind": "DaemonSet", "spec": spec }));
}
