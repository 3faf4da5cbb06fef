//! What refers to what in the rendered manifests.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::sync::LazyLock;

use k8s_openapi::api::core::v1::{Capabilities, Container, PodSpec, Probe, Toleration, Volume};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::objects::Objects;
use crate::tools::{has_kubectl, repository};

/// Overlays that run the agent.
pub const OVERLAYS: [&str; 3] = ["deploy/overlays/kubeadm", "deploy/overlays/kind", "deploy/overlays/k3s"];
const CLEANUPS: [&str; 2] = ["deploy/cleanup/svcnat", "deploy/cleanup/kube-proxy"];

/// Each overlay, as it is and with the components, with its name and its objects; none where nothing can render them.
pub static AGENTS: LazyLock<Vec<(String, Objects)>> = LazyLock::new(|| {
    if !has_kubectl() {
        return Vec::new();
    }
    let plain = OVERLAYS.map(|overlay| (overlay.to_owned(), Objects::of(overlay)));
    let with = |components: &'static [&'static str]| {
        OVERLAYS.map(|overlay| {
            let name = format!("{overlay} with {}", components.join(" and "));
            (name, with_components(overlay, components))
        })
    };
    let some: [&[&str]; 4] =
        [&["conntrack"], &["iptables"], &["conntrack", "iptables"], &["iptables", "conntrack"]];
    plain.into_iter().chain(some.into_iter().flat_map(with)).collect()
});

/// All that is deployed: the agents, and what cleans up.
static ALL: LazyLock<Vec<(&str, &Objects)>> = LazyLock::new(|| {
    static CLEANING: LazyLock<Vec<Objects>> =
        LazyLock::new(|| CLEANUPS.into_iter().filter(|_| has_kubectl()).map(Objects::of).collect());
    let agents = AGENTS.iter().map(|(name, objects)| (name.as_str(), objects));
    agents.chain(CLEANUPS.into_iter().zip(CLEANING.iter())).collect()
});

/// An overlay of an operator's own, as the README describes it.
fn with_components(overlay: &str, components: &[&str]) -> Objects {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    // kustomize takes relative paths only.
    let up = "../".repeat(folder.path().canonicalize().unwrap().components().count() - 1);
    let root = repository("").canonicalize().unwrap();
    let root = format!("{up}{}", root.strip_prefix("/").unwrap().display());
    let components = components.iter().map(|component| format!("{root}/deploy/components/{component}"));
    let components = components.collect::<Vec<_>>().join(", ");
    let lines = format!("resources: [{root}/{overlay}]\ncomponents: [{components}]\n");
    fs::write(folder.path().join("kustomization.yaml"), lines).unwrap();
    Objects::of(folder.path().to_str().unwrap())
}

fn containers(pod: &PodSpec) -> impl Iterator<Item = &Container> {
    pod.init_containers.iter().flatten().chain(&pod.containers)
}

#[test]
fn every_volume_mount_has_its_volume() {
    for (name, objects) in ALL.iter() {
        let pod = objects.pod();
        let volumes: BTreeSet<_> = pod.volumes.iter().flatten().map(|volume| &volume.name).collect();
        let mounts = containers(pod).flat_map(|container| container.volume_mounts.iter().flatten());
        assert_eq!(mounts.map(|mount| &mount.name).collect::<BTreeSet<_>>(), volumes, "{name}");
    }
}

/// The ConfigMaps that a volume takes files from, and those files by key and path (none: all, under their keys).
fn config_maps(volume: &Volume) -> Vec<(&str, Vec<(&str, &str)>)> {
    let sources = volume.projected.iter().flat_map(|projected| projected.sources.iter().flatten());
    let config_maps = sources.filter_map(|source| source.config_map.as_ref());
    config_maps
        .map(|source| {
            let items = source.items.iter().flatten();
            (source.name.as_str(), items.map(|item| (item.key.as_str(), item.path.as_str())).collect())
        })
        .collect()
}

