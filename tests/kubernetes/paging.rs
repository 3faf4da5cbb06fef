//! Servers that send a list in parts although nobody asked for that, with a server of a few lines: the real ones do not.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use svcnat::kubernetes::{ClientSettings, Connection, Handle, Known, Options, run};
use svcnat::source::News;
use svcnat_rules::engine::Event;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

/// The answer to a request line. `expired` says how many continue tokens are refused first.
fn answer(line: &str, expired: &AtomicUsize) -> (u16, String) {
    let service = |name: &str| {
        format!(
            r#"{{"metadata":{{"name":"{name}","namespace":"shop","resourceVersion":"7"}},"spec":{{"clusterIP":"10.0.0.1","ports":[{{"port":80}}]}}}}"#
        )
    };
    let status =
        |code: u16| (code, format!(r#"{{"kind":"Status","status":"Failure","message":"no","code":{code}}}"#));
    let page = |next: &str, name: &str| {
        let metadata = format!(r#"{{"resourceVersion":"9","continue":"{next}"}}"#);
        (200, format!(r#"{{"kind":"ServiceList","metadata":{metadata},"items":[{}]}}"#, service(name)))
    };
    match line {
        _ if line.contains("sendInitialEvents") => status(400),
        _ if !line.contains("/services?") => {
            (200, r#"{"metadata":{"resourceVersion":"9"},"items":null}"#.to_owned())
        }
        _ if line.contains("continue=two") => {
            let refuse = |left: usize| left.checked_sub(1);
            match expired.fetch_update(Ordering::SeqCst, Ordering::SeqCst, refuse) {
                Ok(_) => status(410),
                Err(_) => page("", "b"),
            }
        }
        _ => page("two", "a"),
    }
}

async fn serve(stream: TcpStream, expired: Arc<AtomicUsize>) {
    let mut stream = BufReader::new(stream);
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if stream.read_line(&mut head).await.unwrap_or(0) == 0 {
                return;
            }
        }
        let line = head.lines().next().unwrap_or_default();
        if line.contains("watch=true") && !line.contains("sendInitialEvents") {
            // The watch stays open and silent.
            tokio::time::sleep(Duration::from_secs(60)).await;
        }
        let (code, body) = answer(line, &expired);
        let text = format!("HTTP/1.1 {code} X\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        if stream.write_all(text.as_bytes()).await.is_err() {
            return;
        }
    }
}

#[tokio::test]
async fn a_list_in_parts_is_read_to_its_end() {
    for expired in [0, 1] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let master = Some(listener.local_addr().unwrap().to_string());
        let left = Arc::new(AtomicUsize::new(expired));
        let serving = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, left.clone()));
            }
        });
        let settings = ClientSettings { master, qps: -1.0, ..ClientSettings::default() };
        let connection = Connection::new(settings).await.unwrap();
        let (sender, mut receiver) = mpsc::channel(16);
        let handle = Handle::default();
        let watched = run(&connection, Options::new("n1".to_owned()), Known::default(), sender, &handle);
        let services = async {
            let mut services = Vec::new();
            while let Some(news) = receiver.recv().await {
                match news {
                    News::Change(change) => match change.event {
                        Event::Service(service) => services.push(service.name.to_string()),
                        Event::ServiceGone(name) => panic!("{name} is gone"),
                        _ => {}
                    },
                    News::Complete => break,
                    News::Eligible(_) => {}
                }
            }
            services
        };
        let services = tokio::select! {
            () = watched => panic!("it ended"),
            services = tokio::time::timeout(Duration::from_secs(30), services) => services.unwrap(),
        };
        assert_eq!(services, ["shop/a", "shop/b"], "{expired} refused");
        serving.abort();
    }
}
