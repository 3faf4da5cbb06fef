//! Sockets and the connections on them.

use std::future::poll_fn;
use std::net::{Shutdown, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::{io, sync::mpsc as blocking};

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::answer::answer;
use crate::body::Connection;
use crate::shared::Shared;

/// How many connections may wait to be accepted.
const BACKLOG: u32 = 1024;

/// How many requests may run on one connection: the real server's `--http2-max-streams-per-connection`.
const STREAMS: u32 = 100;

/// What the control wants of the transport; each is done once the sender hears of it.
#[derive(Debug)]
pub(crate) enum Order {
    /// Ends all connections.
    Cut(blocking::Sender<()>),
    /// Ends all connections and refuses new ones.
    Leave(blocking::Sender<()>),
    /// Accepts connections again.
    Return(blocking::Sender<io::Result<()>>),
    /// Ends.
    Stop,
}

/// The server's place on the network.
pub(crate) struct Transport {
    address: SocketAddr,
    /// Bound to the port but never listening, so that nobody else gets the port while the server is away.
    _place: TcpSocket,
    listener: Option<TcpListener>,
    tls: Option<TlsAcceptor>,
    frozen: watch::Receiver<bool>,
    connections: JoinSet<()>,
}

impl Transport {
    /// Takes an address, in the network namespace of the calling thread.
    pub(crate) fn bind(
        address: SocketAddr,
        tls: Option<TlsAcceptor>,
        frozen: watch::Receiver<bool>,
    ) -> io::Result<Self> {
        let place = bound(address)?;
        let address = place.local_addr()?;
        let listener = Some(listen(address)?);
        Ok(Self { address, _place: place, listener, tls, frozen, connections: JoinSet::new() })
    }

    /// The address with the port that was taken.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until it is told to stop.
    pub(crate) async fn run(mut self, shared: Arc<Shared>, mut orders: mpsc::UnboundedReceiver<Order>) {
        loop {
            tokio::select! {
                order = orders.recv() => match order {
                    None | Some(Order::Stop) => return,
                    Some(order) => self.obey(order).await,
                },
                accepted = accept(self.listener.as_ref()) => {
                    // What fails is a connection that is gone already.
                    if let Ok(stream) = accepted {
                        let serving = serve(stream, self.tls.clone(), shared.clone());
                        self.connections.spawn(freezable(serving, self.frozen.clone()));
                    }
                }
                // Takes those away that have ended.
                Some(_ended) = self.connections.join_next() => {}
            }
        }
    }

    async fn obey(&mut self, order: Order) {
        // Whoever does not wait for the answer does not need it.
        match order {
            Order::Cut(done) => {
                self.connections.shutdown().await;
                let _ = done.send(());
            }
            Order::Leave(done) => {
                if let Some(listener) = self.listener.take() {
                    // A program that another thread is starting holds a copy until it runs, which would accept connections.
                    let _ = SockRef::from(&listener).shutdown(Shutdown::Both);
                }
                self.connections.shutdown().await;
                let _ = done.send(());
            }
            Order::Return(done) => {
                let returned = match self.listener {
                    Some(_) => Ok(()),
                    None => listen(self.address).map(|listener| self.listener = Some(listener)),
                };
                let _ = done.send(returned);
            }
            Order::Stop => {}
        }
    }
}

/// A socket at an address that it shares with the server's other sockets only.
fn bound(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseport(true)?;
    socket.bind(address)?;
    Ok(socket)
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    bound(address)?.listen(BACKLOG)
}

async fn accept(listener: Option<&TcpListener>) -> io::Result<TcpStream> {
    match listener {
        Some(listener) => {
            let (stream, _peer) = listener.accept().await?;
            // Each event is a small write that must not wait for the next.
            stream.set_nodelay(true)?;
            Ok(stream)
        }
        None => std::future::pending().await,
    }
}

/// Leaves a connection alone while the server is frozen: nothing is read from it nor written to it.
async fn freezable(serving: impl Future<Output = ()>, mut frozen: watch::Receiver<bool>) {
    let mut serving = pin!(serving);
    loop {
        // An error means that the server ends, and the connection with it.
        if frozen.wait_for(|frozen| !frozen).await.is_err() {
            return;
        }
        tokio::select! {
            biased;
            _ = frozen.wait_for(|frozen| *frozen) => {}
            () = &mut serving => return,
        }
    }
}

async fn serve(stream: TcpStream, tls: Option<TlsAcceptor>, shared: Arc<Shared>) {
    match tls {
        None => speak(stream, shared).await,
        // Clients that do not trust the server end the handshake.
        Some(tls) => {
            if let Ok(stream) = tls.accept(stream).await {
                speak(stream, shared).await;
            }
        }
    }
}

async fn speak(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, shared: Arc<Shared>) {
    let connection = Arc::new(Connection::default());
    let service = {
        let connection = connection.clone();
        service_fn(move |request| answer(shared.clone(), connection.clone(), request))
    };
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new());
    builder.http2().timer(TokioTimer::new()).max_concurrent_streams(STREAMS);
    let mut speaking = pin!(builder.serve_connection(TokioIo::new(stream), service));
    let mut cut = pin!(connection.cut.notified());
    // An error is the client's: it went, or did not speak HTTP.
    poll_fn(|context| {
        let ended = speaking.as_mut().poll(context).is_ready();
        if ended || cut.as_mut().poll(context).is_ready() { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

#[cfg(test)]
mod tests {
    use std::net;

    use super::*;

    #[tokio::test]
    async fn who_leaves_accepts_nothing_even_where_another_process_has_a_copy_of_the_socket() {
        let (_, frozen) = watch::channel(false);
        let mut transport = Transport::bind(([127, 0, 0, 1], 0).into(), None, frozen).unwrap();
        let copy = SockRef::from(transport.listener.as_ref().unwrap()).try_clone().unwrap();
        let address = transport.address;
        let connect = || net::TcpStream::connect(address).map(drop).map_err(|error| error.kind());
        assert_eq!(connect(), Ok(()));
        let (done, wait) = blocking::channel();
        transport.obey(Order::Leave(done)).await;
        wait.recv().unwrap();
        assert_eq!(connect(), Err(io::ErrorKind::ConnectionRefused));
        drop(copy);
    }
}
