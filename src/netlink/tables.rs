//! Which tables there are, whoever made them.

use super::constants::{msg, nlm, table};
use super::error::Error;
use super::read::Answer;
use super::socket::Transport;
use super::{Netlink, attr};

/// How often a dump that others' changes made worthless is repeated.
const ATTEMPTS: u32 = 10;

impl<T: Transport> Netlink<T> {
    /// The tables of all families by name, with the family's number (`NFPROTO_INET` is 1).
    ///
    /// # Errors
    ///
    /// [`Error::Privilege`], [`Error::NoNfTables`]; [`Error::Unstable`] where tables came and went all the time.
    pub fn tables(&mut self) -> Result<Vec<(u8, String)>, Error> {
        self.generation()?;
        for _ in 0..ATTEMPTS {
            let mut found = Vec::new();
            let answer = self.request(
                msg::GETTABLE,
                nlm::F_DUMP,
                None,
                |_| {},
                |message| {
                    let name = attr::find_str(message.body(), table::NAME);
                    found.extend(name.map(|name| (message.number(), name.to_owned())));
                },
            )?;
            if answer == Answer::Complete {
                return Ok(found);
            }
        }
        Err(Error::Unstable { attempts: ATTEMPTS })
    }
}
