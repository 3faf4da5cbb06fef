//! Telling what the kernel has counted: to whoever asks on the socket, and to metrics.
//!
//! The counts are read on a socket and a thread of their own, so that changes of the rules wait for none of it. What the keeper
//! is asked for is which frontends and backends some Services have.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use svcnat_rules::describe::Counted;
use svcnat_rules::name::ObjectName;
use tokio::sync::Mutex;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::complaint::{complaint, no_service, not_yet};
use super::questions::{Asker, Counting, NotCounted};
use crate::agent_api::{FrontendConnections, List};
use crate::connections::{frontends, with_backends};
use crate::metrics::{Metrics, Refresh};
use crate::netlink::{Error, Netlink};

/// How many Services the keeper is asked for at once: a change of the cluster waits no longer than that takes, about 0.1 ms.
const AT_ONCE: usize = 16;

/// How long a scrape waits for the keeper and the kernel; then it shows what is known.
const PATIENCE: Duration = Duration::from_secs(5);

/// Which frontends are asked for.
#[derive(Debug, Deserialize)]
pub(super) struct Which {
    namespace: Option<String>,
}

/// All frontends.
pub(super) async fn list(State(asker): State<Asker>, Query(which): Query<Which>) -> Response {
    if let Err(why) = asker.counted(Vec::new()).await {
        return refusal(why);
    }
    answer(move |kernel| frontends(kernel, which.namespace.as_deref())).await
}

/// The frontends of one Service with their backends.
pub(super) async fn of_service(
    State(asker): State<Asker>,
    Path((namespace, name)): Path<(String, String)>,
) -> Response {
    let service = ObjectName::new(&namespace, &name);
    match asker.counted(vec![service.clone()]).await {
        Err(why) => refusal(why),
        Ok(Counting { services, .. }) if services.is_empty() => no_service(&service),
        Ok(Counting { services, .. }) => {
            answer(move |kernel| with_backends(kernel, &services).map(Some)).await
        }
    }
}

fn refusal(why: NotCounted) -> Response {
    match why {
        NotCounted::NotYet => not_yet(),
        NotCounted::Off => complaint(
            StatusCode::NOT_IMPLEMENTED,
            "connections are not counted: start the agent with --counters, or set `counters: true` in its configuration"
                .to_owned(),
        ),
    }
}

/// The answer of the kernel, which is asked and written down on another thread.
async fn answer(
    read: impl FnOnce(&mut Netlink) -> Result<Option<Vec<FrontendConnections>>, Error> + Send + 'static,
) -> Response {
    let text = spawn_blocking(move || {
        let counted = read(&mut Netlink::open()?)?;
        Ok::<_, Error>(counted.map(|counted| serde_json::to_vec(&List::connections(counted))))
    });
    match text.await {
        Ok(Ok(Some(Ok(text)))) => ([(CONTENT_TYPE, "application/json")], text).into_response(),
        // The rules that count are not in force yet.
        Ok(Ok(None)) => not_yet(),
        Ok(Err(error)) => complaint(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
        Ok(Ok(Some(Err(_)))) | Err(_) => {
            complaint(StatusCode::INTERNAL_SERVER_ERROR, "the answer cannot be written".to_owned())
        }
    }
}

/// Brings the metrics of connections up to date whenever somebody asks for metrics.
pub(super) fn refresh(metrics: &Metrics, asker: Asker) -> Refresh {
    let scrape = Arc::new(Scrape { asker, metrics: metrics.clone(), one: Mutex::new(()) });
    Refresh::new(move || {
        let scrape = Arc::clone(&scrape);
        async move {
            // Counts that are read later must be told later, so there is one scrape at a time.
            let told = timeout(PATIENCE, async {
                let _one = scrape.one.lock().await;
                scrape.tell().await
            });
            match told.await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::warn!("cannot read how many connections were counted: {error}"),
                Err(_) => tracing::warn!("it takes too long to read how many connections were counted"),
            }
        }
    })
}

/// What a scrape works with.
struct Scrape {
    asker: Asker,
    metrics: Metrics,
    one: Mutex<()>,
}

impl Scrape {
    async fn tell(&self) -> Result<(), Error> {
        let series = match self.asker.counted(Vec::new()).await {
            Ok(Counting { series, .. }) if series > 0 => series,
            Ok(_) | Err(NotCounted::Off) => {
                self.metrics.count_no_connections();
                return Ok(());
            }
            Err(NotCounted::NotYet) => return Ok(()),
        };
        let Some(counted) = read(|kernel| frontends(kernel, None)).await? else { return Ok(()) };
        let services: Vec<ObjectName> = self.metrics.count_frontends(series, &counted).into_iter().collect();
        drop(counted);
        let mut listed: Vec<(ObjectName, Vec<Counted>)> = Vec::with_capacity(services.len());
        for some in services.chunks(AT_ONCE) {
            if let Ok(Counting { services, .. }) = self.asker.counted(some.to_vec()).await {
                listed.extend(services);
            }
        }
        if let Some(counted) = read(move |kernel| with_backends(kernel, &listed).map(Some)).await? {
            self.metrics.count_backends(series, &counted);
        }
        Ok(())
    }
}

/// Asks the kernel, on another thread; `None` where the agent ends.
async fn read(
    read: impl FnOnce(&mut Netlink) -> Result<Option<Vec<FrontendConnections>>, Error> + Send + 'static,
) -> Result<Option<Vec<FrontendConnections>>, Error> {
    spawn_blocking(move || read(&mut Netlink::open()?)).await.unwrap_or(Ok(None))
}
