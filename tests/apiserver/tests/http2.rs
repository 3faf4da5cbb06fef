//! Many requests on one connection.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod support;

use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::{Response, Version};
use support::{Http2, service, until};
use svcnat_apiserver::{ApiServer, Fault, On, Options, Resource, Times};

const WATCHES: usize = 20;

/// What comes until the body ends, and whether it ends properly.
async fn rest(response: &mut Response<Incoming>) -> (Vec<u8>, bool) {
    let mut body = Vec::new();
    loop {
        match response.body_mut().frame().await {
            None => return (body, true),
            Some(Err(_)) => return (body, false),
            Some(Ok(frame)) => body.extend_from_slice(frame.data_ref().unwrap()),
        }
    }
}

async fn open(server: &ApiServer, connection: &mut Http2) -> Vec<Response<Incoming>> {
    let path = format!("/api/v1/services?watch=true&resourceVersion={}", server.version());
    let mut watches = Vec::new();
    for _ in 0..WATCHES {
        watches.push(connection.get(&path).await);
    }
    assert_eq!(server.open_watches(Resource::Services), WATCHES);
    watches
}

#[tokio::test]
async fn watches_share_a_connection() {
    let server = ApiServer::start(&Options::default()).unwrap();
    let mut connection = Http2::connect(&server).await;
    let mut watches = open(&server, &mut connection).await;
    server.apply(service("a")).unwrap();
    for watch in &mut watches {
        assert_eq!(watch.version(), Version::HTTP_2);
        let event = watch.body_mut().frame().await.unwrap().unwrap().into_data().unwrap();
        assert!(event.starts_with(b"{\"type\":\"ADDED\"") && event.ends_with(b"}\n"));
    }
    // The connection lives on when a watch is given up.
    drop(watches.pop());
    until(|| server.open_watches(Resource::Services) == WATCHES - 1).await;
    assert_eq!(connection.get("/version").await.status(), 200);
}

#[tokio::test]
async fn all_that_is_on_a_connection_ends_with_it() {
    let server = ApiServer::start(&Options::default()).unwrap();
    server.apply(service("a")).unwrap();
    let mut connection = Http2::connect(&server).await;
    let mut watches = open(&server, &mut connection).await;
    server.fault(On::list(Resource::Services), Times::Next(1), Fault::Cut { after: 0 });
    let (half, whole) = rest(&mut connection.get("/api/v1/services").await).await;
    assert!(!whole && half.starts_with(b"{\"kind\":\"ServiceList\""));
    for watch in &mut watches {
        assert_eq!(rest(watch).await, (Vec::new(), false));
    }
    until(|| server.open_watches(Resource::Services) == 0).await;

    let mut connection = Http2::connect(&server).await;
    let mut watches = open(&server, &mut connection).await;
    server.restart();
    assert!(!rest(&mut watches[0]).await.1);
    until(|| server.open_watches(Resource::Services) == 0).await;
}
