//! The addresses of this machine, followed as they come and go.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;
use std::{io, mem};

use futures::{StreamExt as _, TryStreamExt as _};
use rtnetlink::packet_route::address::{AddressAttribute, AddressFlags, AddressMessage};
use rtnetlink::{Handle, MulticastGroup, new_multicast_connection};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;

/// How long to wait before a lost connection to the kernel is made anew.
const RECONNECT: Duration = Duration::from_secs(1);

/// Why the machine's addresses are not known.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No socket of the kind NETLINK_ROUTE.
    #[error("cannot ask the kernel for this machine's addresses (netlink, NETLINK_ROUTE): {0}")]
    Connect(#[source] io::Error),
    /// The kernel did not list them.
    #[error("the kernel does not list this machine's addresses (netlink, RTM_GETADDR): {0}")]
    List(#[source] rtnetlink::Error),
}

/// The addresses of all interfaces in the network namespace of the calling thread, loopback and link-local ones too.
/// They are followed as long as somebody holds the receiver. IPv6 addresses are there once the kernel knows that
/// nobody else has them (duplicate address detection, RFC 4862), since nothing can listen on them before.
///
/// # Errors
///
/// See [`Error`]; only for the first list. Afterwards, a lost connection is made anew, with a warning.
pub async fn follow() -> Result<watch::Receiver<BTreeSet<IpAddr>>, Error> {
    let mut connection = Connection::new()?;
    let (sender, receiver) = watch::channel(connection.list().await?);
    tokio::spawn(async move {
        tokio::select! {
            () = keep_following(connection, &sender) => {}
            () = sender.closed() => {}
        }
    });
    Ok(receiver)
}

async fn keep_following(mut connection: Connection, sender: &watch::Sender<BTreeSet<IpAddr>>) {
    loop {
        let error = connection.follow(sender).await;
        tracing::warn!("changes of this machine's addresses are not seen for {RECONNECT:?}: {error}");
        connection = loop {
            sleep(RECONNECT).await;
            match Connection::new() {
                Ok(connection) => break connection,
                Err(error) => tracing::warn!("{error}"),
            }
        };
    }
}

type Notifications = futures::channel::mpsc::UnboundedReceiver<(
    rtnetlink::packet_core::NetlinkMessage<rtnetlink::packet_route::RouteNetlinkMessage>,
    rtnetlink::sys::SocketAddr,
)>;

/// A socket that hears of changes and can ask.
struct Connection {
    handle: Handle,
    notifications: Notifications,
    /// Moves bytes between the socket and the two above. It ends with this.
    _driver: JoinSet<()>,
}

impl Connection {
    fn new() -> Result<Self, Error> {
        let groups = [MulticastGroup::Ipv4Ifaddr, MulticastGroup::Ipv6Ifaddr];
        let (driver, handle, notifications) = new_multicast_connection(&groups).map_err(Error::Connect)?;
        let mut drivers = JoinSet::new();
        drivers.spawn(driver);
        Ok(Self { handle, notifications, _driver: drivers })
    }

    async fn list(&mut self) -> Result<BTreeSet<IpAddr>, Error> {
        let addresses = self.handle.address().get().execute();
        addresses
            .try_filter_map(async |message| Ok(address(&message)))
            .try_collect()
            .await
            .map_err(Error::List)
    }

    /// Lists the addresses anew whenever something has changed: one address can be on several interfaces, and the
    /// kernel drops notifications when there are many at once, so that adding them up would go astray.
    async fn follow(&mut self, sender: &watch::Sender<BTreeSet<IpAddr>>) -> Error {
        loop {
            let addresses = match self.list().await {
                Ok(addresses) => addresses,
                Err(error) => return error,
            };
            sender.send_if_modified(|known| addresses != mem::replace(known, addresses.clone()));
            if self.notifications.next().await.is_none() {
                return Error::Connect(io::ErrorKind::ConnectionAborted.into());
            }
            while self.notifications.try_recv().is_ok() {}
        }
    }
}

/// The address that is the machine's own, if it can be used.
fn address(message: &AddressMessage) -> Option<IpAddr> {
    let (mut own, mut other) = (None, None);
    let mut flags = AddressFlags::from_bits_retain(u32::from(message.header.flags.bits()));
    for attribute in &message.attributes {
        match attribute {
            AddressAttribute::Local(address) => own = Some(*address),
            // On a point-to-point interface this is the other end's address; elsewhere, the own one again.
            AddressAttribute::Address(address) => other = Some(*address),
            AddressAttribute::Flags(all) => flags = *all,
            _ => {}
        }
    }
    let unusable = flags.contains(AddressFlags::Dadfailed)
        || flags.contains(AddressFlags::Tentative) && !flags.contains(AddressFlags::Optimistic);
    own.or(other).filter(|_| !unusable)
}
