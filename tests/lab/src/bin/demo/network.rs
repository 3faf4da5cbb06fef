//! The demo's network, which agrees with the manifests of the example, and svcnat on its nodes.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::path::Path;
use std::process::{Command, Output};

use svcnat_lab::{Host, Lab, Node};

use crate::error::Error;
use crate::manifests;
use crate::screen::Screen;

/// The port of the servers in the pods: `targetPort` of the Service.
const TARGET_PORT: u16 = 8080;
/// The port that the Service has on every node.
pub const NODE_PORT: u16 = 30008;
/// The Service inside the cluster.
pub const CLUSTER_IP: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::new(10, 96, 80, 80), 80));

/// The laptop, the nodes and the pods.
pub struct Network {
    pub laptop: Host,
    pub node_a: Node,
    pub node_b: Node,
    /// A pod that is only a client.
    pub shell: Host,
    pub web_a: Host,
    pub web_b: Host,
    pub web_c: Host,
}

impl Network {
    pub fn new() -> Result<Self, Error> {
        let lab = Lab::new()?;
        let (node_a, node_b) = (lab.node("node-a")?, lab.node("node-b")?);
        Ok(Self {
            // The order in which the pods of a node are made gives them the addresses of the manifests.
            web_a: web_pod(&node_a, "web-a")?,
            web_b: web_pod(&node_a, "web-b")?,
            web_c: web_pod(&node_b, "web-c")?,
            shell: node_a.pod("shell")?,
            laptop: lab.laptop()?,
            node_a,
            node_b,
        })
    }
}

/// A pod that serves HTTP.
pub fn web_pod(node: &Node, name: &str) -> Result<Host, Error> {
    let pod = node.pod(name)?;
    pod.serve_http(TARGET_PORT)?;
    Ok(pod)
}

/// Runs svcnat on a host and shows the command line and what it prints.
pub fn svcnat(screen: &mut Screen, program: &Path, host: &Host, arguments: &[&str]) -> Result<(), Error> {
    screen.command(host.name(), &format!("svcnat {}", arguments.join(" ")))?;
    let mut command = Command::new(program);
    command.args(arguments).current_dir(manifests::repository());
    let Output { status, stdout, stderr } = host.output(&mut command)?;
    let (stdout, stderr) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    if !status.success() {
        return Err(svcnat_lab::Error::Command {
            program: format!("svcnat {}", arguments.join(" ")),
            host: host.name().to_owned(),
            status,
            stderr: stderr.into_owned(),
        }
        .into());
    }
    let show = |text: &str| -> io::Result<()> { screen.output(text) };
    Ok([stdout, stderr].iter().filter(|text| !text.is_empty()).map(AsRef::as_ref).try_for_each(show)?)
}

/// The rules of a node with the handles that the kernel gave them: a rule that is replaced by its like gets a new one.
pub fn rules_with_handles(node: &Host) -> Result<String, Error> {
    Ok(node.succeed(Command::new("nft").args(["--handle", "list", "ruleset"]), "")?)
}
