//! The answers to the questions of [`agent_api`](crate::agent_api), for the Unix socket and for the page.

use axum::body::Body;
use axum::extract::{Path as Segments, Query, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::Deserialize;
use svcnat_rules::name::ObjectName;
use tokio::task::spawn_blocking;

use super::complaint::{complaint, no_service, not_yet};
use super::connections;
use super::listing::{self, Filter};
use super::packets;
use super::questions::Asker;
use crate::agent_api::{LabelSelector, List};
use crate::memory;
use crate::settings::Mode;

/// A list of so many Services takes some megabytes for a while.
const MANY: usize = 1_000;

/// Answers to all questions of [`agent_api`](crate::agent_api), by asking the keeper or, of packets, the packet filter of a mode.
pub(super) fn router(asker: Asker, mode: Mode) -> Router {
    Router::new()
        .route("/v1/services", get(services))
        .route("/v1/services/{namespace}/{name}/backends", get(backends))
        .route("/v1/services/{namespace}/{name}/connections", get(connections::of_service))
        .route("/v1/connections", get(connections::list))
        .route("/v1/status", get(status))
        .fallback(async || complaint(StatusCode::NOT_FOUND, "there is no such question".to_owned()))
        .with_state(asker)
        .merge(packets::answers(mode))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Which {
    namespace: Option<String>,
    label_selector: Option<String>,
    #[serde(default)]
    watch: bool,
}

async fn services(State(asker): State<Asker>, Query(which): Query<Which>) -> Response {
    let selector = which.label_selector.map(|text| text.parse::<LabelSelector>()).transpose();
    let selector = match selector {
        Ok(selector) => selector,
        Err(error) => return complaint(StatusCode::BAD_REQUEST, format!("labelSelector: {error}")),
    };
    let filter = Filter { namespace: which.namespace, selector };
    if which.watch {
        return match listing::watch(asker, filter).await {
            Some(lines) => ([(CONTENT_TYPE, "application/jsonl")], Body::from_stream(lines)).into_response(),
            None => not_yet(),
        };
    }
    let Some(services) = listing::all(&asker, &filter).await else { return not_yet() };
    let many = services.len() > MANY;
    // On a thread of its own: the text of 10,000 Services has some megabytes.
    let text = spawn_blocking(move || serde_json::to_vec(&List::services(services))).await;
    if many {
        memory::give_back();
    }
    match text {
        Ok(Ok(text)) => ([(CONTENT_TYPE, "application/json")], text).into_response(),
        _ => complaint(StatusCode::INTERNAL_SERVER_ERROR, "the answer cannot be written".to_owned()),
    }
}

async fn backends(
    State(asker): State<Asker>,
    Segments((namespace, name)): Segments<(String, String)>,
) -> Response {
    let service = ObjectName::new(&namespace, &name);
    let Some(part) = asker.part(vec![service.clone()]).await else { return not_yet() };
    match part.backends(&service) {
        Some(backends) => Json(List::backends(backends)).into_response(),
        None => no_service(&service),
    }
}

async fn status(State(asker): State<Asker>) -> Response {
    asker.status().await.map_or_else(not_yet, |status| Json(status).into_response())
}
