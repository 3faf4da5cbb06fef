//! The control of a server, for tests.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::{Arc, mpsc as blocking};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use std::{fmt, io};

use serde_json::Value;
use tokio::runtime;
use tokio::sync::{mpsc, watch};
use tokio_rustls::TlsAcceptor;

use crate::certificates::Identity;
use crate::shared::{Request, Shared, lock};
use crate::store::Command;
use crate::transport::{self, Order};
use crate::{Error, Fault, On, Options, Posted, Resource, Result, Times, Transport, kubeconfig};

/// How often [`ApiServer::wait_until`] looks.
const LOOK: Duration = Duration::from_millis(1);

/// A server on a thread of its own, which ends with this value. All methods may be called from any thread, be it one of
/// an asynchronous runtime or not; none waits for clients.
pub struct ApiServer {
    shared: Arc<Shared>,
    address: SocketAddr,
    ca_pem: Option<String>,
    orders: mpsc::UnboundedSender<Order>,
    frozen: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

impl ApiServer {
    /// Starts a server in the network namespace of the calling thread. It is empty, and accepts connections at once.
    ///
    /// # Errors
    ///
    /// [`Error::Listen`] where the address cannot be had; [`Error::Thread`] and [`Error::Certificates`] where the system
    /// fails.
    pub fn start(options: &Options) -> Result<Self> {
        let identity = match &options.transport {
            Transport::Plain => None,
            Transport::Tls { alpn } => Some(Identity::new(options.listen.ip(), alpn)?),
        };
        let (ca_pem, tls) = match identity {
            Some(Identity { ca_pem, config }) => (Some(ca_pem), Some(TlsAcceptor::from(config))),
            None => (None, None),
        };
        let shared = Arc::new(Shared::new(options));
        let (orders, received) = mpsc::unbounded_channel();
        let (frozen, freezing) = watch::channel(false);
        let (started, start) = blocking::channel();
        let serving = shared.clone();
        let listen = options.listen;
        // Threads are born into the network namespace of who makes them.
        let thread = thread::Builder::new()
            .name("apiserver".to_owned())
            .spawn(move || serve(serving, || bind(listen, tls, freezing), received, &started))
            .map_err(Error::Thread)?;
        let ended = || Error::Thread(io::Error::other("the thread ended before it served"));
        let address = start.recv().map_err(|_| ended())??;
        Ok(Self { shared, address, ca_pem, orders, frozen, thread: Some(thread) })
    }

    /// Where the server listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The server's URL.
    #[must_use]
    pub fn url(&self) -> String {
        let scheme = if self.ca_pem.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }

    /// The certificate of the CA that clients must trust, in PEM; none without TLS.
    #[must_use]
    pub fn ca_pem(&self) -> Option<&str> {
        self.ca_pem.as_deref()
    }

    /// A kubeconfig for the server, in YAML, with one of the tokens that are accepted now.
    #[must_use]
    pub fn kubeconfig(&self) -> String {
        let token = lock(&self.shared.settings).tokens.iter().min().cloned();
        kubeconfig::render(self.address, self.ca_pem.as_deref(), token.as_deref())
    }

    /// Creates or replaces an object, tells it to those who watch, and gives its version. It needs `kind`,
    /// `metadata.name` and what the test is about; the rest is filled in as the real server does. Each call is a change,
    /// even where nothing differs.
    ///
    /// # Errors
    ///
    /// [`Error::Object`] where that is no object of a kind that is served.
    pub fn apply(&self, object: Value) -> Result<u64> {
        lock(&self.shared.store).apply(object)
    }

    /// Applies many objects.
    ///
    /// # Errors
    ///
    /// As for [`apply`](Self::apply); those before the one that fails stay.
    pub fn load(&self, objects: impl IntoIterator<Item = Value>) -> Result<()> {
        objects.into_iter().try_for_each(|object| self.apply(object).map(drop))
    }

    /// Deletes an object, and gives the version of the deletion, or nothing when there is no such object. `namespace` is
    /// empty for resources without namespaces.
    pub fn delete(&self, resource: Resource, namespace: &str, name: &str) -> Option<u64> {
        lock(&self.shared.store).delete(resource, namespace, name)
    }

    /// The version of the latest change.
    #[must_use]
    pub fn version(&self) -> u64 {
        lock(&self.shared.store).version()
    }

    /// How many objects of a resource there are.
    #[must_use]
    pub fn count(&self, resource: Resource) -> usize {
        lock(&self.shared.store).objects(resource).len()
    }

    /// Makes all versions but the present one too old: who asks for one is told 410 Expired.
    pub fn compact(&self) {
        lock(&self.shared.store).compact();
    }

    /// Removes all objects without a word to anybody, ends all watches, and begins with version 1 again, as when etcd has
    /// been set up anew.
    pub fn forget(&self) {
        lock(&self.shared.store).forget();
    }

    /// Sends a bookmark on the open watches of a resource that want bookmarks.
    pub fn bookmark(&self, resource: Resource) {
        lock(&self.shared.store).command(resource, &Command::Bookmark);
    }

