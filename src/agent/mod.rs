//! The agent: keeps a node's rules true.
//!
//! A source (the Kubernetes API, or a folder of manifests) tells [`News`]; the keeper (`keeper.rs`) turns them into
//! transactions and keeps the kernel in step; the rest is what people and machines are told. Nothing here waits for
//! anything that another part does, but the keeper for the kernel.

mod answers;
mod back_end;
mod backoff;
mod chronicle;
mod cleaner;
mod complaint;
mod config;
mod connections;
mod error;
mod iptables;
mod iptables_watch;
mod keeper;
mod keeper_thread;
mod kernel;
mod leftovers;
mod listing;
mod nftables;
mod observers;
mod outlet;
mod packets;
mod questions;
mod saver;
mod socket;

use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::{Path, PathBuf};
use std::time::Duration;

use axum::Router;
use svcnat_rules::cluster::Cluster;
use svcnat_rules::net::Cidr;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;

pub use error::Error;
pub use outlet::Print;

use crate::http::{Bind, Health, HealthChecks, Server};
use crate::kubernetes::{
    self, ClientSettings, Connection, Handle, Known, Regarding, Report, Reporter, Severity,
};
use crate::metrics::{Kind, Metrics};
use crate::settings::{self, Settings};
use crate::source::News;
use crate::{addresses, folder, page, state_file};
use back_end::BackEnd;
use keeper::{Inputs, Keeper, Parts};
use keeper_thread::Made;
use observers::Observers;
use questions::Asker;
use saver::Saver;
use socket::Socket;

/// How the agent is started.
pub struct Options {
    /// The settings that it starts with.
    pub settings: Settings,
    /// Where they come from, to be looked at again.
    pub settings_source: settings::Source,
    /// Manifests to follow instead of the Kubernetes API; none for the API.
    pub manifests: Vec<PathBuf>,
    /// Networks that ClusterIPs are taken from, besides those that objects tell of.
    pub service_cidrs: Vec<Cidr>,
    /// Where questions are answered (see [`agent_api`](crate::agent_api)); none for nowhere. A dry run answers none.
    pub socket: Option<PathBuf>,
    /// Changes nothing: what would be sent is given to this instead.
    pub dry_run: Option<Print>,
    /// Called when settings ask for more or less on standard error.
    pub set_log_level: Box<dyn Fn(&Settings) + Send + Sync>,
}

/// How many news may wait for the keeper before sources wait for it.
const NEWS: usize = 4096;

/// How often the state of the watches is looked at for metrics.
const LOOK_AT_WATCHES: Duration = Duration::from_secs(5);

