//! Requests in HTTP by hand: what exactly goes over the wire.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod support;

use std::io::ErrorKind;
use std::net::TcpStream;
use std::time::Duration;

use serde_json::{Value, json};
use support::{Raw, SOON, plain, service};
use svcnat_apiserver::synthetic::Cluster;
use svcnat_apiserver::{ApiServer, Failure, Fault, On, Options, Resource, Times, Transport};

const SERVICES: &str = "/api/v1/services";

/// A server with the Services a, b, c.
fn three() -> ApiServer {
    let server = plain();
    for name in ["a", "b", "c"] {
        server.apply(service(name)).unwrap();
    }
    server
}

fn watch(server: &ApiServer, parameters: &str) -> Raw {
    Raw::get(server, &format!("{SERVICES}?watch=true&{parameters}"))
}

fn names(list: &Value) -> Vec<&str> {
    list["items"].as_array().unwrap().iter().map(|item| item["metadata"]["name"].as_str().unwrap()).collect()
}

fn list(server: &ApiServer, parameters: &str) -> Value {
    let mut raw = Raw::get(server, &format!("{SERVICES}?{parameters}"));
    assert_eq!(raw.status(), 200, "{parameters}");
    if raw.header("content-length").is_some() {
        return raw.body();
    }
    let (body, whole) = raw.rest();
    assert!(whole);
    serde_json::from_slice(&body).unwrap()
}

#[test]
fn pages_are_of_one_version() {
    let server = three();
    let first = list(&server, "limit=1");
    assert_eq!((names(&first), &first["metadata"]["remainingItemCount"]), (vec!["a"], &json!(2)));
    server.delete(Resource::Services, "shop", "b").unwrap();
    server.apply(service("aa")).unwrap();
    server.apply(service("c")).unwrap();

    let token = first["metadata"]["continue"].as_str().unwrap();
    let second = list(&server, &format!("limit=5&continue={token}"));
    assert_eq!(names(&second), ["b", "c"]);
    assert_eq!(second["metadata"], json!({ "resourceVersion": first["metadata"]["resourceVersion"] }));

    // The version of the first page is gone; the rest is what there is now.
    server.compact();
    let refused = Raw::get(&server, &format!("{SERVICES}?limit=5&continue={token}"));
    assert_eq!(refused.status(), 410);
    let refused = refused.body();
    let token = refused["metadata"]["continue"].as_str().unwrap();
    let rest = list(&server, &format!("limit=5&continue={token}"));
    assert_eq!(names(&rest), ["aa", "c"]);
    assert_eq!(rest["metadata"]["resourceVersion"], json!(server.version().to_string()));
}

#[test]
fn versions_mean_what_the_documentation_says() {
    let server = three();
    let then = server.version();
    server.delete(Resource::Services, "shop", "a").unwrap();
    let now = server.version();
    for (parameters, expected) in [
        (String::new(), vec!["b", "c"]),
        ("resourceVersion=0".to_owned(), vec!["b", "c"]),
        // The cache has no pages.
        ("resourceVersion=0&limit=1".to_owned(), vec!["b", "c"]),
        (format!("resourceVersion={then}"), vec!["b", "c"]),
        (format!("resourceVersion={then}&limit=2"), vec!["a", "b"]),
        (format!("resourceVersion={then}&resourceVersionMatch=Exact"), vec!["a", "b", "c"]),
        (format!("resourceVersion={then}&resourceVersionMatch=NotOlderThan&limit=1"), vec!["b"]),
    ] {
        assert_eq!(names(&list(&server, &parameters)), expected, "{parameters}");
    }
    server.compact();
    for (parameters, status) in [
        (format!("resourceVersion={then}&resourceVersionMatch=Exact"), 410),
        (format!("resourceVersion={}", now + 1), 504),
        ("resourceVersionMatch=Exact".to_owned(), 422),
        ("sendInitialEvents=true".to_owned(), 422),
        ("watch=true&sendInitialEvents=true".to_owned(), 422),
        ("labelSelector=a%20b".to_owned(), 400),
        ("fieldSelector=spec.type%3DNodePort".to_owned(), 400),
        ("continue=nonsense".to_owned(), 400),
        ("resourceVersion=x".to_owned(), 400),
    ] {
        assert_eq!(Raw::get(&server, &format!("{SERVICES}?{parameters}")).status(), status, "{parameters}");
    }
}

