//! Who is answered, and what every answer tells the browser.

use std::net::IpAddr;
use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, HOST, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
    X_FRAME_OPTIONS,
};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures::StreamExt as _;
use tokio::sync::Semaphore;

use crate::agent_api::Complaint;

/// Nothing but files and answers of the agent, and no code or style in the page itself.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// What every answer has.
const HEADERS: [(HeaderName, &str); 7] = [
    (CONTENT_SECURITY_POLICY, POLICY),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (X_FRAME_OPTIONS, "DENY"),
    (REFERRER_POLICY, "no-referrer"),
    (CACHE_CONTROL, "no-cache"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

/// Which site's page a request comes from, as browsers tell it (Fetch Metadata, W3C).
const SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// The questions whose answers are in proportion to the cluster.
const LARGE: [&str; 2] = ["/v1/services", "/v1/connections"];

/// How many may be told of all Services at a time. What one is told, or was told and is told the changes of, takes memory in
/// proportion to the cluster, and any process of the host may ask.
const READERS: usize = 8;

/// What is kept of who asks.
#[derive(Clone)]
pub(super) struct Guard {
    readers: Arc<Semaphore>,
}

impl Default for Guard {
    fn default() -> Self {
        Self { readers: Arc::new(Semaphore::new(READERS)) }
    }
}

/// Answers requests of the host's own browsers, and refuses others.
pub(super) async fn guard(State(guard): State<Guard>, request: Request, next: Next) -> Response {
    let mut response = match objection(&request) {
        Some(refusal) => refusal,
        None if LARGE.contains(&request.uri().path()) => guard.one_of_few(request, next).await,
        None => next.run(request).await,
    };
    for (name, value) in HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

impl Guard {
    /// Answers where there is room for another reader, whose place is taken until the answer is at its end.
    async fn one_of_few(self, request: Request, next: Next) -> Response {
        let Ok(place) = self.readers.try_acquire_owned() else {
            return refusal(
                StatusCode::SERVICE_UNAVAILABLE,
                "too many look at the Services at the same time",
            );
        };
        next.run(request).await.map(|body| {
            Body::from_stream(body.into_data_stream().map(move |part| {
                let _place = &place;
                part
            }))
        })
    }
}

/// Why a request is not answered.
fn objection(request: &Request) -> Option<Response> {
    if !is_this_host(request) {
        return Some(refusal(
            StatusCode::FORBIDDEN,
            "only localhost and loopback addresses are names of this page",
        ));
    }
    if request.method() != Method::GET {
        let mut refusal = refusal(StatusCode::METHOD_NOT_ALLOWED, "only GET is answered");
        refusal.headers_mut().insert(ALLOW, HeaderValue::from_static("GET"));
        return Some(refusal);
    }
    let is_question = request.uri().path().starts_with("/v1/");
    if is_question && !is_of_this_site(request.headers()) {
        return Some(refusal(StatusCode::FORBIDDEN, "pages of other sites are not answered"));
    }
    None
}

/// Whether all names that the request has for the server are the host's own. The name of an attacker may resolve to a loopback
/// address, but it stays his name.
fn is_this_host(request: &Request) -> bool {
    let named = request.headers().get_all(HOST).iter();
    let mut named = named.map(|host| Authority::try_from(host.as_bytes()).ok()).peekable();
    let of_uri = request.uri().authority();
    named.peek().is_some()
        && named.all(|host| host.is_some_and(|host| is_own_name(host.host())))
        && of_uri.is_none_or(|host| is_own_name(host.host()))
}

fn is_own_name(host: &str) -> bool {
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    host.eq_ignore_ascii_case("localhost")
        || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Whether the page of another site is not what asks. Programs that are no browsers say nothing.
fn is_of_this_site(headers: &HeaderMap) -> bool {
    headers.get_all(SITE).iter().all(|site| site == "same-origin" || site == "none")
}

fn refusal(status: StatusCode, words: &'static str) -> Response {
    (status, Json(Complaint { message: words.to_owned() })).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(target: &str, hosts: &[&str], is_own: bool) {
        let mut request = Request::get(target);
        for host in hosts {
            request = request.header(HOST, *host);
        }
        let request = request.body(Body::empty()).unwrap();
        assert_eq!(is_this_host(&request), is_own, "{target} {hosts:?}");
    }

    #[test]
    fn only_names_of_the_host_itself_are_its_names() {
        for own in [
            "localhost",
            "LocalHost:8080",
            "127.0.0.1",
            "127.0.0.1:10247",
            "127.8.9.10:1",
            "[::1]",
            "[::1]:80",
        ] {
            check("/", &[own], true);
        }
        for other in [
            "",
            "svcnat.example",
            "localhost.attacker.example",
            "127.0.0.1.attacker.example",
            "attacker.example:10247",
            "192.168.1.2:10247",
            "0.0.0.0",
            "[::]",
            "[::ffff:192.168.1.2]",
            "127.0.0.1@attacker.example",
            "2130706433",
        ] {
            check("/", &[other], false);
            check("/", &["localhost", other], false);
        }
        check("/", &[], false);
        check("http://localhost/", &["localhost"], true);
        check("http://attacker.example/", &["localhost"], false);
    }
}