/// Runs until SIGTERM or SIGINT comes. The rules stay.
///
/// # Errors
///
/// See [`Error`]: only where it cannot start.
pub async fn run(options: Options) -> Result<(), Error> {
    let Options { settings, settings_source, manifests, service_cidrs, socket, dry_run, set_log_level } =
        options;
    let stop = Box::pin(stop_signal()?);
    let dry = dry_run.is_some();
    let _lock = if dry { None } else { Some(lock()?) };
    let metrics = Metrics::of(settings.mode);
    let health = Health::new(settings.sync_period.saturating_mul(2));
    let mut tasks = JoinSet::new();

    let (news_sender, news) = mpsc::channel(NEWS);
    let source = if manifests.is_empty() { "kubernetes" } else { "manifests" };
    let known = if manifests.is_empty() { saved_state(&settings).await } else { None };
    let reporter =
        start_source(&settings, manifests, service_cidrs, known.as_ref(), news_sender, &metrics, &mut tasks)
            .await?;

    let (asker, questions, watchers) = Asker::new();
    let answers = answers::router(asker.clone(), settings.mode);
    let mut health_checks = None;
    let mut _servers = Vec::new();
    let (configz, shown) = watch::channel(settings.to_json());
    if !dry {
        keeper::set_oom_score_adj(&settings);
        _servers = serve(&settings, &health, &metrics, shown, &answers)?;
        let node = known.as_ref().and_then(|known| known.node.as_ref());
        let (checks, problems) =
            HealthChecks::start(&settings.rules, node, addresses::follow().await?, health.clone());
        health_checks = Some(checks);
        tasks.spawn(tell_of_problems(problems, reporter.clone()));
    }
    let (settings_sender, new_settings) = mpsc::channel(1);
    tasks.spawn(config::follow(settings_source, settings.clone(), settings_sender));
    let state_file = settings.state_file.clone().filter(|_| !dry);
    let saver = state_file.map(|path| Saver::new(path, metrics.clone(), asker.clone()));
    if !dry {
        metrics.set_refresh(connections::refresh(&metrics, asker));
    }
    let _socket = socket.filter(|_| !dry).and_then(|path| listen_on_socket(&path, answers));
    let observers = Observers::new(metrics.clone(), health_checks, reporter, &settings);
    let (disturbance_sender, disturbances) = mpsc::channel(1);
    let (first_success, succeeded) = oneshot::channel();
    let disturbed = disturbance_sender.clone();
    let make = {
        let metrics = metrics.clone();
        move || -> Result<Made, Error> {
            let BackEnd { outlet, cleaner, predecessor, errands } = match dry_run {
                Some(print) => back_end::for_dry_run(settings.mode, print)?,
                None => back_end::start(&settings, &metrics, &disturbed)?,
            };
            let first_success = Some(first_success);
            let parts = Parts {
                settings,
                outlet,
                cleaner,
                observers,
                health,
                saver,
                watchers,
                source,
                configz,
                first_success,
                set_log_level,
            };
            let inputs = Inputs { news, settings: new_settings, disturbances, errands, questions, stop };
            Ok((Keeper::new(parts, known), inputs, predecessor))
        }
    };
    let (predecessor, ended) = keeper_thread::start(make).await?;
    if let Some(predecessor) = predecessor {
        tasks.spawn(predecessor.remove_after(succeeded, metrics));
    }
    let ended = ended.await;
    drop(disturbance_sender);
    ended.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    Ok(())
}

/// Rules matter more than questions about them, so an agent without a socket warns and goes on.
fn listen_on_socket(path: &Path, answers: Router) -> Option<Socket> {
    let socket = Socket::listen(path, answers);
    socket
        .inspect_err(|error| {
            tracing::warn!(
                "no questions are answered, since {} cannot be listened on: {error}; --socket names another place",
                path.display()
            );
        })
        .ok()
}

fn io(action: &'static str) -> impl FnOnce(std::io::Error) -> Error {
    move |source| Error::Io { action, source }
}

fn stop_signal() -> Result<impl Future<Output = ()>, Error> {
    let mut terminate = signal(SignalKind::terminate()).map_err(io("handle SIGTERM"))?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(io("handle SIGINT"))?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => tracing::info!("SIGTERM: the agent ends, the rules stay"),
            _ = interrupt.recv() => tracing::info!("SIGINT: the agent ends, the rules stay"),
        }
    })
}

/// Two agents would undo each other's work. Abstract sockets belong to the network namespace, as rules do, and go with their
/// process.
fn lock() -> Result<UnixListener, Error> {
    let name = SocketAddr::from_abstract_name("svcnat-agent").map_err(io("name the lock"))?;
    UnixListener::bind_addr(&name).map_err(|error| match error.kind() {
        std::io::ErrorKind::AddrInUse => Error::AnotherAgent,
        _ => Error::Io { action: "lock this network namespace", source: error },
    })
}

/// The last known state, where there is a file of it; it is of use only to the node that it was kept for.
async fn saved_state(settings: &Settings) -> Option<Cluster> {
    let path = settings.state_file.clone()?;
    let read = tokio::task::spawn_blocking(move || state_file::read(&path)).await.ok()?;
    let state = read.unwrap_or_else(|error| {
        tracing::warn!("{error}");
        None
    })?;
    let ours = state.node.as_ref().is_none_or(|node| node.name == settings.rules.node_name);
    if ours {
        tracing::info!("the last known state has {} Services", state.services.len());
    } else {
        tracing::warn!("the state file is another node's and is passed over");
    }
    ours.then_some(state)
}