#[test]
fn single_objects_and_namespaces_have_paths() {
    let server = three();
    let mut elsewhere = service("a");
    elsewhere["metadata"]["namespace"] = "garden".into();
    server.apply(elsewhere).unwrap();
    let object = Raw::get(&server, "/api/v1/namespaces/garden/services/a").body();
    assert_eq!((&object["kind"], &object["metadata"]["namespace"]), (&json!("Service"), &json!("garden")));
    assert_eq!(names(&Raw::get(&server, "/api/v1/namespaces/garden/services").body()), ["a"]);
    let missing = Raw::get(&server, "/api/v1/namespaces/garden/services/b");
    assert_eq!(missing.status(), 404);
    assert_eq!(missing.body()["message"], json!("services \"b\" not found"));
    for (path, status) in [
        ("/apis", 200),
        ("/api", 200),
        ("/api/v1", 200),
        ("/apis/discovery.k8s.io", 200),
        ("/livez", 200),
        ("/api/v1/pods", 404),
        ("/apis/apps/v1/deployments", 404),
        ("/api/v1/namespaces/garden/nodes", 404),
    ] {
        assert_eq!(Raw::get(&server, path).status(), status, "{path}");
    }
    let put = "PUT /api/v1/namespaces/garden/services/a HTTP/1.1\r\nhost: test\r\ncontent-length: 0\r\n\r\n";
    assert_eq!(Raw::send(&server, put).status(), 405);
    assert_eq!(server.requests().last().map(|request| request.method.clone()).as_deref(), Some("PUT"));
}

#[test]
fn each_event_is_sent_at_once_as_a_chunk() {
    let server = three();
    let version = server.version();
    let mut watch = watch(&server, &format!("resourceVersion={version}"));
    assert_eq!((watch.status(), watch.header("transfer-encoding")), (200, Some("chunked")));
    assert_eq!(watch.header("content-length"), None);
    server.apply(service("d")).unwrap();
    assert_eq!(watch.event(), ("ADDED".to_owned(), "d".to_owned(), version + 1));
    server.apply(service("d")).unwrap();
    assert_eq!(watch.event(), ("MODIFIED".to_owned(), "d".to_owned(), version + 2));
    server.delete(Resource::Services, "shop", "d").unwrap();
    assert_eq!(watch.event(), ("DELETED".to_owned(), "d".to_owned(), version + 3));
    server.bookmark(Resource::Services);
    assert!(watch.is_silent(), "it did not ask for bookmarks");
}

#[test]
fn streaming_lists_end_with_a_bookmark() {
    let server = three();
    let streaming = "sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true";
    let mut watch = watch(&server, streaming);
    for name in ["a", "b", "c"] {
        assert_eq!(watch.event().1, name);
    }
    let end = watch.json();
    assert_eq!(end["object"]["metadata"]["annotations"], json!({ "k8s.io/initial-events-end": "true" }));
    assert_eq!(end["object"]["metadata"]["resourceVersion"], json!(server.version().to_string()));
    server.bookmark(Resource::Services);
    assert_eq!(watch.json()["object"]["metadata"]["annotations"], Value::Null);
}

#[test]
fn bookmarks_come_by_themselves_and_watches_end_in_time() {
    let options = Options {
        transport: Transport::Plain,
        tokens: Vec::new(),
        bookmark_interval: Duration::from_millis(20),
        ..Options::default()
    };
    let server = ApiServer::start(&options).unwrap();
    let version = server.apply(service("a")).unwrap();
    let mut watch =
        watch(&server, &format!("resourceVersion={version}&allowWatchBookmarks=true&timeoutSeconds=1"));
    assert_eq!(watch.event(), ("BOOKMARK".to_owned(), String::new(), version));
    let (rest, whole) = watch.rest();
    assert!(whole && rest.starts_with(b"{\"type\":\"BOOKMARK\""));
    assert!(server.wait_until(SOON, |server| server.open_watches(Resource::Services) == 0));
}

