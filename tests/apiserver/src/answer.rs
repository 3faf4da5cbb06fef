//! From a request to its answer.

use std::convert::Infallible;
use std::future::pending;
use std::sync::Arc;
use std::time::Instant;

use http_body_util::BodyExt;
use hyper::body::{Bytes, Incoming};
use hyper::header::{
    AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER, USER_AGENT,
};
use hyper::{Method, Response, StatusCode};
use serde_json::Value;

use crate::body::{Body, Connection, Writer};
use crate::list::Page;
use crate::query::Query;
use crate::route::Route;
use crate::shared::{Request, Shared, lock};
use crate::status::{Content, Refusal};
use crate::watch::{self, Watch};
use crate::{Fault, Resource, Verb, discovery, object};

/// Up to this size, the real server's HTTP library tells the length of a body instead of sending it in chunks.
const BUFFERED: usize = 2048;

/// The flow schema and the priority level that the real server names in its answers.
const FLOW_SCHEMA: &str = "5f3a8a31-3c27-4d6e-9d0b-5d9c1d0e7a10";
/// See [`FLOW_SCHEMA`].
const PRIORITY_LEVEL: &str = "c2a4c5b6-0f1d-4a39-8f6e-7b1f0f6d2a11";

/// Answers a request.
pub(crate) async fn answer(
    shared: Arc<Shared>,
    connection: Arc<Connection>,
    request: hyper::Request<Incoming>,
) -> Result<Response<Body>, Infallible> {
    let (head, body) = request.into_parts();
    let query = head.uri.query().unwrap_or_default();
    log(&shared, &head.method, head.uri.path(), query, &head.headers);
    if !is_authorized(&shared, &head.headers) {
        return Ok(refuse(&shared, Refusal::unauthorized()));
    }
    let asked = match Asked::new(&head.method, head.uri.path(), query) {
        Ok(asked) => asked,
        Err(refusal) => return Ok(refuse(&shared, refusal)),
    };
    let resource = asked.route.resource();
    let fault = lock(&shared.faults).take(resource, asked.verb);
    match &fault {
        Some(Fault::Silence) => return pending().await,
        Some(Fault::Status(failure)) => {
            return Ok(refuse(&shared, Refusal::on_command(failure, resource, asked.verb)));
        }
        Some(Fault::ErrorEvent(failure)) if asked.verb != Verb::Watch => {
            return Ok(refuse(&shared, Refusal::on_command(failure, resource, asked.verb)));
        }
        _ => {}
    }
    let scene = Scene { shared, connection, fault };
    let answered = scene.answer(asked, body).await;
    Ok(answered.unwrap_or_else(|refusal| refuse(&scene.shared, refusal)))
}

/// What a request wants.
struct Asked {
    route: Route,
    verb: Verb,
    query: Query,
}

impl Asked {
    fn new(method: &Method, path: &str, query: &str) -> Result<Self, Refusal> {
        let route = Route::parse(path);
        let mut query = Query::parse(query)?;
        let verb = match (method, &route) {
            (&Method::GET, Route::Collection { namespace, .. }) => {
                query.selection.namespace.clone_from(namespace);
                if query.watch { Verb::Watch } else { Verb::List }
            }
            (&Method::GET, _) | (_, Route::Nowhere) => Verb::Get,
            (&Method::POST, Route::Collection { resource: Resource::Events, .. }) => Verb::Create,
            (&Method::PATCH, Route::Object { resource: Resource::Events, .. }) => Verb::Patch,
            _ => return Err(Refusal::method_not_allowed()),
        };
        Ok(Self { route, verb, query })
    }
}

/// Where a request is answered.
struct Scene {
    shared: Arc<Shared>,
    connection: Arc<Connection>,
    fault: Option<Fault>,
}

