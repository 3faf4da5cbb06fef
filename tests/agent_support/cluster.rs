//! A cluster: an API server and what it was given.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;
use svcnat_apiserver::{ApiServer, Options, Resource};
use tempfile::TempDir;

use super::objects::Objects;

pub struct Cluster {
    pub server: ApiServer,
    pub objects: Objects,
    folder: TempDir,
}

impl Cluster {
    /// A cluster of these objects, whose server is in the namespace of the calling thread.
    pub fn of(objects: impl IntoIterator<Item = Value>) -> Self {
        let server = ApiServer::start(&Options::default()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("kubeconfig"), server.kubeconfig()).unwrap();
        let mut cluster = Self { server, objects: Objects::default(), folder };
        objects.into_iter().for_each(|object| cluster.apply(object));
        cluster
    }

    pub fn kubeconfig(&self) -> PathBuf {
        self.folder.path().join("kubeconfig")
    }

    /// Creates or replaces an object.
    pub fn apply(&mut self, object: Value) {
        self.objects.put(object.clone());
        self.server.apply(object).unwrap();
    }

    /// Deletes a Service of the namespace `shop` and its slice.
    pub fn delete(&mut self, service: &str) {
        self.delete_one(Resource::Services, service);
        self.delete_one(Resource::EndpointSlices, &format!("{service}-1"));
    }

    /// Deletes an object, of the namespace `shop` where its kind has namespaces.
    pub fn delete_one(&mut self, resource: Resource, name: &str) {
        let (kind, namespace) = match resource {
            Resource::Services => ("Service", "shop"),
            Resource::EndpointSlices => ("EndpointSlice", "shop"),
            Resource::Nodes => ("Node", ""),
            Resource::ServiceCidrs => ("ServiceCIDR", ""),
            Resource::Endpoints | Resource::Events => panic!("{resource:?} are not deleted by tests"),
        };
        self.objects.remove(kind, namespace, name);
        self.server.delete(resource, namespace, name);
    }
}