#[test]
fn the_agent_finds_its_files() {
    for (name, objects) in AGENTS.iter() {
        let volume = objects.pod().volumes.iter().flatten().find(|volume| volume.name == "config").unwrap();
        let mut files = BTreeSet::new();
        for (config_map, items) in config_maps(volume) {
            let keys = objects.keys(config_map);
            // This one is kubeadm's.
            let foreign = config_map == "kube-proxy" && name.starts_with("deploy/overlays/kubeadm");
            assert!(keys.is_none() == foreign, "{name}: ConfigMap {config_map}");
            let keys = keys.unwrap_or_else(|| vec!["config.conf", "kubeconfig.conf"]);
            assert!(items.iter().all(|(key, _)| keys.contains(key)), "{name}: {items:?} of {keys:?}");
            files.extend(if items.is_empty() {
                keys
            } else {
                items.into_iter().map(|(_, path)| path).collect()
            });
        }
        let mut expected = BTreeSet::from(["config.yaml", "kubeconfig.yaml"]);
        expected.extend(name.contains("conntrack").then_some("conntrack.yaml"));
        assert_eq!(files, expected, "{name}");
    }
}

#[test]
fn the_agent_is_told_where_its_files_are() {
    for (name, objects) in AGENTS.iter() {
        for container in containers(objects.pod()) {
            let mounts = container.volume_mounts.iter().flatten();
            let paths: BTreeMap<_, _> =
                mounts.map(|mount| (mount.name.as_str(), &mount.mount_path)).collect();
            let told = |argument: String| container.args.iter().flatten().any(|found| *found == argument);
            let file = if container.name == "sysctls" { "conntrack.yaml" } else { "config.yaml" };
            assert!(told(format!("--config={}/{file}", paths["config"])), "{name}: {container:?}");
            let state = paths.get("state");
            assert!(
                state.is_none_or(|path| told(format!("--state-file={path}/state"))),
                "{name}: {container:?}"
            );
        }
    }
}

#[test]
fn the_component_for_connection_tracking_brings_a_container_and_nothing_else_does() {
    for (name, objects) in AGENTS.iter() {
        let init = objects.pod().init_containers.iter().flatten().map(|container| container.name.as_str());
        let expected: &[&str] = if name.contains("conntrack") { &["sysctls"] } else { &[] };
        assert_eq!(init.collect::<Vec<_>>(), expected, "{name}");
    }
}

#[test]
fn probes_ask_the_port_that_kube_proxy_serves_health_on() {
    #[track_caller]
    fn check(container: &Container, probe: Option<&Probe>, path: &str) {
        let get = probe.and_then(|probe| probe.http_get.as_ref()).expect("a probe by HTTP");
        assert_eq!(get.path.as_deref(), Some(path));
        let port = container.ports.iter().flatten().find(|port| {
            port.name.as_ref().is_some_and(|name| get.port == IntOrString::String(name.clone()))
        });
        assert_eq!(port.map(|port| port.container_port), Some(10256), "{:?}", get.port);
    }
    for (_, objects) in AGENTS.iter() {
        let [agent] = &objects.pod().containers[..] else { panic!("one container") };
        check(agent, agent.startup_probe.as_ref(), "/livez");
        check(agent, agent.liveness_probe.as_ref(), "/livez");
        check(agent, agent.readiness_probe.as_ref(), "/readyz");
    }
}

/// Containers with all privileges, by name and image. Each one is a decision.
const PRIVILEGED: [(&str, &str); 2] = [("sysctls", "svcnat"), ("cleanup", "registry.k8s.io/kube-proxy")];

