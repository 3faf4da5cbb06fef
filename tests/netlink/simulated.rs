//! Kernels that cannot be had for a test: without nf_tables, with lost replies, with a ruleset that never rests.

use std::collections::VecDeque;
use std::io;

use svcnat::netlink::{Batch, Error, Netlink, Options, Socket, Transport, encode};
use svcnat_rules::net::Family;
use svcnat_rules::transaction::{Change, Operation, Transaction};

/// A kernel that answers every send with what a function says.
struct Kernel<F> {
    answer: F,
    queue: VecDeque<io::Result<Vec<u8>>>,
    sent: usize,
}

impl<F: FnMut(&[u8]) -> Vec<io::Result<Vec<u8>>>> Kernel<F> {
    fn new(answer: F) -> Self {
        Self { answer, queue: VecDeque::new(), sent: 0 }
    }
}

impl<F: FnMut(&[u8]) -> Vec<io::Result<Vec<u8>>>> Transport for &mut Kernel<F> {
    fn reserve(&mut self, _: usize) -> Result<(), Error> {
        Ok(())
    }

    fn send(&mut self, messages: &[u8]) -> io::Result<()> {
        self.sent += 1;
        let answers = (self.answer)(messages);
        self.queue.extend(answers);
        Ok(())
    }

    fn receive(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let datagram = self.queue.pop_front().unwrap_or_else(|| Err(io::ErrorKind::WouldBlock.into()))?;
        buffer[..datagram.len()].copy_from_slice(&datagram);
        Ok(datagram.len())
    }
}

/// An `NLMSG_ERROR` message without the request.
fn error(sequence: u32, errno: i32) -> io::Result<Vec<u8>> {
    message(2, 0x100, sequence, &[&(-errno).to_ne_bytes()[..], &[0; 16]].concat())
}

fn message(kind: u16, flags: u16, sequence: u32, payload: &[u8]) -> io::Result<Vec<u8>> {
    let mut bytes = u32::try_from(16 + payload.len()).unwrap().to_ne_bytes().to_vec();
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(flags.to_ne_bytes());
    bytes.extend(sequence.to_ne_bytes());
    bytes.extend([0; 4]);
    bytes.extend(payload);
    Ok(bytes)
}

/// Replies that do not fit.
fn overrun() -> io::Result<Vec<u8>> {
    Err(io::Error::from_raw_os_error(nix::libc::ENOBUFS))
}

/// The type and the sequence number of a request.
fn request(bytes: &[u8]) -> (u16, u32) {
    (
        u16::from_ne_bytes(bytes[4..6].try_into().unwrap()),
        u32::from_ne_bytes(bytes[8..12].try_into().unwrap()),
    )
}

const GETGEN: u16 = 10 << 8 | 16;

fn generation(sequence: u32, number: u32) -> io::Result<Vec<u8>> {
    let id = [&[0, 0, 0, 0, 8, 0, 1, 0][..], &number.to_be_bytes()].concat();
    message(10 << 8 | 15, 0, sequence, &id)
}

/// A table and a chain to add: messages 1 and 2, END is 3.
fn batch(acknowledge: bool) -> Batch {
    let name = "c".into();
    let changes = [Change::AddTable, Change::AddChain { name: &name, hook: None }];
    let operations = changes.map(|change| Operation { family: Family::Ipv4, change }).into();
    encode(&Transaction { operations }, &Options { acknowledge, ..Options::default() }).unwrap()
}

