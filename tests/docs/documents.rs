//! Every document, and what is typed in it.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::markdown::{Step, steps};
use crate::output::matches;
use crate::world::World;

/// Every document with commands, and what its text presumes to be there: a script for the same shell, which prints nothing.
const DOCUMENTS: &[(&str, &str)] = &[
    ("README.md", README),
    ("deploy/README.md", DEPLOY),
    ("deploy/overlays/k3s/README.md", ""),
    ("deploy/overlays/kind/README.md", ""),
    ("deploy/overlays/kubeadm/README.md", ""),
    ("docs/moving-from-kube-proxy.md", MOVING),
    ("docs/operating.md", OPERATING),
    ("docs/quick-start.md", ""),
    ("docs/quick-start.ko.md", ""),
    ("docs/troubleshooting.md", TROUBLESHOOTING),
];

/// The folder of a change, and what the agent is told.
const README: &str = "
cat >kube-proxy.yaml <<EOF
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: nftables
clusterCIDR: 10.244.0.0/16
clientConnection:
  kubeconfig: /var/lib/kube-proxy/kubeconfig.conf
EOF
cp -r deploy/examples/web changed
sed -i '/name: web-b/,/^---/ { s/web-b/web-d/; s/node-a/node-b/; s/1[.]2$/1.3/; s/10[.]244[.]0[.]3/10.244.1.3/ }' changed/pods.yaml
mkdir -p /etc/svcnat/manifests.d
cp deploy/examples/echo/*.yaml /etc/svcnat/manifests.d
";

/// An image, and what an agent that systemd started has left in the kernel.
const DEPLOY: &str = "
mkdir target/image
touch target/image/rootfs.tar.gz
svcnat apply -f deploy/examples/echo >/dev/null
";

/// What kubeadm has told kube-proxy, what the API server has, and what kube-proxy has left.
const MOVING: &str = "
cp $SOURCE/tests/settings/cases/kubeadm/config.yaml kube-proxy.yaml
cp $SOURCE/tests/docs/shop.yaml $WORLD/answer
nft add table ip kube-proxy
nft add table ip6 kube-proxy
";

/// The Services of the page as manifests, a configuration, and the unit of a host.
const OPERATING: &str = "
mkdir shop
cp $SOURCE/tests/docs/shop.yaml shop
cat >config.yaml <<EOF
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: nftables
clusterCIDR: 10.244.0.0/16
EOF
install --mode=644 deploy/systemd/svcnat.service /etc/systemd/system/svcnat.service
";

/// The Services of the page as manifests, two pods that answer, an API server that does not, and a configuration.
const TROUBLESHOOTING: &str = "
mkdir shop
cp $SOURCE/tests/docs/shop.yaml shop
for pod in 0:10.244.0.3 1:10.244.0.4; do
    ip address add ${pod#*:}/32 dev lo
    mkdir cart-${pod%:*}
    echo cart-${pod%:*} >cart-${pod%:*}/index.html
    (python3 -m http.server --bind ${pod#*:} --directory cart-${pod%:*} 8080 >pod.log 2>&1 &)
    until curl --silent --output /dev/null ${pod#*:}:8080; do sleep 0.05; done
done
sed 's,server: .*,server: http://192.168.1.2:6443,' /var/lib/kube-proxy/kubeconfig.conf >kubeconfig
cat >kube-proxy.yaml <<EOF
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
clusterCIDR: 10.244.0.0/16
EOF
";

/// A file of the repository.
pub fn read(document: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(document);
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{document}: {error}"))
}

/// Types a text; what is wrong with it.
fn run(text: &str, prepare: &str) -> Result<usize, String> {
    let steps = steps(text)?;
    let mut world = World::new();
    world.must(prepare);
    for step in &steps {
        let Step { line, command, code, expected } = step;
        let (found, printed) = world.shell.run(command);
        if found != *code {
            return Err(format!("line {line}: `{command}` ends with {found}, not {code}:\n{printed}"));
        }
        if !matches(expected, &printed) {
            let expected = expected.join("\n");
            return Err(format!(
                "line {line}: `{command}` prints\n{printed}\nwhere the document has\n{expected}"
            ));
        }
    }
    Ok(steps.len())
}

#[track_caller]
fn check(document: &str) {
    let known = DOCUMENTS.iter().find(|(name, _)| *name == document);
    let (_, prepare) = known.unwrap_or_else(|| panic!("{document} is not listed"));
    match run(&read(document), prepare) {
        Ok(count) => assert_ne!(count, 0, "{document} has no commands"),
        Err(wrong) => panic!("{document}, {wrong}"),
    }
}

#[test]
fn the_commands_of_the_readme_do_what_it_says() {
    check("README.md");
}

#[test]
fn the_commands_for_deploying_do_what_is_said() {
    check("deploy/README.md");
    check("deploy/overlays/k3s/README.md");
    check("deploy/overlays/kind/README.md");
    check("deploy/overlays/kubeadm/README.md");
}

#[test]
fn the_quick_start_works() {
    check("docs/quick-start.md");
}

#[test]
fn the_quick_start_works_in_korean() {
    check("docs/quick-start.ko.md");
}

#[test]
fn moving_from_kube_proxy_works_there_and_back() {
    check("docs/moving-from-kube-proxy.md");
}

#[test]
fn operating_is_as_it_is_described() {
    check("docs/operating.md");
}

#[test]
fn each_trouble_looks_as_it_is_described() {
    check("docs/troubleshooting.md");
}

#[test]
fn every_document_with_commands_is_run() {
    for document in crate::links::documents() {
        let name = document.strip_prefix(env!("CARGO_MANIFEST_DIR")).unwrap().to_str().unwrap();
        let text = fs::read_to_string(&document).unwrap();
        let is_run = DOCUMENTS.iter().any(|(known, _)| *known == name);
        assert_eq!(!steps(&text).unwrap().is_empty(), is_run, "{name}");
    }
}

/// Whether a program is installed that no package of Debian 12 brings, in a version that the stand-in goes by.
fn is_installed(program: &str) -> bool {
    let argument = if program == "kubectl" { "--client" } else { "--format={{.Client.Version}}" };
    let said = Command::new(program).args(["version", argument]).output();
    said.is_ok_and(|output| {
        let said = String::from_utf8_lossy(&output.stdout);
        program != "kubectl"
            || said.lines().any(|line| line.strip_prefix("Kustomize Version: v").is_some_and(|v| v >= "5"))
    })
}

#[test]
fn a_document_that_is_wrong_is_found_out() {
    let check = |text: &str, expected: &str| {
        let wrong = run(text, "").expect_err(text);
        assert!(wrong.contains(expected), "{text}: {wrong}");
    };
    check("```console\n$ svcnat rende\n```\n", "ends with 2, not 0");
    check("```console\n$ svcnat --version\nsvcnat 99\n```\n", "where the document has\nsvcnat 99");
    check("```console\n$ svcnat --version\n```\n", "where the document has\n");
    check("```console exit=1\n$ true\n```\n", "ends with 0, not 1");
    check("```console\n# systemctl frobnicate svcnat\n```\n", "ends with 1, not 0");
    check("```console\n$ make nonsense\n```\n", "ends with 2, not 0");
    // What is not installed cannot tell.
    if is_installed("kubectl") {
        check("```console\n$ kubectl kustomize deploy/nowhere\n```\n", "ends with 1, not 0");
        check("```console\n$ kubectl get pods --nonsense\n```\n", "unknown flag: --nonsense");
    }
    if is_installed("docker") {
        check("```console\n$ docker build --nonsense .\n```\n", "unknown flag: --nonsense");
    }
}
