"""What the parts of a node are told: certificates, configuration files, command lines. Rendering only, no
processes but openssl. Every path lies under the node's state folder, so that nodes don't meet each other."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

NODE_NAME = "sigma-node"
SERVICES = "10.96.0.0/16"
API_SERVICE = "10.96.0.1"
DNS_SERVICE = "10.96.0.10"
PODS = "10.42.0.0/24"
PAUSE_IMAGE = "localhost/pause:1"
COREDNS_IMAGE = "localhost/coredns:1"
ETCD = "http://127.0.0.1:2379"


@dataclass(frozen=True)
class Layout:
    """One node: its name, its state folder, and the two ends of the cable that joins it to the host."""

    name: str
    state: Path
    slot: int

    @property
    def host_ip(self) -> str:
        return f"10.201.{self.slot}.1"

    @property
    def node_ip(self) -> str:
        return f"10.201.{self.slot}.2"

    @property
    def host_link(self) -> str:
        return f"sigma{self.slot}"

    @property
    def node_link(self) -> str:
        return f"sigma{self.slot}n"

    @property
    def cgroup(self) -> str:
        """Below every cgroup hierarchy; all that the node makes there is under it."""
        return f"sigma-x/{self.name}"

    @property
    def kubeconfig(self) -> Path:
        return self.state / "kubeconfig"

    @property
    def images(self) -> Path:
        """The root of its containerd."""
        return self.state / "containerd" / "root"

    @property
    def socket(self) -> Path:
        return self.state / "containerd.sock"


# --- certificates -------------------------------------------------------------------------------------------


def _openssl(*arguments: str | Path, cwd: Path) -> None:
    subprocess.run(["openssl", *map(str, arguments)], cwd=cwd, check=True, capture_output=True)


def write_certificates(layout: Layout) -> None:
    """One authority, a certificate for each part that talks, and the key that signs tokens."""
    folder = layout.state / "pki"
    folder.mkdir()
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    # Python 3.13 verifies strictly: an authority must say that it may sign, a certificate whose it is.
    authority = ("-subj", "/CN=sigma-x", "-addext", "keyUsage=critical,keyCertSign,cRLSign")
    _openssl(
        "req", "-x509", *key, "-days", "30", "-keyout", "ca.key", "-out", "ca.crt", *authority, cwd=folder
    )
    api = "DNS:localhost,DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc"
    subjects = {
        "apiserver": ("/CN=kube-apiserver", f"IP:127.0.0.1,IP:{API_SERVICE},IP:{layout.node_ip},{api}"),
        "admin": ("/O=system:masters/CN=admin", ""),
        # named by address too, or the API server refuses to stream logs and exec from it
        "kubelet": (f"/O=system:nodes/CN=system:node:{NODE_NAME}", f"IP:{layout.node_ip},DNS:{NODE_NAME}"),
        "controllers": ("/CN=system:kube-controller-manager", ""),
        "scheduler": ("/CN=system:kube-scheduler", ""),
        "proxy": ("/CN=system:kube-proxy", ""),
    }
    for name, (subject, names) in subjects.items():
        extensions = [
            "basicConstraints=CA:FALSE",
            "keyUsage=critical,digitalSignature",
            "extendedKeyUsage=serverAuth,clientAuth",
            "subjectKeyIdentifier=hash",
            "authorityKeyIdentifier=keyid",
            *([f"subjectAltName={names}"] if names else []),
        ]
        (folder / f"{name}.ext").write_text("\n".join(extensions) + "\n")
        _openssl("req", *key, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", subject, cwd=folder)
        signer = ("-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-days", "30")
        _openssl(
            "x509",
            "-req",
            "-in",
            f"{name}.csr",
            *signer,
            "-extfile",
            f"{name}.ext",
            "-out",
            f"{name}.crt",
            cwd=folder,
        )
    _openssl(
        "genpkey",
        "-algorithm",
        "EC",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-out",
        "tokens.key",
        cwd=folder,
    )
    _openssl("pkey", "-in", "tokens.key", "-pubout", "-out", "tokens.pub", cwd=folder)


def kubeconfig(layout: Layout, user: str, server: str) -> str:
    """A kubeconfig (JSON, which is YAML too) for one of the certificates."""
    pki = layout.state / "pki"
    credentials = {"client-certificate": str(pki / f"{user}.crt"), "client-key": str(pki / f"{user}.key")}
    cluster = {"server": server, "certificate-authority": str(pki / "ca.crt")}
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": layout.name, "cluster": cluster}],
            "users": [{"name": user, "user": credentials}],
            "contexts": [{"name": layout.name, "context": {"cluster": layout.name, "user": user}}],
            "current-context": layout.name,
        },
        indent=1,
    )


# --- files --------------------------------------------------------------------------------------------------


def containerd_config(layout: Layout) -> str:
    state = layout.state / "containerd"
    return f"""version = 2
