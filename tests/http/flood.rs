//! Clients that connect and do not get on.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use svcnat::http::{Bind, Health, Server};
use svcnat::metrics::Metrics;

use super::support::{at, eventually, get, in_network};

/// How many connections a server has at a time; see src/http/server.rs.
const LIMIT: usize = 64;

const CLIENTS: usize = 300;

#[test]
fn slow_clients_neither_keep_others_out_nor_hold_their_connections() {
    in_network(async || {
        let address = at("127.0.0.1", 10256);
        let bind = Bind { address, hard_fail: true };
        let _server = Server::health(bind, Health::new(Duration::from_secs(60)), Metrics::new()).unwrap();
        let mut clients: Vec<TcpStream> = Vec::new();
        for number in 0..CLIENTS {
            let mut client = TcpStream::connect(address).unwrap();
            client.set_nonblocking(true).unwrap();
            // Some begin a request, some do not even do that.
            if number % 2 == 0 {
                client.write_all(b"GET /livez HTTP/1.1\r\nHost: svc").unwrap();
            }
            clients.push(client);
            // The kernel's queue of connections that are not accepted yet is shorter than the flood.
            if number % 50 == 0 {
                assert_eq!(get(address, "/livez").await.unwrap().code(), 200, "beside {number} others");
            }
        }
        assert_eq!(get(address, "/livez").await.unwrap().code(), 200, "beside all others");
        // What was to end does so as soon as it is its turn on this thread, long before its time is over.
        for _ in 0..CLIENTS {
            tokio::task::yield_now().await;
        }
        let open = still_open(&mut clients);
        assert!(open <= LIMIT, "{open} connections are open");
        eventually("a connection ends at last", async || still_open(&mut clients) == 0).await;
    });
}

fn still_open(clients: &mut [TcpStream]) -> usize {
    let open = clients.iter_mut().filter_map(|client| client.read(&mut [0; 1024]).err());
    open.filter(|error| error.kind() == ErrorKind::WouldBlock).count()
}
