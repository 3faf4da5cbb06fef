//! Our answers against those of a real kube-apiserver.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod support;

use std::collections::BTreeMap;
use std::fs;

use http_body_util::BodyExt;
use serde_json::Value;
use support::Http2;
use svcnat_apiserver::{ApiServer, Options, Resource};

/// An answer: the status line, the headers, the documents of the body.
struct Answer {
    status: String,
    headers: BTreeMap<String, String>,
    documents: Vec<Value>,
    size: usize,
}

/// What was recorded.
fn recorded(name: &str) -> Answer {
    let path = format!("{}/recorded/{name}.http", env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(path).unwrap();
    let (head, body) = text.split_once("\n\n").unwrap();
    let mut lines = head.lines();
    let status = lines.next().unwrap().trim().to_owned();
    let headers = lines.map(|line| line.split_once(": ").unwrap());
    let documents: Vec<Value> =
        serde_json::Deserializer::from_str(body).into_iter().collect::<Result<_, _>>().unwrap();
    Answer {
        status,
        headers: headers.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
        size: documents.iter().map(|document| document.to_string().len()).sum(),
        documents,
    }
}

/// What our server answers over HTTP/2, up to so many documents.
async fn ours(server: &ApiServer, path: &str, documents: usize) -> Answer {
    let mut response = Http2::connect(server).await.get(path).await;
    let status = format!("{:?} {}", response.version(), response.status().as_u16());
    let headers: BTreeMap<String, String> = response
        .headers()
        .iter()
        .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
        .collect();
    let mut body = Vec::new();
    while body.iter().filter(|byte| **byte == b'\n').count() < documents {
        let frame = response.body_mut().frame().await.expect("more documents").unwrap();
        body.extend_from_slice(frame.data_ref().unwrap());
    }
    let documents = serde_json::Deserializer::from_slice(&body).into_iter().map(Result::unwrap).collect();
    Answer { status: status.replace("HTTP/2.0", "HTTP/2"), headers, documents, size: body.len() }
}

/// Replaces what differs from cluster to cluster: versions, times, uids, who set a field, which addresses were allocated.
fn comparable(value: &mut Value) {
    match value {
        Value::Object(members) => {
            for allocated in ["f:clusterIP", "f:ipFamilyPolicy"] {
                members.remove(allocated);
            }
            for (name, value) in members.iter_mut() {
                let differs = matches!(
                    name.as_str(),
                    "uid"
                        | "resourceVersion"
                        | "creationTimestamp"
                        | "time"
                        | "manager"
                        | "continue"
                        | "remainingItemCount"
                        | "gitVersion"
                        | "gitCommit"
                        | "goVersion"
                        | "compiler"
                );
                match value {
                    Value::String(text) if name == "message" => {
                        *text = text.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
                        while text.contains("00") {
                            *text = text.replace("00", "0");
                        }
                    }
                    Value::String(text) if differs => "differs".clone_into(text),
                    Value::Number(_) if differs => *value = 0.into(),
                    other => comparable(other),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(comparable),
        _ => {}
    }
}

/// Removes the managed fields of objects that several managers wrote, or none: our server has one for all.
fn without_managed_fields(documents: &mut [Value], of: &[&str]) {
    for document in documents {
        let items = match document.get_mut("items") {
            Some(items) => items.as_array_mut().unwrap().iter_mut().collect(),
            None => vec![document.get_mut("object").unwrap()],
        };
        for item in items {
            let metadata = item["metadata"].as_object_mut().unwrap();
            let name = metadata.get("name").and_then(Value::as_str).unwrap_or_default();
            if of.contains(&name) {
                metadata.remove("managedFields");
            }
        }
    }
}

/// Asks our server and compares everything.
async fn check(server: &ApiServer, name: &str, path: &str, unlike: &[&str]) {
    let mut recorded = recorded(name);
    let mut ours = ours(server, path, recorded.documents.len()).await;
    assert_eq!(ours.status, recorded.status, "{name}");

    // Go tells the length of what fits into its buffer, and of no stream; recorded bodies are indented, so not as short.
    let is_stream = recorded.documents[0].get("type").is_some();
    assert_eq!(ours.headers.contains_key("content-length"), !is_stream && ours.size < 2048, "{name}");
    if recorded.size < 1024 {
        assert_eq!(
            ours.headers.contains_key("content-length"),
            recorded.headers.contains_key("content-length")
        );
    }
    for answer in [&mut ours, &mut recorded] {
        answer.headers.remove("content-length");
        for (name, value) in &mut answer.headers {
            if matches!(name.as_str(), "date" | "audit-id") || name.starts_with("x-kubernetes-pf-") {
                "differs".clone_into(value);
            }
        }
        if !unlike.is_empty() {
            without_managed_fields(&mut answer.documents, unlike);
        }
        answer.documents.iter_mut().for_each(comparable);
    }
    assert_eq!(ours.headers, recorded.headers, "{name}");
    assert_eq!(ours.documents, recorded.documents, "{name}");
}

fn start() -> ApiServer {
    ApiServer::start(&Options::default()).unwrap()
}

/// The objects of a recorded list as somebody applied them: without what the server adds.
fn applied(list: &str) -> Vec<Value> {
    let document = recorded(list).documents.remove(0);
    let kind = document["kind"].as_str().unwrap().trim_end_matches("List").to_owned();
    let items = document["items"].as_array().unwrap().iter();
    items.map(|item| as_applied(&kind, item)).collect()
}

fn as_applied(kind: &str, item: &Value) -> Value {
    let mut object = item.clone();
    object["kind"] = kind.into();
    let metadata = object["metadata"].as_object_mut().unwrap();
    for added in ["uid", "resourceVersion", "creationTimestamp", "managedFields", "generation"] {
        metadata.remove(added);
    }
    if let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut) {
        let defaults = [
            "clusterIPs",
            "sessionAffinity",
            "ipFamilies",
            "ipFamilyPolicy",
            "internalTrafficPolicy",
            "allocateLoadBalancerNodePorts",
            "sessionAffinityConfig",
        ];
        for default in defaults {
            // What is no default must stay.
            let usual = matches!(spec.get(default), Some(Value::String(text)) if text == "Local" || text == "ClientIP");
            if !usual {
                spec.remove(default);
            }
        }
    }
    object
}

#[tokio::test]
async fn discovery_is_as_recorded() {
    let server = start();
    check(&server, "version", "/version", &[]).await;
    check(&server, "api-discovery", "/apis/discovery.k8s.io/v1", &[]).await;
    check(&server, "not-found", "/apis/discovery.k8s.io/v1beta1", &[]).await;
    server.set_served(Resource::EndpointSlices, false);
    check(&server, "not-found", "/apis/discovery.k8s.io/v1", &[]).await;
    check(&server, "not-found", "/apis/discovery.k8s.io/v1/endpointslices", &[]).await;
}

#[tokio::test]
async fn lists_are_as_recorded() {
    let server = start();
    for list in ["services-page1", "endpointslices-page1", "node", "servicecidrs"] {
        server.load(applied(list)).unwrap();
    }
    // So that there is a second page.
    let mut more = applied("services-page1").remove(1);
    more["metadata"]["name"] = "svc-1".into();
    server.apply(more).unwrap();
    let mut more = applied("endpointslices-page1").remove(1);
    more["metadata"]["name"] = "svc-1-0".into();
    server.apply(more).unwrap();

    check(&server, "services-page1", "/api/v1/services?limit=2", &[]).await;
    let selector = "%21service.kubernetes.io%2Fheadless%2C%21service.kubernetes.io%2Fservice-proxy-name";
    let path = format!("/api/v1/services?limit=2&labelSelector={selector}");
    check(&server, "services-selector", &path, &[]).await;
    let path = "/apis/discovery.k8s.io/v1/endpointslices?limit=2";
    check(&server, "endpointslices-page1", path, &[]).await;
    let path = "/api/v1/nodes?fieldSelector=metadata.name%3Dnode-1";
    check(&server, "node", path, &["node-1"]).await;
    check(&server, "servicecidrs", "/apis/networking.k8s.io/v1/servicecidrs", &["kubernetes"]).await;
}

#[tokio::test]
async fn watches_are_as_recorded() {
    for (name, path, resource, unlike) in [
        ("watch-services", "/api/v1/services", Resource::Services, &["api"][..]),
        (
            "watch-endpointslices",
            "/apis/discovery.k8s.io/v1/endpointslices",
            Resource::EndpointSlices,
            &["web-1"],
        ),
    ] {
        let server = start();
        let begin = server.version();
        for event in recorded(name).documents {
            let object = &event["object"];
            let kind = object["kind"].as_str().unwrap();
            match event["type"].as_str().unwrap() {
                "DELETED" => {
                    let name = object["metadata"]["name"].as_str().unwrap();
                    server.delete(resource, "demo3", name).unwrap();
                }
                "BOOKMARK" => {}
                _ => drop(server.apply(as_applied(kind, object)).unwrap()),
            }
        }
        let path = format!("{path}?watch=true&allowWatchBookmarks=true&resourceVersion={begin}");
        let ((), ()) = futures::join!(check(&server, name, &path, unlike), async {
            // The bookmark follows what the client has been told.
            support::until(|| server.open_watches(resource) == 1).await;
            server.bookmark(resource);
        });
    }
}

#[tokio::test]
async fn refusals_are_as_recorded() {
    let server = start();
    for list in ["services-page1", "endpointslices-page1"] {
        server.load(applied(list)).unwrap();
    }
    let page = ours(&server, "/api/v1/services?limit=1", 1).await.documents.remove(0);
    let token = page["metadata"]["continue"].as_str().unwrap();
    server.apply(applied("node").remove(0)).unwrap();
    server.compact();

    let next = format!("/api/v1/services?limit=1&continue={token}");
    check(&server, "list-expired-continue", &next, &[]).await;
    let refused = ours(&server, &next, 1).await.documents.remove(0);
    assert_eq!(refused["metadata"], recorded("list-expired-continue").documents[0]["metadata"]);

    check(&server, "watch-too-old", "/api/v1/services?watch=true&resourceVersion=1", &[]).await;
    let streaming = "/api/v1/services?watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan";
    server.set_streaming_lists(false);
    check(&server, "streaming-list-refused", streaming, &[]).await;
}

#[tokio::test]
async fn a_wrong_token_is_refused_as_recorded() {
    let server = start();
    server.set_tokens(["another"]);
    check(&server, "unauthorized", "/version", &[]).await;
    server.set_tokens(["let-me-in"]);
    check(&server, "version", "/version", &[]).await;
}