/// What a list meets.
fn check_list(fault: Fault, check: impl Fn(Raw)) {
    let server = three();
    server.fault(On::list(Resource::Services), Times::Next(1), fault);
    // Not for these.
    assert_eq!(Raw::get(&server, "/api/v1/nodes").status(), 200);
    assert_eq!(watch(&server, "").status(), 200);
    check(Raw::get(&server, SERVICES));
    assert_eq!(names(&list(&server, "")), ["a", "b", "c"], "the next one is answered well");
}

#[test]
fn lists_meet_faults() {
    check_list(Fault::Status(Failure::TooManyRequests { retry_after: 7 }), |raw| {
        assert_eq!((raw.status(), raw.header("retry-after")), (429, Some("7")));
    });
    for (failure, status) in [
        (Failure::Unauthorized, 401),
        (Failure::Forbidden, 403),
        (Failure::NotFound, 404),
        (Failure::Expired, 410),
        (Failure::InternalError, 500),
        (Failure::ServiceUnavailable, 503),
    ] {
        check_list(Fault::Status(failure.clone()), |raw| {
            assert_eq!(raw.status(), status);
            assert_eq!(raw.body()["code"], json!(status));
        });
        check_list(Fault::ErrorEvent(failure), |raw| assert_eq!(raw.status(), status));
    }
    check_list(Fault::Cut { after: 1 }, |mut raw| {
        let (body, whole) = raw.rest();
        let body = String::from_utf8(body).unwrap();
        assert!(!whole && body.contains("\"name\":\"a\"") && !body.ends_with('}'), "{body}");
    });
    check_list(Fault::Hang { after: 1 }, |mut raw| {
        assert!(raw.chunk().unwrap().is_some());
        assert!(raw.is_silent());
    });
    check_list(Fault::Slow { bytes: 100, pause: Duration::from_millis(1) }, |mut raw| {
        let first = raw.chunk().unwrap().unwrap();
        assert_eq!(first.len(), 100);
        let (rest, whole) = raw.rest();
        assert!(whole);
        let list: Value = serde_json::from_slice(&[first, rest].concat()).unwrap();
        assert_eq!(names(&list), ["a", "b", "c"]);
    });
    check_list(Fault::Stale { changes: 2 }, |raw| {
        let list = raw.body();
        assert_eq!((names(&list), &list["metadata"]["resourceVersion"]), (vec!["a"], &json!("2")));
    });
}

#[test]
fn a_silent_server_accepts_and_never_answers() {
    let server = three();
    server.fault(On::anything(), Times::Always, Fault::Silence);
    let mut stream = TcpStream::connect(server.address()).unwrap();
    std::io::Write::write_all(&mut stream, b"GET /version HTTP/1.1\r\nhost: test\r\n\r\n").unwrap();
    assert!(server.wait_until(SOON, |server| server.requests().len() == 1));
    stream.set_read_timeout(Some(support::QUIET)).unwrap();
    let read = std::io::Read::read(&mut stream, &mut [0]);
    assert!(read.is_err_and(|e| e.kind() == ErrorKind::WouldBlock));
    server.clear_faults();
    assert_eq!(Raw::get(&server, "/version").status(), 200);
}

/// What an open watch tells of e, f, e again, after it has met a fault.
fn told(fault: Fault) -> Vec<(String, String, u64)> {
    let server = three();
    let begin = server.version();
    let mut watch = watch(&server, &format!("resourceVersion={begin}&allowWatchBookmarks=true"));
    server.disturb(Resource::Services, fault);
    for name in ["e", "f", "e"] {
        server.apply(service(name)).unwrap();
    }
    server.bookmark(Resource::Services);
    let mut told = Vec::new();
    loop {
        let (kind, name, version) = watch.event();
        if kind == "BOOKMARK" {
            return told;
        }
        told.push((kind, name, version - begin));
    }
}

