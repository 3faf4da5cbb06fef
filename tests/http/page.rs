//! The server of the page: whom it answers, and what it tells browsers. What the page shows is for `tests/page`.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::routing::get as on_get;
use futures::{StreamExt as _, stream};
use svcnat::http::{Bind, Server};
use svcnat::page;
use tokio::net::TcpSocket;
use tokio::time::sleep;

use super::support::{Answer, ask, at, eventually, get, in_network, ip};

const PAGE: u16 = 10_247;

/// How many may be told of all Services at a time; see src/page/guard.rs.
const READERS: usize = 8;

/// How long a connection of other servers lasts; see src/http/connections.rs.
const LIFETIME: Duration = Duration::from_secs(10);

/// What every answer must have, whatever it is.
const HEADERS: [&str; 6] = [
    "Content-Security-Policy: default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options: nosniff",
    "X-Frame-Options: DENY",
    "Referrer-Policy: no-referrer",
    "Cross-Origin-Opener-Policy: same-origin",
    "Cross-Origin-Resource-Policy: same-origin",
];

/// The page with answers of which one does not end.
fn start() -> Server {
    let endless = async || {
        let later = stream::pending::<Result<&str, std::io::Error>>();
        Body::from_stream(stream::once(async { Ok("first\n") }).chain(later))
    };
    let late = async || {
        let later = stream::once(async {
            sleep(LIFETIME + Duration::from_millis(500)).await;
            Ok::<_, std::io::Error>("last\n")
        });
        Body::from_stream(stream::once(async { Ok("first\n") }).chain(later))
    };
    let answers = Router::new()
        .route("/v1/status", on_get(async || "fine"))
        .route("/v1/services", on_get(endless))
        .route("/v1/late", on_get(late))
        .fallback(async || (axum::http::StatusCode::NOT_FOUND, "no such question"));
    Server::page(Bind { address: at("127.0.0.1", PAGE), hard_fail: true }, page::router(answers)).unwrap()
}

/// A request with these lines behind the first one.
async fn request(first: &str, headers: &[&str]) -> Answer {
    let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
    ask(at("127.0.0.1", PAGE), &format!("{first} HTTP/1.1\r\n{headers}\r\n")).await.unwrap()
}

#[track_caller]
fn check_headers(answer: &Answer) {
    for header in HEADERS {
        let found = answer.headers.iter().filter(|found| *found == header).count();
        assert_eq!(found, 1, "{header} in {answer:?}");
    }
    let shared = answer.headers.iter().find(|header| header.starts_with("Access-Control-"));
    assert_eq!(shared, None, "other sites are given nothing");
}

#[test]
fn every_answer_forbids_what_browsers_could_be_talked_into() {
    in_network(async || {
        let _server = start();
        for (path, code, content_type) in [
            ("/", 200, "text/html; charset=utf-8"),
            ("/assets/main.js", 200, "text/javascript; charset=utf-8"),
            ("/assets/style.css", 200, "text/css; charset=utf-8"),
            ("/assets/icon.svg", 200, "image/svg+xml"),
            ("/v1/status", 200, "text/plain; charset=utf-8"),
            ("/v1/other", 404, "text/plain; charset=utf-8"),
            ("/assets/../Cargo.toml", 404, "text/plain; charset=utf-8"),
        ] {
            let answer = get(at("127.0.0.1", PAGE), path).await.unwrap();
            assert_eq!(answer.code(), code, "{path}");
            assert!(answer.headers.contains(&format!("Content-Type: {content_type}")), "{path}: {answer:?}");
            check_headers(&answer);
        }
    });
}

