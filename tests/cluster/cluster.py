"""A single-node Kubernetes cluster for development and tests: `python tests/cluster/cluster.py up`.

  up            build what is missing, start the node, wait until it is Ready
  down          end it; nothing is left behind but the cache
  status        what runs
  env           shell lines that point kubectl and helm at it: eval "$(… env)"
  images        build the project's images and import them
  kubectl, helm run the client against it

SIGMA_KUBECONFIG names an existing cluster (k3s, kind) to use instead; SIGMA_IMAGE_IMPORT is then the command that
brings it an image archive, for example "k3s ctr images import".
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

from onenode.box import Cluster, running
from onenode.images import BACKTEST, OPERATOR, build_image
from onenode.tools import SetupError, Tools, prepare


def say_status(cluster: Cluster) -> int:
    if running(cluster.name) is None:
        print(f"{cluster.name}: not running")
        return 1
    print(f"{cluster.name}: KUBECONFIG={cluster.kubeconfig}")
    print(cluster.kubectl("get", "nodes,pods", "--all-namespaces", "-o", "wide"), end="")
    return 0


def pass_on(cluster: Cluster, program: Path, arguments: list[str]) -> int:
    environment = {**os.environ, "KUBECONFIG": str(cluster.kubeconfig)}
    return subprocess.run([str(program), *arguments], env=environment, check=False).returncode


def act(command: str, name: str, arguments: list[str], tools: Tools) -> int:
    cluster = Cluster(name, tools)
    match command:
        case "up":
            cluster = Cluster.up(name, tools)
            print(f"export KUBECONFIG={cluster.kubeconfig}")
        case "down":
            cluster.down()
        case "status":
            return say_status(cluster)
        case "env":
            print(f'export KUBECONFIG={cluster.kubeconfig} PATH="{tools.kubectl.parent}:$PATH"')
        case "images":
            for image in (OPERATOR, BACKTEST):
                cluster.import_image(build_image(image))
        case _:
            return pass_on(cluster, tools.kubectl if command == "kubectl" else tools.helm, arguments)
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
        return act(options.command, options.name, options.arguments, prepare())
    except SetupError as problem:
        print(problem, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