#[test]
fn open_watches_meet_faults() {
    let event = |kind: &str, name: &str, version| (kind.to_owned(), name.to_owned(), version);
    let (e, f, e_again) = (event("ADDED", "e", 1), event("ADDED", "f", 2), event("MODIFIED", "e", 3));
    assert_eq!(
        told(Fault::Duplicate),
        [e.clone(), e.clone(), f.clone(), f.clone(), e_again.clone(), e_again.clone()]
    );
    assert_eq!(told(Fault::Reorder), [f.clone(), e.clone(), e_again.clone()]);
    assert_eq!(told(Fault::Stale { changes: 1 }), [e, f, e_again, event("MODIFIED", "e", 1)]);
}

#[test]
fn new_watches_meet_faults() {
    let server = three();
    let fault = |fault| server.fault(On::watch(Resource::Services), Times::Next(1), fault);
    fault(Fault::Status(Failure::TooManyRequests { retry_after: 1 }));
    assert_eq!(watch(&server, "").status(), 429);

    fault(Fault::ErrorEvent(Failure::Expired));
    let mut refused = watch(&server, "");
    assert_eq!((refused.status(), refused.json()["object"]["code"].clone()), (200, json!(410)));
    assert_eq!(refused.rest(), (Vec::new(), true));

    fault(Fault::Hang { after: 2 });
    let mut hanging = watch(&server, "");
    assert_eq!((hanging.event().1, hanging.event().1), ("a".to_owned(), "b".to_owned()));
    assert!(hanging.is_silent());

    fault(Fault::End { after: 1 });
    let mut ending = watch(&server, "");
    assert_eq!(ending.event().1, "a");
    assert_eq!(ending.rest(), (Vec::new(), true));

    fault(Fault::Cut { after: 1 });
    let mut cut = watch(&server, "");
    assert_eq!(cut.event().1, "a");
    let (rest, whole) = cut.rest();
    assert!(!whole && rest.starts_with(b"{\"type\":\"ADDED\"") && !rest.ends_with(b"\n"));
}

#[test]
fn a_server_that_leaves_keeps_its_port() {
    let server = three();
    let mut open = watch(&server, "resourceVersion=0");
    for _ in 0..3 {
        open.event();
    }
    server.leave();
    assert!(open.chunk().is_err(), "connections end");
    let refused = TcpStream::connect(server.address()).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    server.apply(service("d")).unwrap();
    server.come_back().unwrap();
    assert_eq!(names(&list(&server, "")), ["a", "b", "c", "d"]);
    server.restart();
    assert_eq!(names(&list(&server, "")), ["a", "b", "c", "d"]);
}

#[test]
fn a_server_lives_in_the_namespace_of_who_starts_it() {
    let lab = svcnat_lab::Lab::new().unwrap();
    let (laptop, stranger) = (lab.laptop().unwrap(), lab.host("stranger").unwrap());
    let server = laptop.run(plain);
    let connect = || TcpStream::connect(server.address()).map(drop).map_err(|e| e.kind());
    server.leave();
    server.come_back().unwrap();
    assert_eq!(laptop.run(connect), Ok(()));
    assert_eq!(stranger.run(connect), Err(ErrorKind::ConnectionRefused));
}

#[test]
fn large_lists_are_whole() {
    let server = plain();
    let cluster = Cluster { services: 2_000, backends: 10 };
    server.load(cluster.objects()).unwrap();
    let mut slices = Raw::get(&server, "/apis/discovery.k8s.io/v1/endpointslices");
    let (body, whole) = slices.rest();
    assert!(whole && body.ends_with(b"]}\n"));
    let text = String::from_utf8(body).unwrap();
    assert_eq!(text.matches("\"managedFields\":").count(), 2_000);
}
