//! Commits: in stages where packets would be misled, in parts where the socket is small, and whole in the end.

use std::io;

use svcnat::netlink::{CommitError, Error, Netlink, Options, Socket, Transport};
use svcnat_oracle::World;
use svcnat_oracle::build::{self, elsewhere, tcp_slice};
use svcnat_rules::compile::compile;
use svcnat_rules::config::{Config, Layout};
use svcnat_rules::diff::diff;
use svcnat_rules::layout::slots_in;
use svcnat_rules::ruleset::Ruleset;
use svcnat_rules::stages::{ChainsGo, Importance};

use crate::namespace::{in_fresh_namespace, nft_load};

/// A socket that takes no more than so many bytes at once.
struct Small {
    socket: Socket,
    room: usize,
}

impl Transport for Small {
    fn reserve(&mut self, len: usize) -> Result<(), Error> {
        if len > self.room {
            return Err(Error::TooLarge { needed: len, available: self.room });
        }
        self.socket.reserve(len)
    }

    fn send(&mut self, messages: &[u8]) -> io::Result<()> {
        assert!(messages.len() <= self.room, "{} bytes sent", messages.len());
        self.socket.send(messages)
    }

    fn receive(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.socket.receive(buffer)
    }
}

/// As many Services as there are numbers, each with so many backends.
fn world(backends: &[u8]) -> World {
    (1..).zip(backends).fold(build::world(), |world, (number, count)| {
        let name = format!("shop/web-{number}");
        let addresses = (1..=*count).map(|last| elsewhere(&format!("10.244.{number}.{last}")));
        let service = build::service(&name).cluster_ip(&format!("10.96.0.{number}")).tcp(80);
        world.service(service.node_port(30_000 + number)).slice(tcp_slice(&name, addresses))
    })
}

/// Brings the kernel to what a world wants; how many batches that took.
fn bring<T: Transport>(
    kernel: &mut Netlink<T>,
    world: &World,
    layout: Layout,
    options: Options,
) -> Result<usize, CommitError> {
    let installed = kernel.read()?;
    let desired = desired(world, layout, &slots_in(&installed));
    let transaction = diff(&desired, &installed);
    let options = Options { generation: Some(installed.generation), ..options };
    let commit = kernel.commit(&transaction, &options, || Importance::of(&world.cluster))?;
    let after = kernel.read()?;
    let again = diff(&desired, &after).operations;
    assert_eq!(again, [], "not all of it is in force");
    Ok(commit.batches)
}

fn desired(world: &World, layout: Layout, slots: &svcnat_rules::layout::Slots) -> Ruleset {
    compile(&world.cluster, &Config { layout, ..world.config.clone() }, slots).ruleset
}

const LAYOUTS: [Layout; 2] = [Layout::Chains, Layout::Maps];

#[test]
fn what_the_socket_does_not_take_at_once_goes_in_parts() {
    let steps = [world(&[3; 40]), world(&[5; 44]), world(&[1, 0, 2]), world(&[])];
    for room in [1500, 4000, 20_000] {
        for layouts in [[LAYOUTS[0]; 4], [LAYOUTS[1]; 4], [LAYOUTS[0], LAYOUTS[1], LAYOUTS[0], LAYOUTS[1]]] {
            in_fresh_namespace(|| {
                let mut kernel = Netlink::over(Small { socket: Socket::open().unwrap(), room });
                let mut most = 0;
                for (world, layout) in steps.iter().zip(layouts) {
                    most = bring(&mut kernel, world, layout, Options::default()).unwrap().max(most);
                }
                assert!(most > 1, "everything fits into {room} bytes");
            });
        }
    }
}

#[test]
fn the_fewest_parts_are_sent() {
    let world = world(&[3; 40]);
    let batches = |room| {
        in_fresh_namespace(|| {
            let mut kernel = Netlink::over(Small { socket: Socket::open().unwrap(), room });
            bring(&mut kernel, &world, Layout::Maps, Options::default()).unwrap()
        })
    };
    let bytes = in_fresh_namespace(|| {
        let mut kernel = Netlink::open().unwrap();
        let transaction = desired(&world, Layout::Maps, &Default::default());
        let nothing = kernel.read().unwrap();
        kernel.commit(&diff(&transaction, &nothing), &Options::default(), Importance::default).unwrap().bytes
    });
    // The number of the generation takes 8 bytes. Elements of one frontend have messages of their own when a transaction is
    // cut, so it grows a little.
    assert_eq!(batches(bytes + 8), 1);
    assert!((2..=4).contains(&batches(bytes / 2 + 1000)), "{}", batches(bytes / 2 + 1000));
}

#[test]
fn nothing_is_sent_where_a_piece_does_not_fit() {
    in_fresh_namespace(|| {
        let mut kernel = Netlink::over(Small { socket: Socket::open().unwrap(), room: 200 });
        let error = bring(&mut kernel, &world(&[3]), Layout::Chains, Options::default()).unwrap_err();
        assert!(error.to_string().contains("net.core.wmem_max"), "{error}");
        assert!(kernel.read().unwrap().tables.is_empty());
    });
}

/// The order of an old kernel suits a new one too.
#[test]
fn stages_for_old_kernels_lead_to_the_same() {
    for layouts in [[LAYOUTS[0]; 3], [LAYOUTS[1]; 3], [LAYOUTS[0], LAYOUTS[1], LAYOUTS[0]]] {
        in_fresh_namespace(|| {
            let mut kernel = Netlink::open().unwrap();
            let options = Options { chains_go: ChainsGo::AfterElements, ..Options::default() };
            let worlds = [world(&[1, 2, 3]), world(&[4, 0]), world(&[1])];
            let batches: Vec<usize> = worlds
                .iter()
                .zip(layouts)
                .map(|(world, layout)| bring(&mut kernel, world, layout, options).unwrap())
                .collect();
            assert!(batches[0] == 1 && batches[1] > 1, "{batches:?}");
        });
    }
}

#[test]
fn each_stage_is_guarded_by_the_generation() {
    in_fresh_namespace(|| {
        let mut kernel = Netlink::open().unwrap();
        bring(&mut kernel, &world(&[3]), Layout::Chains, Options::default()).unwrap();
        let installed = kernel.read().unwrap();
        let desired = desired(&world(&[3]), Layout::Maps, &slots_in(&installed));
        let transaction = diff(&desired, &installed);
        let options = Options { generation: Some(installed.generation), ..Options::default() };
        nft_load("table ip somebody-else {\n}\n");
        let error = kernel.commit(&transaction, &options, Importance::default).unwrap_err();
        assert!(error.is_outdated(), "{error}");
        let batches = svcnat::netlink::batches(&transaction, &Options::default()).unwrap();
        assert!(batches.len() > 1);
    });
}
