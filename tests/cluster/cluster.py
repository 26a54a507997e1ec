"""A single-node Kubernetes cluster for development and tests: `python -m tests.cluster.cluster up`.

  up             build what is missing, start the node, wait until it is Ready
  down           end it; nothing is left behind but the cache
  status         what runs
  env            a shell line that points kubectl and helm at it: eval "$(… env)"
  images         build the project's images and import them
  kubectl, helm  run the client against it

SIGMA_KUBECONFIG names an existing cluster (k3s, kind) to use instead; SIGMA_IMAGE_IMPORT is then the command
that brings it an image archive, for example "k3s ctr images import".
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys

from tests.cluster.onenode.client import Client, existing
from tests.cluster.onenode.cluster import Cluster
from tests.cluster.onenode.images import EVERY
from tests.cluster.onenode.supervisor import running
from tests.cluster.onenode.tools import SetupError, prepare


def status(cluster: Client) -> int:
    if isinstance(cluster, Cluster) and running(cluster.name) is None:
        print(f"{cluster.name} does not run")
        return 1
    print(f"KUBECONFIG={cluster.kubeconfig}")
    print(cluster.kubectl("get", "nodes,pods", "--all-namespaces", "-o", "wide"), end="")
    return 0


def pass_on(cluster: Client, command: str, arguments: list[str]) -> int:
    program = cluster.kubectl_program if command == "kubectl" else cluster.helm_program
    environment = {**os.environ, "KUBECONFIG": str(cluster.kubeconfig)}
    return subprocess.run([str(program), *arguments], env=environment, check=False).returncode


def act(command: str, arguments: list[str], cluster: Client) -> int:
    match command:
        case "up":
            if isinstance(cluster, Cluster):
                cluster.up()
            print(f"export KUBECONFIG={cluster.kubeconfig}")
        case "down":
            cluster.down()
        case "status":
            return status(cluster)
        case "env":
            print(f'export KUBECONFIG={cluster.kubeconfig} PATH="{cluster.kubectl_program.parent}:$PATH"')
        case "images":
            cluster.import_images(*EVERY)
        case _:
            return pass_on(cluster, command, arguments)
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--name", default="dev", help="which cluster, when several run")
    parser.add_argument("command", choices=["up", "down", "status", "env", "images", "kubectl", "helm"])
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help="for kubectl and helm")
    options = parser.parse_args()
    try:
        cluster = existing() or Cluster(options.name, prepare())
        return act(options.command, options.arguments, cluster)
    except SetupError as problem:
        print(problem, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
