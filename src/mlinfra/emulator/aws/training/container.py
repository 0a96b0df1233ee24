"""The containers of one attempt of a training job: a process for each node, in a private `/opt/ml`, on the host.

Each node also gets a working folder of its own, and where there are several an `/etc/hosts` in which they find each
other. What the host tells its own jobs is taken out of the environment, since the service tells no such thing. Where
the machine has no private paths, those in the command are turned into paths below the host's prefix, which the kit's
runner honours; other programs then look in vain for `/opt/ml`.
"""

from __future__ import annotations

import shlex
import subprocess
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

from mlinfra.emulator.aws.training import nodes as training_nodes
from mlinfra.emulator.jobs.hosted import TOLD, Hosted
from mlinfra.host import isolation

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from mlinfra.emulator.aws.training.nodes import Node
    from mlinfra.host import Host

ML = "/opt/ml"
_PROGRAM = "/opt/program"  # the working folder, where the vendor's own examples of images have theirs
_HOSTS = "/etc/hosts"
_FOLDERS = ("input/config", "input/data", "model", "output/data")
_LOOPBACK_UP = (
    "import fcntl,socket,struct;"
    "fcntl.ioctl(socket.socket(socket.AF_INET,socket.SOCK_DGRAM),0x8914,struct.pack('16sh',b'lo',1))"
)  # SIOCSIFFLAGS with IFF_UP: a new network namespace has its loopback down
_PREFIXED = (
    f'for word do shift; case "$word" in {ML}/*) word="${isolation.CONTAINER_ROOT}$word";; esac; '
    'set -- "$@" "$word"; done; '
)


class Room(NamedTuple):
    """What an attempt has to itself: a folder that is not there yet, and a name on the host."""

    folder: Path
    name: str


class Containers(Hosted):
    """One attempt's containers."""

    def __init__(self, host: Host, room: Room, nodes: Sequence[Node]) -> None:
        super().__init__(host, *room)
        self._nodes = nodes
        for node in nodes:
            for part in _FOLDERS:
                (self.ml(node) / part).mkdir(parents=True)
            self._program(node).mkdir()

    def ml(self, node: Node) -> Path:
        """What a node sees as `/opt/ml`."""
        return self.folder / node.host / "ml"

    def everywhere(self, path: str) -> list[Path]:
        """A path below `/opt/ml`, on every node."""
        return [self.ml(node) / path for node in self._nodes]

    def inside(self, node: Node, path: str) -> Path:
        """Where an absolute path of the container lies: below `/opt/ml`, or in a folder that will be mounted there."""
        if path == ML or path.startswith(f"{ML}/"):
            return self.ml(node) / path[len(ML) :].strip("/")
        return self.folder / node.host / "mounts" / path.strip("/").replace("/", "-")

    def start(
        self,
        argv: Sequence[str],
        environment: Mapping[str, str],
        interpreter: Mapping[str, Any],
        *,
        longest: float,
        grace: float,
        mounted: Sequence[str] = (),
        without_network: bool = False,
    ) -> None:
        """Queue them. `mounted` are absolute paths of the container that are not below `/opt/ml`.

        After `longest` real seconds the host ends them by itself, for an emulator that was killed cannot; `grace` are
        the real seconds between SIGTERM and SIGKILL.

        Raises:
            CapabilityError: there is no such Python on this machine.
        """
        hosts = self.folder / "hosts"
        hosts.write_text(training_nodes.hosts_file(self._nodes))
        common = {_HOSTS: str(hosts)} if len(self._nodes) > 1 else {}
        script = _script([name for name in TOLD if name not in environment], without_network=without_network)
        self.create(
            {
                "argv": ["/bin/sh", "-c", script, "sh", *argv],
                "env": dict(environment),
                "interpreter": dict(interpreter),
                "nodes": len(self._nodes),
                "per_node": [
                    {"mounts": {**common, **self._mounts(node), **self._further(node, mounted)}} for node in self._nodes
                ],
                "max_runtime": longest,
                "stop_grace": grace,
            }
        )

    def _program(self, node: Node) -> Path:
        return self.folder / node.host / "program"

    def _mounts(self, node: Node) -> dict[str, str]:
        return {ML: str(self.ml(node)), _PROGRAM: str(self._program(node))}

    def _further(self, node: Node, paths: Sequence[str]) -> dict[str, str]:
        return {path: str(self.inside(node, path)) for path in paths}


@cache
def network_can_be_cut() -> bool:
    """Whether this machine lets a job be without a network: `unshare -n` within the job's own namespace."""
    best = isolation.best()
    if best.kind != isolation.NAMESPACE:
        return False
    return subprocess.run([*best.tool, "unshare", "-n", "true"], capture_output=True, check=False).returncode == 0


def _script(unset: Sequence[str], *, without_network: bool) -> str:
    """The shell line around the command, which takes its place and keeps its process id."""
    line = f"unset {' '.join(unset)}; " if unset else ""
    line += _PREFIXED if isolation.best().kind == isolation.PREFIX else ""
    line += f'cd "${{{isolation.CONTAINER_ROOT}-}}{_PROGRAM}" && '
    if without_network:
        inner = f'python3 -c {shlex.quote(_LOOPBACK_UP)}; exec "$@"'
        return f'{line}exec unshare -n /bin/sh -c {shlex.quote(inner)} sh "$@"'
    return f'{line}exec "$@"'