    /// Lets requests meet a fault.
    pub fn fault(&self, on: On, times: Times, fault: Fault) {
        lock(&self.shared.faults).add(on, times, fault);
    }

    /// No request meets a fault any more. Watches that have met one keep it.
    pub fn clear_faults(&self) {
        lock(&self.shared.faults).clear();
    }

    /// Lets the watches of a resource that are open now meet a fault, instead of what they met before. What happened
    /// until now is told first.
    pub fn disturb(&self, resource: Resource, fault: Fault) {
        lock(&self.shared.store).command(resource, &Command::Fault(fault));
    }

    /// From now on, these bearer tokens are accepted, and no others; with none at all, everybody is. Watches that are open
    /// stay.
    pub fn set_tokens<'a>(&self, tokens: impl IntoIterator<Item = &'a str>) {
        let tokens: HashSet<String> = tokens.into_iter().map(str::to_owned).collect();
        lock(&self.shared.settings).tokens = tokens;
    }

    /// Serves a resource from now on, or does not: then who asks is told 404.
    pub fn set_served(&self, resource: Resource, served: bool) {
        let not_served = &mut lock(&self.shared.settings).not_served;
        if served {
            not_served.remove(&resource);
        } else {
            not_served.insert(resource);
        }
    }

    /// Grants `sendInitialEvents=true` from now on, or refuses it as a server does whose etcd is too old.
    pub fn set_streaming_lists(&self, granted: bool) {
        lock(&self.shared.settings).streaming_lists = granted;
    }

    /// Ends all connections. Who asks again is answered.
    pub fn restart(&self) {
        self.order(Order::Cut);
    }

    /// Ends all connections and refuses new ones. Nobody else can take the port meanwhile, and changes can be made.
    pub fn leave(&self) {
        self.order(Order::Leave);
    }

    /// Accepts connections again, on the same port.
    ///
    /// # Errors
    ///
    /// [`Error::Listen`] where the system does not let the server have its port back.
    pub fn come_back(&self) -> Result<()> {
        let listening = self.order(Order::Return).unwrap_or(Ok(()));
        listening.map_err(|source| Error::Listen { address: self.address, source })
    }

    /// Neither reads nor writes a byte from now on, or goes on: as when a network loses all packets. Connections stay,
    /// and new ones are accepted but never greeted.
    pub fn freeze(&self, frozen: bool) {
        self.frozen.send_replace(frozen);
    }

    /// How many watches of a resource are open.
    #[must_use]
    pub fn open_watches(&self, resource: Resource) -> usize {
        lock(&self.shared.store).open_watches(resource)
    }

    /// All requests so far, in the order in which they came.
    #[must_use]
    pub fn requests(&self) -> Vec<Request> {
        lock(&self.shared.requests).clone()
    }

    /// All events so far that clients created or patched.
    #[must_use]
    pub fn events_posted(&self) -> Vec<Posted> {
        lock(&self.shared.posted).posted.clone()
    }

    /// Blocks the thread until something is true, and says whether it became true in time.
    #[must_use]
    pub fn wait_until(&self, timeout: Duration, mut is_true: impl FnMut(&Self) -> bool) -> bool {
        let deadline = Instant::now() + timeout;
        while !is_true(self) {
            if Instant::now() >= deadline {
                return false;
            }
            thread::sleep(LOOK);
        }
        true
    }

    /// Gives an order and waits until it is done; nothing when the thread has ended.
    fn order<T>(&self, order: impl FnOnce(blocking::Sender<T>) -> Order) -> Option<T> {
        let (done, wait) = blocking::channel();
        self.orders.send(order(done)).ok()?;
        wait.recv().ok()
    }
}

impl Drop for ApiServer {
    fn drop(&mut self) {
        // The thread may have ended already.
        let _ = self.orders.send(Order::Stop);
        if let Some(thread) = self.thread.take() {
            // A panic on the thread has been printed; a second one while dropping would abort the tests.
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for ApiServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiServer").field("address", &self.address).finish_non_exhaustive()
    }
}

fn bind(
    address: SocketAddr,
    tls: Option<TlsAcceptor>,
    frozen: watch::Receiver<bool>,
) -> Result<transport::Transport> {
    transport::Transport::bind(address, tls, frozen).map_err(|source| Error::Listen { address, source })
}

/// The thread: one is enough, and leaves the other processors to what is tested.
fn serve(
    shared: Arc<Shared>,
    bind: impl FnOnce() -> Result<transport::Transport>,
    orders: mpsc::UnboundedReceiver<Order>,
    started: &blocking::Sender<Result<SocketAddr>>,
) {
    let runtime = match runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(e) => {
            let _ = started.send(Err(Error::Thread(e)));
            return;
        }
    };
    runtime.block_on(async {
        match bind() {
            Ok(transport) => {
                let _ = started.send(Ok(transport.address()));
                transport.run(shared, orders).await;
            }
            Err(e) => {
                let _ = started.send(Err(e));
            }
        }
    });
}
