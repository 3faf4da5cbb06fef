//! Answering what becomes of a packet, by the rules in force.
//!
//! They are read as `svcnat trace` reads them, on another thread and another socket than the keeper's, for one question at a
//! time: reading large tables takes memory, and time of the kernel.

use std::sync::Arc;

use axum::Router;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::{Deserialize, Serialize};
use svcnat_rules::explain::Explanation;
use svcnat_rules::name::Name;
use svcnat_rules::net::Protocol;
use tokio::sync::Mutex;
use tokio::task::spawn_blocking;

use super::complaint::complaint;
use crate::agent_api::API_VERSION;
use crate::memory;
use crate::settings::{Mode, interface_name};
use crate::trace::json::Report;
use crate::trace::{self, Question, Sender};

/// Answers `/v1/trace` by the packet filter of a mode.
pub(super) fn answers(mode: Mode) -> Router {
    Router::new().route("/v1/trace", get(answer)).with_state(Tracer { mode, turn: Arc::default() })
}

#[derive(Clone)]
struct Tracer {
    mode: Mode,
    /// Held while rules are read and followed.
    turn: Arc<Mutex<()>>,
}

/// A question in the words of whoever asks.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Asked {
    protocol: String,
    source: String,
    destination: String,
    interface: String,
    from_host: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer<'a> {
    api_version: &'static str,
    kind: &'static str,
    #[serde(flatten)]
    report: Report<'a>,
    picture: String,
}

async fn answer(State(tracer): State<Tracer>, asked: Result<Query<Asked>, QueryRejection>) -> Response {
    let asked = asked.map_err(|rejection| rejection.body_text());
    let question = match asked.and_then(|Query(asked)| asked.question()) {
        Ok(question) => question,
        Err(message) => return complaint(StatusCode::BAD_REQUEST, message),
    };
    let turn = tracer.turn.lock_owned().await;
    let told = spawn_blocking(move || {
        // Whoever asked may have gone, but this thread works on.
        let _turn = turn;
        let text = question.in_force(tracer.mode).map(|explanation| json(&explanation));
        memory::give_back();
        text
    });
    match told.await {
        Ok(Ok(Ok(text))) => ([(CONTENT_TYPE, "application/json")], text).into_response(),
        Ok(Err(error)) => complaint(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
        _ => complaint(StatusCode::INTERNAL_SERVER_ERROR, "the answer cannot be written".to_owned()),
    }
}

impl Asked {
    /// The question, or what is wrong with it.
    fn question(&self) -> Result<Question, String> {
        let of = |what: &'static str| move |problem: String| format!("{what}: {problem}");
        let protocol = Protocol::ALL.into_iter().find(|protocol| protocol.keyword() == self.protocol);
        let protocol = protocol.ok_or_else(|| "protocol: must be tcp, udp or sctp".to_owned())?;
        let source = trace::source(&self.source).map_err(of("source"))?;
        let destination = trace::destination(&self.destination).map_err(of("destination"))?;
        let sender = match (self.interface.as_str(), self.from_host) {
            ("", false) => Sender::BySource,
            ("", true) => Sender::Host,
            (_, true) => return Err("interface: what this host sends comes in on none".to_owned()),
            (name, false) => Sender::Interface(Name::from(interface_name(name).map_err(of("interface"))?)),
        };
        Question::new(protocol, source, destination, sender, Vec::new()).map_err(|error| error.to_string())
    }
}

fn json(explanation: &Explanation) -> serde_json::Result<Vec<u8>> {
    let answer = Answer {
        api_version: API_VERSION,
        kind: "Trace",
        report: Report::from(explanation),
        picture: explanation.picture().svg().to_string(),
    };
    serde_json::to_vec(&answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_that_are_none_are_told_what_is_wrong() {
        let check = |query: &str, expected: &str| {
            let uri = format!("http://agent/v1/trace?{query}").parse().unwrap();
            let asked = Query::<Asked>::try_from_uri(&uri).map_err(|rejection| rejection.body_text());
            match asked.and_then(|Query(asked)| asked.question()) {
                Ok(question) => assert_eq!(expected, "", "{query}: {question:?}"),
                Err(found) => {
                    assert!(!expected.is_empty() && found.contains(expected), "{query}: {found}");
                }
            }
        };
        let good = "protocol=tcp&source=10.0.0.1&destination=10.0.0.2:80";
        check(good, "");
        check("protocol=udp&source=%5Bfd00::1%5D:53&destination=%5Bfd00::2%5D:53", "");
        check(&format!("{good}&interface=eth0"), "");
        check(&format!("{good}&fromHost=true&interface="), "");
        check("", "protocol: must be tcp, udp or sctp");
        check("protocol=TCP", "protocol: must be tcp, udp or sctp");
        check("protocol=tcp&destination=10.0.0.2:80", "source: not an address");
        check("protocol=tcp&source=10.0.0.1&destination=10.0.0.2", "destination: the port is missing");
        check("protocol=tcp&source=10.0.0.1&destination=[fd00::1]:80", "of different IP families");
        check(&format!("{good}&interface=a/b"), "interface: an interface name has");
        check(&format!("{good}&interface=eth0&fromHost=true"), "interface: what this host sends");
        check(&format!("{good}&fromHost=perhaps"), "fromHost");
    }
}