#[test]
fn containers_have_no_capability_but_those_to_change_the_network() {
    #[track_caller]
    fn check(name: &str, pod: &PodSpec, container: &Container) {
        let context = container.security_context.as_ref().expect("a security context");
        let (image, _) = container.image.as_deref().unwrap().split_once(':').unwrap();
        if context.privileged == Some(true) {
            assert!(PRIVILEGED.contains(&(&container.name, image)), "{name}: {container:?}");
            return;
        }
        let ours = image == "svcnat";
        let needed = if name.contains("iptables") { &["NET_ADMIN", "NET_RAW"][..] } else { &["NET_ADMIN"] };
        let expected = Capabilities {
            add: ours.then(|| needed.iter().map(|&name| name.to_owned()).collect()),
            drop: Some(vec!["ALL".to_owned()]),
        };
        assert_eq!(context.capabilities, Some(expected), "{name} {}", container.name);
        assert_eq!(context.run_as_user, ours.then_some(0), "{name} {}", container.name);
        assert_eq!(context.allow_privilege_escalation, Some(false), "{name} {}", container.name);
        assert_eq!(context.read_only_root_filesystem, Some(true), "{name} {}", container.name);
        assert_eq!(context.seccomp_profile, None, "{name} {}", container.name);
        let profile = pod.security_context.as_ref().and_then(|context| context.seccomp_profile.as_ref());
        assert_eq!(profile.map(|profile| profile.type_.as_str()), Some("RuntimeDefault"), "{name}");
    }
    for (name, objects) in ALL.iter() {
        for container in containers(objects.pod()) {
            check(name, objects.pod(), container);
        }
    }
}

#[test]
fn every_node_runs_it_before_other_pods() {
    for (name, objects) in ALL.iter() {
        let pod = objects.pod();
        assert_eq!(pod.host_network, Some(true), "{name}");
        assert_eq!(pod.priority_class_name.as_deref(), Some("system-node-critical"), "{name}");
        let all = Toleration { operator: Some("Exists".to_owned()), ..Toleration::default() };
        assert_eq!(pod.tolerations, Some(vec![all]), "{name}");
        assert_eq!(objects.daemon_set().metadata.namespace.as_deref(), Some("kube-system"), "{name}");
    }
}

#[test]
fn a_daemon_set_selects_its_own_pods_and_no_other_ones() {
    let mut selectors = BTreeMap::new();
    for (name, objects) in ALL.iter() {
        let spec = objects.daemon_set().spec.as_ref().unwrap();
        let selected = spec.selector.match_labels.as_ref();
        assert_eq!(spec.template.metadata.as_ref().unwrap().labels.as_ref(), selected, "{name}");
        let daemon_set = objects.daemon_set().metadata.name.as_ref();
        assert_eq!(*selectors.entry(selected).or_insert(daemon_set), daemon_set, "{name}");
    }
}

#[test]
fn our_image_has_the_version_of_the_program() {
    for (name, objects) in ALL.iter() {
        for image in containers(objects.pod()).map(|container| container.image.as_deref().unwrap()) {
            let ours = concat!("svcnat:", env!("CARGO_PKG_VERSION"));
            let ours =
                image.strip_prefix(ours) == Some(if name.contains("iptables") { "-iptables" } else { "" });
            assert!(ours || image.starts_with("registry.k8s.io/"), "{name}: {image}");
        }
    }
}

#[test]
fn in_mode_iptables_the_hosts_lock_is_where_the_programs_look_for_it() {
    for (name, objects) in AGENTS.iter() {
        let pod = objects.pod();
        let lock = pod.volumes.iter().flatten().find(|volume| volume.name == "xtables-lock");
        assert_eq!(lock.is_some(), name.contains("iptables"), "{name}");
        let Some(host) = lock.map(|lock| lock.host_path.as_ref().unwrap()) else { continue };
        let place = (host.path.as_str(), host.type_.as_deref());
        assert_eq!(place, ("/run/xtables.lock", Some("FileOrCreate")), "{name}");
        let mounts = pod.containers[0].volume_mounts.iter().flatten();
        let mounted = mounts.into_iter().find(|mount| mount.name == "xtables-lock").unwrap();
        assert_eq!((mounted.mount_path.as_str(), mounted.read_only), ("/run/xtables.lock", None), "{name}");
    }
}
