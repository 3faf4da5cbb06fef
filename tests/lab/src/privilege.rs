//! Being root, at least in a user namespace of one's own.

use std::fs;
use std::io;

use nix::sched::{CloneFlags, unshare};
use nix::unistd::{Gid, Uid};

use crate::{Error, Result};

/// What [`become_root`] found or did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Privilege {
    /// The process was root already.
    Root,
    /// The process is root now, in a new user namespace and a new network namespace.
    UserNamespace,
}

/// Makes the process able to build labs: nothing to do for root; anybody else moves into a new user namespace, as
/// `unshare --user --map-root-user --net` does. Call it first thing in `main`, before there are threads.
///
/// # Errors
///
/// [`Error::NotAllowed`] where the kernel allows no user namespace, or the process has threads already.
pub fn become_root() -> Result<Privilege> {
    let (user, group) = (Uid::effective(), Gid::effective());
    if user.is_root() {
        return Ok(Privilege::Root);
    }
    unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNET)
        .map_err(io::Error::from)
        // Without CAP_SETGID outside, the kernel maps a group only for those who give up setgroups(2):
        // user_namespaces(7).
        .and_then(|()| fs::write("/proc/self/setgroups", "deny"))
        .and_then(|()| fs::write("/proc/self/uid_map", format!("0 {user} 1")))
        .and_then(|()| fs::write("/proc/self/gid_map", format!("0 {group} 1")))
        .map_err(Error::NotAllowed)?;
    Ok(Privilege::UserNamespace)
}
