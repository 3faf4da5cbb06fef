//! The interface of the mode ipvs, and the virtual servers behind it.

use std::fs;
use std::io;

use futures::TryStreamExt as _;
use nix::libc;
use rtnetlink::packet_route::link::{InfoKind, LinkAttribute, LinkInfo, LinkMessage};

use super::{Error, Note, names};

/// Virtual servers of the calling thread's network namespace; there is no such file unless the module ip_vs is loaded.
const VIRTUAL_SERVERS: &str = "/proc/thread-self/net/ip_vs";

/// An interface to remove.
#[derive(Debug)]
pub(super) struct Interface {
    index: u32,
}

impl Interface {
    /// Removes the interface with its addresses.
    pub fn remove(&self) -> Result<(), Error> {
        let index = self.index;
        with_netlink(async move |handle| handle.link().del(index).execute().await)
            .and_then(|done| done.map_err(io::Error::other))
            .map_err(|error| failed("remove", &error))
    }
}

/// kube-proxy's interface, with notes of what stays.
pub(super) fn find(notes: &mut Vec<Note>) -> Result<Option<Interface>, Error> {
    if let Ok(listing) = fs::read_to_string(VIRTUAL_SERVERS) {
        let count = virtual_servers(&listing);
        notes.extend((count > 0).then_some(Note::VirtualServers(count)));
    }
    let Some(link) = link(names::INTERFACE)? else { return Ok(None) };
    if kind(&link) == Some(&InfoKind::Dummy) {
        return Ok(Some(Interface { index: link.header.index }));
    }
    notes.push(Note::OtherInterface);
    Ok(None)
}

fn link(name: &str) -> Result<Option<LinkMessage>, Error> {
    let name = name.to_owned();
    let found =
        with_netlink(async move |handle| handle.link().get().match_name(name).execute().try_next().await);
    match found.map_err(|error| failed("ask for", &error))? {
        Ok(link) => Ok(link),
        Err(rtnetlink::Error::NetlinkError(error)) if error.to_io().raw_os_error() == Some(libc::ENODEV) => {
            Ok(None)
        }
        Err(error) => Err(failed("ask for", &io::Error::other(error))),
    }
}

fn kind(link: &LinkMessage) -> Option<&InfoKind> {
    let infos = link.attributes.iter().filter_map(|attribute| match attribute {
        LinkAttribute::LinkInfo(infos) => Some(infos),
        _ => None,
    });
    infos.flatten().find_map(|info| match info {
        LinkInfo::Kind(kind) => Some(kind),
        _ => None,
    })
}

/// How many virtual servers are listed: lines that begin with a protocol, or a mark of the firewall.
fn virtual_servers(listing: &str) -> usize {
    let first = listing.lines().filter_map(|line| line.split(' ').next());
    first.filter(|word| ["TCP", "UDP", "SCTP", "FWM"].contains(word)).count()
}

/// Does something with a netlink socket of the calling thread's network namespace.
fn with_netlink<T>(work: impl AsyncFnOnce(rtnetlink::Handle) -> T) -> io::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let (connection, handle, _) = rtnetlink::new_connection()?;
        tokio::spawn(connection);
        Ok(work(handle).await)
    })
}

fn failed(action: &'static str, error: &io::Error) -> Error {
    Error::Interface { action, reason: error.to_string() }
}

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::thread;

    use nix::sched::{CloneFlags, unshare};

    use super::*;

    /// The form is that of `ip_vs_info_seq_show` in the kernel.
    #[test]
    fn virtual_servers_are_counted() {
        let head = "IP Virtual Server version 1.2.1 (size=4096)\nProt LocalAddress:Port Scheduler Flags\n  \
                    -> RemoteAddress:Port Forward Weight ActiveConn InActConn\n";
        assert_eq!(virtual_servers(head), 0);
        let servers = "TCP  0A600001:01BB rr  \n  -> C0A80102:192B      Masq    1      0          0         \n\
                       UDP  [fd00:0010:0096:0000:0000:0000:0000:000a]:0035 rr  \nFWM  00000001 rr  \n";
        assert_eq!(virtual_servers(&format!("{head}{servers}")), 3);
    }

    /// Kinds of interfaces that every kernel has, whatever its modules.
    #[test]
    fn an_interface_is_known_by_its_kind_and_removed_by_its_number() {
        thread::scope(|scope| {
            scope.spawn(|| {
                unshare(CloneFlags::CLONE_NEWNET).unwrap();
                let add = ["link", "add", names::INTERFACE, "type", "bridge"];
                assert!(Command::new("ip").args(add).status().unwrap().success());
                let found = link(names::INTERFACE).unwrap().unwrap();
                assert_eq!(kind(&found), Some(&InfoKind::Bridge));
                let mut notes = Vec::new();
                assert!(super::find(&mut notes).unwrap().is_none());
                assert_eq!(notes, [Note::OtherInterface]);
                Interface { index: found.header.index }.remove().unwrap();
                assert!(link(names::INTERFACE).unwrap().is_none());
                assert!(Interface { index: found.header.index }.remove().is_err());
            });
        });
    }
}
