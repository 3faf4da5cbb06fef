//! The tables of kube-proxy's mode nftables: the only ones of others that are ever touched, and only to delete them.

use std::ffi::CStr;

use nftnl::MsgType;
use svcnat_rules::net::Family;

use super::batch::Builder;
use super::constants::{msg, table};
use super::encode::Options;
use super::error::Error;
use super::handle::{Request, Table};
use super::read::Answer;
use super::socket::Transport;
use super::{Netlink, attr};

/// The name of both tables.
pub const KUBE_PROXY_TABLE: &str = "kube-proxy";
/// The same as libnftnl takes it.
const NAME: &CStr = c"kube-proxy";

impl<T: Transport> Netlink<T> {
    /// The families of kube-proxy's tables that there are.
    ///
    /// # Errors
    ///
    /// [`Error::Privilege`], [`Error::NoNfTables`].
    pub fn kube_proxy_tables(&mut self) -> Result<Vec<Family>, Error> {
        self.generation()?;
        let mut found = Vec::new();
        for family in Family::ALL {
            let name = |out: &mut Vec<u8>| attr::put_str(out, table::NAME, KUBE_PROXY_TABLE);
            if self.request(msg::GETTABLE, 0, Some(family), name, |_| {})? != Answer::Missing {
                found.push(family);
            }
        }
        Ok(found)
    }

    /// Deletes kube-proxy's tables of these families, in one transaction.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] where one is not there, and those of [`Netlink::apply`]; nothing is deleted then.
    pub fn delete_kube_proxy_tables(&mut self, families: &[Family]) -> Result<(), Error> {
        let mut batch = Builder::new(&Options::default());
        for family in families {
            let table = Table::new(*family, NAME);
            batch.add(&Request { object: &table, flags: 0 }, MsgType::Del);
        }
        self.apply(&batch.finish())
    }
}