impl Scene {
    async fn answer(&self, asked: Asked, body: Incoming) -> Result<Response<Body>, Refusal> {
        let is_served = |resource| self.shared.is_served(resource);
        if asked.route.resource().is_some_and(|resource| !is_served(resource)) {
            return Err(Refusal::not_served());
        }
        match asked.route {
            Route::Nowhere => Err(Refusal::not_served()),
            Route::Version => Ok(self.json(&discovery::version())),
            Route::Health => Ok(self.whole(StatusCode::OK, "text/plain; charset=utf-8", b"ok".to_vec())),
            Route::CoreVersions => Ok(self.json(&discovery::core_versions())),
            Route::Groups => Ok(self.json(&discovery::groups(is_served))),
            Route::Group(group) => {
                let found = discovery::group(&group, is_served);
                found.map(|group| self.json(&group)).ok_or_else(Refusal::not_served)
            }
            Route::Resources(api_version) => {
                let found = discovery::resources(&api_version, is_served);
                found.map(|list| self.json(&list)).ok_or_else(Refusal::not_served)
            }
            Route::Collection { resource, namespace } if asked.verb == Verb::Create => {
                let event = read_json(body).await?;
                let namespace = namespace.unwrap_or_default();
                let created = lock(&self.shared.posted).create(resource, &namespace, event)?;
                Ok(self.json_with(StatusCode::CREATED, &created))
            }
            Route::Object { resource, namespace, name } if asked.verb == Verb::Patch => {
                let patch = read_json(body).await?;
                let patched = lock(&self.shared.posted).patch(resource, &namespace, &name, patch)?;
                Ok(self.json(&patched))
            }
            Route::Collection { resource: Resource::Events, .. }
            | Route::Object { resource: Resource::Events, .. } => Err(Refusal::method_not_allowed()),
            Route::Collection { resource, .. } if asked.verb == Verb::Watch => {
                Ok(self.watch(resource, asked.query))
            }
            Route::Collection { resource, .. } => self.list(resource, &asked.query),
            Route::Object { resource, namespace, name } => self.get(resource, &namespace, &name),
        }
    }

    fn get(&self, resource: Resource, namespace: &str, name: &str) -> Result<Response<Body>, Refusal> {
        let mut json = Vec::new();
        let key = object::key(namespace, name);
        lock(&self.shared.store)
            .objects(resource)
            .get(key.as_str())
            .ok_or_else(|| Refusal::not_found(resource, name))?
            .write(resource.facts(), &mut json);
        json.push(b'\n');
        Ok(self.whole(StatusCode::OK, JSON, json))
    }

    fn list(&self, resource: Resource, query: &Query) -> Result<Response<Body>, Refusal> {
        let page = Page::read(&lock(&self.shared.store), resource, query, self.fault.as_ref())?;
        let way = self.fault.as_ref().is_some_and(Fault::is_on_the_way);
        if !way && page.size() <= BUFFERED {
            return Ok(self.whole(StatusCode::OK, JSON, page.into_bytes(resource.facts())));
        }
        let (writer, body) = Writer::new(self.connection.clone());
        tokio::spawn(page.send(resource.facts(), writer, self.fault.clone()));
        Ok(respond(&self.shared, StatusCode::OK, JSON, body))
    }

    fn watch(&self, resource: Resource, query: Query) -> Response<Body> {
        let (writer, body) = Writer::new(self.connection.clone());
        match Watch::open(&self.shared, resource, query, self.fault.as_ref()) {
            Ok(watch) => {
                tokio::spawn(watch.run(self.shared.clone(), writer, self.fault.clone()));
            }
            Err(refusal) => {
                tokio::spawn(async move { writer.send(watch::error_line(refusal)).await });
            }
        }
        respond(&self.shared, StatusCode::OK, JSON, body)
    }

    fn json(&self, value: &Value) -> Response<Body> {
        self.json_with(StatusCode::OK, value)
    }