#[test]
fn the_answer_to_a_batch_decides() {
    #[track_caller]
    fn check(acknowledge: bool, answer: Vec<io::Result<Vec<u8>>>, expected: &str) {
        let mut answer = Some(answer);
        let mut kernel = Kernel::new(move |_| answer.take().unwrap());
        let result = Netlink::over(&mut kernel).apply(&batch(acknowledge));
        assert_eq!(kernel.sent, 1);
        let text = result.map_or_else(|error| format!("{error:?}"), |()| "applied".to_owned());
        assert!(text.starts_with(expected), "{text}");
    }
    use nix::libc::{EINTR, EOPNOTSUPP, EPERM, EPROTONOSUPPORT, ERESTART};
    check(true, vec![error(3, 0)], "applied");
    check(false, vec![], "applied");
    check(true, vec![Err(io::Error::from_raw_os_error(EINTR)), error(3, 0)], "applied");
    check(true, vec![], "Unknown");
    check(true, vec![error(2, 0)], "Unknown");
    check(false, vec![overrun()], "Unknown");
    check(true, vec![error(0, EOPNOTSUPP)], "NoNfTables");
    check(true, vec![error(0, EPROTONOSUPPORT)], "NoNfTables");
    check(true, vec![error(0, EPERM)], "Privilege");
    check(true, vec![error(0, ERESTART)], "GenerationMoved");
    check(true, vec![error(1, EPERM), error(3, 0)], "Owned { object: Table { family: Ipv4 } }");
    check(true, vec![error(2, 17), error(3, 0)], "Exists { object: Chain { family: Ipv4, name: \"c\"");
    // The first refusal is told, also when so many follow that not all fit.
    check(true, vec![overrun(), error(1, 28), error(2, 17)], "Refused { object: Table");
    // What belongs to no message of the batch is not about it, and rubbish is nothing.
    check(true, vec![error(1 << 31, 22), error(3, 0)], "applied");
    check(true, vec![Ok(vec![0xff; 40]), Ok(vec![]), error(3, 0)], "applied");
}

#[test]
fn a_kernel_without_nf_tables_is_told_when_reading() {
    let mut kernel = Kernel::new(|bytes| vec![error(request(bytes).1, nix::libc::EINVAL)]);
    let result = Netlink::over(&mut kernel).read();
    assert!(matches!(result, Err(Error::NoNfTables)), "{result:?}");
}

#[test]
fn a_ruleset_that_never_rests_is_not_read_for_ever() {
    let mut number = 0;
    let mut kernel = Kernel::new(|bytes| match request(bytes) {
        (GETGEN, sequence) => {
            number += 1;
            vec![generation(sequence, number)]
        }
        (_, sequence) => vec![error(sequence, nix::libc::ENOENT)],
    });
    let result = Netlink::over(&mut kernel).read();
    assert!(matches!(result, Err(Error::Unstable { attempts: 10 })), "{result:?}");
}

#[test]
fn a_dump_that_was_interrupted_is_repeated() {
    // The table is there at first, its dump is broken off, then the table is gone.
    let mut requests = 0;
    let mut kernel = Kernel::new(|bytes| {
        requests += 1;
        match request(bytes) {
            (GETGEN, sequence) => vec![generation(sequence, 5)],
            // GETTABLE of the first family, then the dump of its chains, done with NLM_F_DUMP_INTR.
            (_, sequence) if requests == 2 => vec![message(10 << 8, 0, sequence, &[2, 0, 0, 0])],
            (_, sequence) if requests == 3 => vec![message(3, 0x12, sequence, &[0; 4])],
            (_, sequence) => vec![error(sequence, nix::libc::ENOENT)],
        }
    });
    let installed = Netlink::over(&mut kernel).read().unwrap();
    assert_eq!((installed.generation, installed.tables.len()), (5, 0));
    assert!(kernel.sent > 5, "nothing was repeated");
}

#[test]
fn an_answer_that_does_not_come_is_an_error() {
    let mut kernel = Kernel::new(|_| vec![]);
    let result = Netlink::over(&mut kernel).read();
    assert!(matches!(result, Err(Error::Io { .. })), "{result:?}");
}

#[test]
fn what_no_socket_can_take_is_told_before_it_is_sent() {
    let result = Socket::open().unwrap().reserve(3 << 30);
    let Err(error @ Error::TooLarge { needed, available }) = result else { panic!("{result:?}") };
    assert!(needed == 3 << 30 && available < needed, "{error:?}");
    assert!(error.to_string().contains("net.core.wmem_max"), "{error}");
}
