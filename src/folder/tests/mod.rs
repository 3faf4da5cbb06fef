//! Following real files with a real inotify.

mod reading;
mod writers;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use svcnat_rules::cluster::Cluster;
use svcnat_rules::name::Name;
use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::{Folder, Options, Pace};
use crate::source::News;

/// For how long the expected may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// A Service at a ClusterIP.
fn service(name: &str, ip: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Service\nmetadata: {{name: {name}}}\nspec: {{clusterIP: {ip}, ports: [{{port: 80}}]}}\n"
    )
}

/// Files with these names and contents, in a folder `manifests` within another.
fn folder(files: &[(&str, &str)]) -> TempDir {
    let place = tempfile::tempdir().unwrap();
    fs::create_dir(place.path().join("manifests")).unwrap();
    for (name, content) in files {
        fs::write(place.path().join("manifests").join(name), content).unwrap();
    }
    place
}

fn options(paths: &[&Path]) -> Options {
    Options {
        paths: paths.iter().map(|path| PathBuf::from(*path)).collect(),
        node_name: Name::from("n1"),
        service_cidrs: Vec::new(),
    }
}

/// Someone who listens to a source and keeps what it tells.
struct Listener {
    news: mpsc::Receiver<News>,
    cluster: Cluster,
}

impl Listener {
    /// Follows paths; has heard everything that there was at the start.
    async fn start(paths: &[&Path], pace: Pace) -> Self {
        let source = Folder::open_at(options(paths), pace).await.unwrap();
        // As narrow as it can be, so that nothing depends on the width.
        let (sender, news) = mpsc::channel(1);
        tokio::spawn(source.run(sender));
        let mut listener = Self { news, cluster: Cluster::default() };
        let mut eligible = false;
        loop {
            match listener.hear().await {
                News::Change(_) => {}
                News::Eligible(now) => eligible = now,
                News::Complete => break,
            }
        }
        assert!(eligible);
        listener
    }

    async fn hear(&mut self) -> News {
        let news = timeout(PATIENCE, self.news.recv()).await.expect("no news").expect("the source has ended");
        if let News::Change(change) = &news {
            self.cluster.apply(change.event.clone());
        }
        news
    }

    /// Listens until the Services are these, `name ip` each, without a state in which one of them that was there
    /// before and is there afterwards is gone.
    #[track_caller]
    fn until(&mut self, expected: &[&str]) -> impl Future<Output = ()> {
        let caller = std::panic::Location::caller();
        async move {
            let before = self.services();
            let stay: Vec<_> =
                before.iter().filter(|one| expected.contains(&one.as_str())).cloned().collect();
            loop {
                let now = self.services();
                assert!(
                    stay.iter().all(|one| now.contains(one)),
                    "{caller}: {before:?} > {now:?} > {expected:?}"
                );
                if now == expected {
                    return;
                }
                let heard = timeout(PATIENCE, self.hear()).await;
                assert!(heard.is_ok(), "{caller}: {now:?}, not {expected:?}");
            }
        }
    }

    /// Makes sure that nothing is told for a while in which every change would long have been.
    #[track_caller]
    fn silence(&mut self) -> impl Future<Output = ()> {
        let caller = std::panic::Location::caller();
        async move {
            let heard = timeout(Duration::from_millis(400), self.news.recv()).await;
            assert!(heard.is_err(), "{caller}: {heard:?}");
        }
    }

    fn services(&self) -> Vec<String> {
        let name = |service: &svcnat_rules::cluster::Service| {
            format!("{} {}", service.name.name(), service.cluster_ips.first().unwrap())
        };
        self.cluster.services.values().map(name).collect()
    }
}
