//! Owning tables, so that nobody else can change or flush them.

use svcnat_rules::installed::{Installed, Owner};
use svcnat_rules::transaction::{Change, Operation, Transaction};

use super::encode::encode;
use super::release::is_since;
use super::{Error, Netlink, Options, Socket, Transport};

impl<T: Transport> Netlink<T> {
    /// Whether the running kernel knows tables that stay when their owner ends, and can be taken over then: from Linux 6.9
    /// on.
    #[must_use]
    pub fn can_own() -> bool {
        is_since(6, 9)
    }

    /// Takes over the tables that their owner has left, and says whether there were any. The state must be read again then.
    ///
    /// # Errors
    ///
    /// Those of [`apply`](Self::apply).
    pub fn take_over(&mut self, installed: &Installed) -> Result<bool, Error> {
        let left = installed.tables.iter().filter(|(_, table)| table.owner == Owner::Left);
        let operations: Vec<_> =
            left.map(|(family, _)| Operation { family: *family, change: Change::AddTable }).collect();
        if operations.is_empty() {
            return Ok(false);
        }
        // Whatever has become of them meanwhile is read afterwards, so any generation will do.
        let options = Options { own: true, ..Options::default() };
        let Ok(batch) = encode(&Transaction { operations }, &options) else { return Ok(false) };
        self.apply(&batch).map(|()| true)
    }
}

impl Netlink<Socket> {
    /// The number by which the kernel knows the socket: as the owner of tables, as the sender of changes.
    #[must_use]
    pub fn number(&self) -> u32 {
        self.transport.number()
    }
}