root = "{layout.images}"
state = "{state}/state"
[grpc]
  address = "{layout.socket}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE_IMAGE}"
  restrict_oom_score_adj = true  # scores below the parent's need a capability that machines in a sandbox lack
  disable_apparmor = true
  [plugins."io.containerd.grpc.v1.cri".containerd]
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{layout.state}/cni"
"""


def pod_network() -> str:
    """A cable to each pod. With a bridge instead, answers between two pods skip NAT and Services fail."""
    addresses = {"type": "host-local", "ranges": [[{"subnet": PODS}]], "routes": [{"dst": "0.0.0.0/0"}]}
    plugins = [
        {"type": "ptp", "ipMasq": True, "ipam": addresses},
        {"type": "portmap", "capabilities": {"portMappings": True}},
    ]
    return json.dumps({"cniVersion": "0.4.0", "name": "pods", "plugins": plugins})


def kubelet_config(layout: Layout) -> str:
    pki = layout.state / "pki"
    return json.dumps(
        {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "containerRuntimeEndpoint": f"unix://{layout.socket}",
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": f"/{layout.cgroup}",
            "failSwapOn": False,
            "clusterDNS": [DNS_SERVICE],
            "clusterDomain": "cluster.local",
            "resolvConf": str(layout.state / "resolv.conf"),
            "authentication": {
                "anonymous": {"enabled": False},
                "webhook": {"enabled": True},
                "x509": {"clientCAFile": str(pki / "ca.crt")},
            },
            "authorization": {"mode": "Webhook"},
            "tlsCertFile": str(pki / "kubelet.crt"),
            "tlsPrivateKeyFile": str(pki / "kubelet.key"),
            "enforceNodeAllocatable": [],
            "evictionHard": {
                "memory.available": "100Mi",
                "nodefs.available": "1%",
                "imagefs.available": "1%",
            },
            "imageGCHighThresholdPercent": 100,  # imported images can't be pulled again: keep them
            "imageGCLowThresholdPercent": 99,
            "podLogsDir": str(layout.state / "pod-logs"),
            "serializeImagePulls": False,
        }
    )


def storage_config(layout: Layout) -> str:
    """Where the storage class puts volumes; its helper pod runs the program in the pause image."""
    places = [{"node": "DEFAULT_PATH_FOR_NON_LISTED_NODES", "paths": [str(layout.state / "volumes")]}]
    return json.dumps({"nodePathMap": places, "setupCommand": "/volume", "teardownCommand": "/volume"})


def storage_helper() -> str:
    container = {"name": "helper-pod", "image": PAUSE_IMAGE, "imagePullPolicy": "Never"}
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "helper-pod"},
            "spec": {"containers": [container]},
        }
    )


def write_files(layout: Layout) -> None:
    state = layout.state
    for folder in ("cni", "containerd", "etcd", "kubelet", "volumes", "pod-logs"):
        (state / folder).mkdir()
    inside = "https://127.0.0.1:6443"
    for user in ("admin", "kubelet", "controllers", "scheduler", "proxy"):
        (state / f"{user}.kubeconfig").write_text(kubeconfig(layout, user, inside))
    layout.kubeconfig.write_text(kubeconfig(layout, "admin", f"https://{layout.node_ip}:6443"))
    (state / "containerd.toml").write_text(containerd_config(layout))
    (state / "cni" / "10-pods.conflist").write_text(pod_network())
    (state / "kubelet.yaml").write_text(kubelet_config(layout))
    (state / "storage.json").write_text(storage_config(layout))
    (state / "storage-helper.yaml").write_text(storage_helper())
    (state / "resolv.conf").write_text("nameserver 127.0.0.1\n")  # nothing outside the cluster has a name


# --- command lines ------------------------------------------------------------------------------------------


def parts(layout: Layout, node: Path, local_path: Path, netpol: Path) -> dict[str, list[str]]:
    """Name and command line of every process of the node, in the order in which they start."""
    state = layout.state
    pki = state / "pki"
    program = str(node)

    def config(user: str) -> str:
        return f"--kubeconfig={state / user}.kubeconfig"

    return {
        "containerd": ["containerd", "--config", str(state / "containerd.toml")],
        "etcd": [
            *(
                program,
                "etcd",
                f"--data-dir={state / 'etcd'}",
                f"--listen-client-urls={ETCD}",
                "--log-level=warn",
            ),
            *(
                f"--advertise-client-urls={ETCD}",
                "--listen-peer-urls=http://127.0.0.1:2380",
                "--unsafe-no-fsync",
            ),
        ],
        "kube-apiserver": [
            *(program, "kube-apiserver", f"--etcd-servers={ETCD}", f"--service-cluster-ip-range={SERVICES}"),
            *("--secure-port=6443", "--bind-address=0.0.0.0", f"--advertise-address={layout.node_ip}"),
            *(f"--client-ca-file={pki / 'ca.crt'}", f"--tls-cert-file={pki / 'apiserver.crt'}"),
            *(
                f"--tls-private-key-file={pki / 'apiserver.key'}",
                f"--kubelet-client-certificate={pki / 'admin.crt'}",
            ),
            *(
                f"--kubelet-client-key={pki / 'admin.key'}",
                f"--kubelet-certificate-authority={pki / 'ca.crt'}",
            ),
            *("--kubelet-preferred-address-types=InternalIP", "--authorization-mode=Node,RBAC"),
            *("--service-account-issuer=https://kubernetes.default.svc", "--allow-privileged=true"),
            *(
                f"--service-account-key-file={pki / 'tokens.pub'}",
                "--enable-admission-plugins=NodeRestriction",
            ),
            f"--service-account-signing-key-file={pki / 'tokens.key'}",
        ],
        "kube-controller-manager": [
            *(program, "kube-controller-manager", config("controllers"), "--leader-elect=false"),
            *(f"--root-ca-file={pki / 'ca.crt'}", f"--service-account-private-key-file={pki / 'tokens.key'}"),
            *("--use-service-account-credentials=true", "--controllers=*,-node-ipam-controller"),
        ],
        "kube-scheduler": [program, "kube-scheduler", config("scheduler"), "--leader-elect=false"],
        "kubelet": [
            *(program, "kubelet", f"--config={state / 'kubelet.yaml'}", config("kubelet")),
            *(
                f"--hostname-override={NODE_NAME}",
                f"--node-ip={layout.node_ip}",
                f"--root-dir={state / 'kubelet'}",
            ),
        ],
        "kube-proxy": [
            *(
                program,
                "kube-proxy",
                config("proxy"),
                f"--hostname-override={NODE_NAME}",
                f"--cluster-cidr={PODS}",
            ),
            # these settings belong to the host's kernel, which is not ours to change
            *("--proxy-mode=iptables", "--conntrack-max-per-core=0", "--conntrack-tcp-timeout-established=0"),
            "--conntrack-tcp-timeout-close-wait=0",
        ],
        "netpol": [
            *(str(netpol), config("admin"), f"--hostname-override={NODE_NAME}"),
            f"--service-cluster-ip-range={SERVICES}",
        ],
        "local-path": [
            *(
                str(local_path),
                "start",
                f"--config={state / 'storage.json'}",
                f"--kubeconfig={state / 'admin.kubeconfig'}",
            ),
            *("--namespace=kube-system", f"--helper-image={PAUSE_IMAGE}", "--service-account-name=default"),
            *("--configmap-name=local-path", f"--helper-pod-file={state / 'storage-helper.yaml'}"),
        ],
    }
