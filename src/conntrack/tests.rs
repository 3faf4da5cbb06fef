//! Kernels that cannot be had for a test: without filters, without ctnetlink, without privilege.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use nix::errno::Errno;

use super::constants::{IPS_DST_NAT, MSG_DELETE, MSG_GET, MSG_NEW, SUBSYSTEM, cta, ip, proto, tuple};
use super::*;
use crate::netlink::attr::{self, nest, put, put_u32};
use crate::netlink::message::{self, family_number};

/// How a kernel deals with requests.
#[derive(Clone, Copy, Default)]
struct Kernel {
    /// What it says to a list with filters, to one without, and to each deletion.
    filtered: i32,
    unfiltered: i32,
    deletion: i32,
}

/// One socket to it.
struct FakeSocket {
    kernel: Kernel,
    queue: VecDeque<Vec<u8>>,
    /// The ids that were asked to be deleted.
    deletions: Rc<RefCell<Vec<u32>>>,
}

/// `NLMSG_DONE`.
const DONE: u16 = 3;

fn control(out: &mut Vec<u8>, kind: u16, sequence: u32, errno: i32) {
    out.extend(20_u32.to_ne_bytes());
    out.extend(kind.to_ne_bytes());
    out.extend([0; 2]);
    out.extend(sequence.to_ne_bytes());
    out.extend([0; 4]);
    out.extend((-errno).to_ne_bytes());
}

fn tuple_of(out: &mut Vec<u8>, kind: u16, source: [u8; 4], destination: [u8; 4]) {
    nest(out, kind, |out| {
        nest(out, tuple::IP, |out| {
            put(out, ip::V4_SRC, &source);
            put(out, ip::V4_DST, &destination);
        });
        nest(out, tuple::PROTO, |out| {
            put(out, proto::NUM, &[17]);
            put(out, proto::SRC_PORT, &[0, 53]);
            put(out, proto::DST_PORT, &[0, 53]);
        });
    });
}

impl Transport for FakeSocket {
    fn reserve(&mut self, _len: usize) -> Result<(), netlink::Error> {
        Ok(())
    }

    fn send(&mut self, messages: &[u8]) -> io::Result<()> {
        for message in Messages(messages) {
            let mut answer = Vec::new();
            let errno = match message.kind & 0xff {
                MSG_DELETE => {
                    self.deletions.borrow_mut().extend(attr::find_u32(message.body(), cta::ID));
                    self.kernel.deletion
                }
                MSG_GET if attr::find(message.body(), cta::FILTER).is_some() => self.kernel.filtered,
                _ => self.kernel.unfiltered,
            };
            if errno != 0 {
                control(&mut answer, nlm::ERROR, message.sequence, errno);
            } else if message.kind & 0xff == MSG_GET {
                for id in 1..=3_u8 {
                    let status = if id == 3 { 0 } else { IPS_DST_NAT };
                    let family = family_number(Family::Ipv4);
                    message::put(
                        &mut answer,
                        SUBSYSTEM << 8 | MSG_NEW,
                        2,
                        message.sequence,
                        family,
                        0,
                        |out| {
                            tuple_of(out, cta::TUPLE_ORIG, [10, 0, 0, id], [10, 96, 0, 10]);
                            tuple_of(out, cta::TUPLE_REPLY, [10, 244, 0, id], [10, 0, 0, id]);
                            put_u32(out, cta::STATUS, status);
                            put_u32(out, cta::ID, u32::from(id));
                        },
                    );
                    self.queue.push_back(std::mem::take(&mut answer));
                }
                control(&mut answer, DONE, message.sequence, 0);
            }
            self.queue.push_back(answer);
        }
        Ok(())
    }

    fn receive(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let datagram = self.queue.pop_front().ok_or(io::Error::from(Errno::EAGAIN))?;
        buffer[..datagram.len()].copy_from_slice(&datagram);
        Ok(datagram.len())
    }
}

#[track_caller]
fn check(kernel: Kernel, translated: bool, expected: Result<usize, &str>, deletions: &[u32]) {
    let deleted = Rc::default();
    let socket = || FakeSocket { kernel, queue: VecDeque::new(), deletions: Rc::clone(&deleted) };
    let mut conntrack = Conntrack::over(socket(), socket());
    let query = Query { family: Family::Ipv4, protocol: Protocol::Udp, translated };
    let result = conntrack.delete(query, |flow| !flow.client.to_string().ends_with(".1"));
    match (result, expected) {
        (Ok(count), Ok(expected)) => assert_eq!(count, expected),
        (Err(error), Err(words)) => assert!(error.to_string().contains(words), "{error}"),
        (result, expected) => panic!("{result:?} instead of {expected:?}"),
    }
    assert_eq!(*deleted.borrow(), deletions);
}

#[test]
fn what_the_kernel_does_not_filter_is_filtered_here() {
    for filtered in [0, libc::EINVAL, libc::EOPNOTSUPP] {
        let kernel = Kernel { filtered, ..Kernel::default() };
        check(kernel, true, Ok(1), &[2]);
        check(kernel, false, Ok(2), &[2, 3]);
    }
}

#[test]
fn a_flow_that_ended_by_itself_is_not_counted() {
    check(Kernel { deletion: libc::ENOENT, ..Kernel::default() }, false, Ok(0), &[2, 3]);
}

#[test]
fn refusals_say_what_is_missing() {
    let missing = Kernel { filtered: libc::EINVAL, unfiltered: libc::EINVAL, ..Kernel::default() };
    check(missing, true, Err("CONFIG_NF_CT_NETLINK"), &[]);
    let listing = Kernel { filtered: libc::EPERM, ..Kernel::default() };
    check(listing, true, Err("CAP_NET_ADMIN"), &[]);
    let deleting = Kernel { deletion: libc::EPERM, ..Kernel::default() };
    check(deleting, true, Err("CAP_NET_ADMIN"), &[2]);
    let odd = Kernel { deletion: libc::EBUSY, ..Kernel::default() };
    check(odd, true, Err("cannot delete tracked flows"), &[2]);
}