#[test]
fn names_of_others_and_methods_that_change_are_refused() {
    in_network(async || {
        let _server = start();
        for (first, headers, code) in [
            ("GET /", &["Host: localhost:9000"][..], 200),
            ("GET /v1/status", &["Host: [::1]"], 200),
            ("GET /v1/status", &["Host: attacker.example"], 403),
            ("GET /", &["Host: attacker.example:10247"], 403),
            ("GET /assets/main.js", &["Host: 192.168.1.2:10247"], 403),
            ("GET /v1/status", &["Host: localhost", "Host: attacker.example"], 403),
            ("GET http://attacker.example/v1/status", &["Host: localhost"], 403),
            ("POST /v1/status", &["Host: localhost", "Content-Length: 0"], 405),
            ("PUT /", &["Host: localhost", "Content-Length: 0"], 405),
            ("OPTIONS /v1/status", &["Host: localhost", "Access-Control-Request-Method: GET"], 405),
            ("DELETE /v1/services", &["Host: localhost"], 405),
            ("HEAD /", &["Host: localhost"], 405),
            // Pages of other sites may lead here, but not ask.
            ("GET /", &["Host: localhost", "Sec-Fetch-Site: cross-site"], 200),
            ("GET /v1/status", &["Host: localhost", "Sec-Fetch-Site: cross-site"], 403),
            ("GET /v1/status", &["Host: localhost", "Sec-Fetch-Site: same-site"], 403),
            ("GET /v1/status", &["Host: localhost", "Sec-Fetch-Site: same-origin"], 200),
            ("GET /v1/status", &["Host: localhost", "Sec-Fetch-Site: none"], 200),
        ] {
            let answer = request(first, headers).await;
            assert_eq!(answer.code(), code, "{first} {headers:?}: {answer:?}");
            check_headers(&answer);
            if code == 405 {
                assert!(answer.headers.contains(&"Allow: GET".to_owned()), "{answer:?}");
            }
        }
    });
}

#[test]
fn files_that_a_browser_has_are_not_sent_again() {
    in_network(async || {
        let _server = start();
        let first = request("GET /assets/main.js", &["Host: localhost"]).await;
        assert!(first.headers.contains(&"Cache-Control: no-cache".to_owned()), "{first:?}");
        let tag = first.headers.iter().find_map(|header| header.strip_prefix("Etag: ")).unwrap();
        let known = format!("If-None-Match: {tag}");
        let again = request("GET /assets/main.js", &["Host: localhost", &known]).await;
        assert_eq!((again.code(), again.body.as_str()), (304, ""));
        check_headers(&again);
        let other = request("GET /assets/main.js", &["Host: localhost", "If-None-Match: \"0\""]).await;
        assert_eq!((other.code(), other.body), (200, first.body));
    });
}

#[test]
fn packets_from_elsewhere_are_not_answered_even_where_they_get_in() {
    in_network(async || {
        let _server = start();
        ip("addr add 192.168.1.2/32 dev lo");
        let from = async |source: &str| {
            let socket = TcpSocket::new_v4().unwrap();
            socket.bind(at(source, 0)).unwrap();
            let stream = socket.connect(at("127.0.0.1", PAGE)).await.unwrap().into_std().unwrap();
            stream.set_nonblocking(false).unwrap();
            tokio::task::spawn_blocking(move || exchange(stream)).await.unwrap()
        };
        assert!(from("127.0.0.1").await.starts_with("HTTP/1.1 200"));
        assert_eq!(from("192.168.1.2").await, "");
    });
}

/// What comes until the connection ends, in one way or another.
fn exchange(mut stream: TcpStream) -> String {
    let mut answer = Vec::new();
    // It may be closed by then.
    drop(stream.write_all(b"GET /v1/status HTTP/1.1\r\nHost: localhost\r\n\r\n"));
    drop(stream.read_to_end(&mut answer));
    String::from_utf8(answer).unwrap()
}

/// Asks for the Services, which are told without end; what comes first.
fn follow() -> (TcpStream, String) {
    let mut stream = TcpStream::connect(at("127.0.0.1", PAGE)).unwrap();
    stream.write_all(b"GET /v1/services?watch=true HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let mut answer = [0; 2048];
    let len = stream.read(&mut answer).unwrap();
    (stream, String::from_utf8_lossy(&answer[..len]).into_owned())
}

#[test]
fn only_so_many_may_follow_all_services_at_a_time() {
    in_network(async || {
        let _server = start();
        let follow = async || tokio::task::spawn_blocking(follow).await.unwrap();
        let mut readers = Vec::new();
        for number in 0..READERS {
            let (stream, first) = follow().await;
            assert!(first.starts_with("HTTP/1.1 200"), "{number}: {first}");
            readers.push(stream);
        }
        let (_, refused) = follow().await;
        assert!(refused.starts_with("HTTP/1.1 503"), "{refused}");
        assert_eq!(request("GET /v1/status", &["Host: localhost"]).await.code(), 200);
        drop(readers.pop());
        eventually("the place of who has gone is free", async || {
            follow().await.1.starts_with("HTTP/1.1 200")
        })
        .await;
    });
}

#[test]
fn an_answer_may_go_on_for_longer_than_a_connection_of_other_servers() {
    in_network(async || {
        let _server = start();
        let answer = request("GET /v1/late", &["Host: localhost"]).await;
        assert!(answer.body.contains("first") && answer.body.contains("last"), "{answer:?}");
    });
}