    fn json_with(&self, status: StatusCode, value: &Value) -> Response<Body> {
        let mut json = Vec::new();
        object::write_json(value, &mut json);
        json.push(b'\n');
        self.whole(status, JSON, json)
    }

    /// A body that is there as a whole, with the faults that concern its way.
    fn whole(&self, status: StatusCode, content_type: &'static str, bytes: Vec<u8>) -> Response<Body> {
        let slow = match &self.fault {
            Some(Fault::Slow { bytes, pause }) => Some((*bytes, *pause)),
            Some(Fault::Cut { .. } | Fault::Hang { .. }) => None,
            _ if bytes.len() <= BUFFERED => {
                let body = Body::Whole(Some(Bytes::from(bytes)));
                return respond(&self.shared, status, content_type, body);
            }
            _ => None,
        };
        let (mut writer, body) = Writer::new(self.connection.clone());
        if let Some((size, pause)) = slow {
            writer.slow_down(size, pause);
        }
        tokio::spawn(send_whole(writer, bytes, self.fault.clone()));
        respond(&self.shared, status, content_type, body)
    }
}

async fn send_whole(writer: Writer, mut bytes: Vec<u8>, fault: Option<Fault>) {
    let fails = matches!(fault, Some(Fault::Cut { .. } | Fault::Hang { .. }));
    if fails {
        bytes.truncate(bytes.len() / 2);
    }
    // A client that has gone needs nothing more.
    let _ = writer.send(bytes).await;
    match fault {
        Some(Fault::Cut { .. }) => writer.cut().await,
        Some(Fault::Hang { .. }) => writer.closed().await,
        _ => {}
    }
}

const JSON: &str = "application/json";

fn respond(shared: &Shared, status: StatusCode, content_type: &'static str, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    let audit_id = format!("00000000-0000-4000-9000-{:012x}", shared.next_answer());
    if let Ok(audit_id) = HeaderValue::from_str(&audit_id) {
        headers.insert("audit-id", audit_id);
    }
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache, private"));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    // Who is not known has no place in any queue.
    if status != StatusCode::UNAUTHORIZED {
        headers.insert("x-kubernetes-pf-flowschema-uid", HeaderValue::from_static(FLOW_SCHEMA));
        headers.insert("x-kubernetes-pf-prioritylevel-uid", HeaderValue::from_static(PRIORITY_LEVEL));
    }
    response
}

fn refuse(shared: &Shared, refusal: Refusal) -> Response<Body> {
    let status = StatusCode::from_u16(refusal.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let (content_type, bytes) = match refusal.body {
        Content::Text(text) => ("text/plain; charset=utf-8", text.as_bytes().to_vec()),
        Content::Status(value) => {
            let mut json = Vec::new();
            object::write_json(&value, &mut json);
            json.push(b'\n');
            (JSON, json)
        }
    };
    let mut response = respond(shared, status, content_type, Body::Whole(Some(Bytes::from(bytes))));
    if let Some(seconds) = refusal.retry_after {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

fn is_authorized(shared: &Shared, headers: &HeaderMap) -> bool {
    let token = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    let settings = lock(&shared.settings);
    settings.tokens.is_empty() || token.is_some_and(|token| settings.tokens.contains(token))
}

fn log(shared: &Shared, method: &Method, path: &str, query: &str, headers: &HeaderMap) {
    let user_agent = headers.get(USER_AGENT).and_then(|value| value.to_str().ok());
    lock(&shared.requests).push(Request {
        method: method.to_string(),
        path: path.to_owned(),
        query: query.to_owned(),
        user_agent: user_agent.unwrap_or_default().to_owned(),
        at: Instant::now(),
    });
}

async fn read_json(body: Incoming) -> Result<Value, Refusal> {
    let bytes =
        body.collect().await.map_err(|_| Refusal::bad_request("the body ended too early"))?.to_bytes();
    serde_json::from_slice(&bytes).map_err(|e| Refusal::bad_request(format!("the body is no JSON: {e}")))
}