/// Starts what tells the state of the cluster; gives who posts Kubernetes Events.
async fn start_source(
    settings: &Settings,
    manifests: Vec<PathBuf>,
    service_cidrs: Vec<Cidr>,
    known: Option<&Cluster>,
    news: mpsc::Sender<News>,
    metrics: &Metrics,
    tasks: &mut JoinSet<()>,
) -> Result<Option<Reporter>, Error> {
    let node_name = &settings.rules.node_name;
    if !manifests.is_empty() {
        if let Some(path) = manifests.iter().find(|path| path.as_os_str() == "-") {
            return Err(Error::NotAFile { path: path.clone() });
        }
        let options = folder::Options { paths: manifests, node_name: node_name.clone(), service_cidrs };
        let folder = folder::Folder::open(options).await?;
        tasks.spawn(async move {
            folder.run(news).await;
        });
        return Ok(None);
    }
    let client = settings.client.clone();
    let connection = Connection::new(ClientSettings {
        kubeconfig: client.kubeconfig,
        master: client.master,
        qps: client.qps,
        burst: client.burst,
        ..ClientSettings::default()
    })
    .await?;
    let (reporter, post) = Reporter::new(connection.clone(), node_name.to_string());
    tasks.spawn(post);
    let handle = Handle::default();
    tasks.spawn(look_at_watches(handle.clone(), metrics.clone()));
    let known = known.map_or_else(Known::default, |known| Known {
        services: known.services.keys().cloned().collect(),
        slices: known.slices.keys().cloned().collect(),
    });
    let options = kubernetes::Options::new(node_name.to_string());
    tasks.spawn(async move { kubernetes::run(&connection, options, known, news, &handle).await });
    Ok(Some(reporter))
}

fn serve(
    settings: &Settings,
    health: &Health,
    metrics: &Metrics,
    configz: watch::Receiver<serde_json::Value>,
    answers: &Router,
) -> Result<Vec<Server>, Error> {
    let bind = |address| Bind { address, hard_fail: settings.bind_hard_fail };
    let mut servers = Vec::new();
    if let Some(address) = settings.healthz {
        servers.push(Server::health(bind(address), health.clone(), metrics.clone())?);
    }
    if let Some(address) = settings.metrics {
        servers.push(Server::metrics(bind(address), metrics.clone(), configz)?);
    }
    if let Some(address) = settings.page {
        servers.push(Server::page(bind(address), page::router(answers.clone()))?);
    }
    Ok(servers)
}

/// Warns of health-check ports that cannot be served, and posts Events.
async fn tell_of_problems(
    mut problems: mpsc::UnboundedReceiver<crate::http::health_checks::Problem>,
    reporter: Option<Reporter>,
) {
    while let Some(problem) = problems.recv().await {
        tracing::warn!("{problem}");
        if let Some(reporter) = &reporter {
            reporter.report(Report {
                regarding: Regarding::Service(problem.service().clone()),
                severity: Severity::Warning,
                reason: "FailedToStartServiceHealthcheck",
                action: "Listen",
                note: problem.to_string(),
            });
        }
    }
}

async fn look_at_watches(handle: Handle, metrics: Metrics) {
    let kinds = [
        (kubernetes::Resource::Services, Kind::Service),
        (kubernetes::Resource::EndpointSlices, Kind::EndpointSlice),
        (kubernetes::Resource::Endpoints, Kind::Endpoints),
        (kubernetes::Resource::Node, Kind::Node),
        (kubernetes::Resource::ServiceCidrs, Kind::ServiceCidr),
    ];
    let mut lists = [0; 5];
    let mut ticks = tokio::time::interval(LOOK_AT_WATCHES);
    loop {
        ticks.tick().await;
        for ((resource, kind), known) in kinds.into_iter().zip(&mut lists) {
            let status = handle.status(resource);
            metrics.set_watch_connected(kind, status.connected);
            // The first list is no relist.
            (known.max(&mut 1).to_owned()..status.lists).for_each(|_| metrics.relisted(kind));
            *known = status.lists;
        }
    }
}
