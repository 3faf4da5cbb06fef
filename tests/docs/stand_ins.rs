//! Programs in the place of those that need what no test can have. Each checks what the real program can tell without it,
//! prints nothing, and ends with 0 where the command is as it should be.

/// A stand-in: the program's name, why it is not run, and the bash script that is run instead.
pub struct StandIn {
    pub program: &'static str,
    pub why: &'static str,
    pub script: &'static str,
}

/// All of them. Every other command of the documents is run as it is.
pub const STAND_INS: &[StandIn] = &[
    StandIn {
        program: "kubectl",
        why: "there is no cluster. The real kubectl renders what is applied, and understands the command up to where it \
              connects to the API server; what a document is given as the answer is printed for `--output yaml`",
        script: r#"
[[ "$1 ${*: -2}" != "get --output yaml" || ! -f $WORLD/answer ]] || cat "$WORLD/answer"
real=$(PATH=$REAL_PATH command -v kubectl) || exit 0
[[ $($real version --client) == *"Kustomize Version: v"[5-9]* ]] || exit 0
[[ $1 == kustomize || " $* " == *" --local "* ]] && exec $real "$@"
for ((i = 1; i <= $#; i++)); do
    [[ ${!i} == --kustomize ]] && { n=$((i + 1)); $real kustomize "${!n}" >/dev/null || exit; }
    [[ ${!i} == --patch-file ]] && { n=$((i + 1)); [[ -f ${!n} ]] || { echo "no file ${!n}" >&2; exit 1; }; }
done
said=$(KUBECONFIG=/dev/null $real "$@" --server=http://127.0.0.1:1 2>&1 </dev/null)
[[ $said == *"connection refused"* ]] || { printf '%s\n' "$said" >&2; exit 1; }
"#,
    },
    StandIn {
        program: "docker",
        why: "there is no daemon. The real client understands the command up to where it connects to it",
        script: r#"
real=$(PATH=$REAL_PATH command -v docker) || exit 0
said=$(DOCKER_HOST=tcp://127.0.0.1:1 $real "$@" 2>&1 </dev/null)
[[ $said == *"Cannot connect to the Docker daemon"* || $said == *"connection refused"* ]] || { printf '%s\n' "$said" >&2; exit 1; }
"#,
    },
    StandIn {
        program: "systemctl",
        why: "systemd does not run in a namespace. The real systemctl understands the command, and a unit that is named must \
              have been installed and verified",
        script: r#"
for word in "$@"; do
    case $word in
    svcnat | svcnat.service) systemd-analyze verify /etc/systemd/system/svcnat.service || exit ;;
    k3s | k3s-agent | kube-proxy | --* | daemon-reload | enable | disable | restart | reload | stop | start | kill) ;;
    *) echo "systemctl: $word is not known" >&2; exit 1 ;;
    esac
done
"$(PATH=$REAL_PATH command -v systemctl)" "$@" --help >/dev/null
"#,
    },
    StandIn {
        program: "make",
        why: "building takes minutes; what is built has tests of its own. The real make must know the target",
        script: r#"exec "$(PATH=$REAL_PATH command -v make)" --dry-run "$@" >/dev/null"#,
    },
    StandIn {
        program: "cargo",
        why: "the test is built by it already. The real cargo reads the workspace and its lock file, and must know the package",
        script: r#"
[[ "$1 $2 $3 $4" == "build --locked --release --package" ]] || { echo "cargo: $* is not known" >&2; exit 1; }
"$REAL_CARGO" pkgid --quiet --locked --offline --manifest-path "$SOURCE/Cargo.toml" --package "$5" >/dev/null
"#,
    },
    StandIn {
        program: "kind",
        why: "there is no container engine. The files that are named must exist",
        script: r#"
case "$1 $2" in
"create cluster" | "delete cluster" | "load docker-image") ;;
*) echo "kind: $1 $2 is not known" >&2; exit 1 ;;
esac
shift 2
[[ ${1-} != --config || -f $2 ]] || { echo "no file $2" >&2; exit 1; }
"#,
    },
    StandIn {
        program: "k3s",
        why: "there is no k3s; only its command to import an image is used",
        script: r#"[[ "$1 $2 $3" == "ctr images import" ]] || { echo "k3s: $1 $2 $3 is not known" >&2; exit 1; }"#,
    },
];

#[test]
fn every_stand_in_says_why() {
    for stand_in in STAND_INS {
        assert!(stand_in.why.len() > 20 && !stand_in.script.is_empty(), "{}", stand_in.program);
    }
}
