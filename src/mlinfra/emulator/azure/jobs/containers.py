"""The containers of one attempt at a job: a process each on the host, in Azure's folders, which its node shares.

`/mnt/azureml/cr/j/<run>/exe/wd` is the working folder with the code, `…/cap/data-capability/wd` holds the data. Where
the machine has no private paths both lie below the attempt's own folder: a command learns its paths by substitution.
"""

from __future__ import annotations

import hashlib
import shlex
from typing import TYPE_CHECKING, Any, NamedTuple

from mlinfra.emulator.jobs.hosted import TOLD, Hosted
from mlinfra.host import isolation

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from mlinfra.emulator.azure.jobs.processes import Process
    from mlinfra.host import Host

_ROOT = "/mnt/azureml/cr/j"
_WORK, _DATA = "exe/wd", "cap/data-capability/wd"
_FOLDERS = (_WORK, _DATA, "home", "tmp")


class Start(NamedTuple):
    """How one process starts: its shell command, and its variables."""

    process: Process
    command: str
    variables: Mapping[str, str]


class Containers(Hosted):
    """One attempt's, in a folder that is not there yet, under a name on the host; `run` is the job's name."""

    def __init__(self, host: Host, folder: Path, name: str, run: str) -> None:
        super().__init__(host, folder, name)
        private = isolation.best().kind != isolation.PREFIX
        self._mount = f"{_ROOT}/{hashlib.sha256(run.encode()).hexdigest()[:32]}" if private else ""

    def prepare(self, nodes: int) -> None:
        """Make the folders of the nodes."""
        for node in range(nodes):
            for part in _FOLDERS:
                (self._node(node) / part).mkdir(parents=True)

    def work(self, node: int) -> Path:
        """The working folder of a node."""
        return self._node(node) / _WORK

    def data(self, node: int, name: str) -> Path:
        """The place of an input or output of a node."""
        return self._node(node) / _DATA / name

    def inside(self, node: int, path: Path) -> str:
        """What a process of a node calls a path of it."""
        return f"{self._mount}/{path.relative_to(self._node(node)).as_posix()}" if self._mount else str(path)

    def start(self, starts: Sequence[Start], interpreter: Mapping[str, Any], *, longest: float, grace: float) -> None:
        """Queue them. `grace` are the real seconds between SIGTERM and SIGKILL.

        After `longest` real seconds the host ends them by itself, for an emulator that was killed cannot.

        Raises:
            CapabilityError: there is no such Python on this machine.
        """
        self.create(
            {
                "argv": ["/bin/sh", "-c", 'exec /bin/sh "$MLINFRA_START"'],
                "interpreter": dict(interpreter),
                "nodes": len(starts),
                "per_node": [self._prepared(each) for each in starts],
                "max_runtime": longest,
                "stop_grace": grace,
            }
        )

    def _node(self, number: int) -> Path:
        return self.folder / f"node-{number}"

    def _prepared(self, start: Start) -> dict[str, Any]:
        """Script, variables and mounts of a process."""
        node = start.process.node
        script = self._node(node) / f"start-{start.process.rank}.sh"
        script.write_text(self._script(start))
        own = {"HOME": self._node(node) / "home", "TMPDIR": self._node(node) / "tmp", "MLINFRA_START": script}
        told = {name: self.inside(node, path) for name, path in own.items()}
        mounts = {self._mount: str(self._node(node))} if self._mount else {}
        return {"env": {**told, **start.variables}, "mounts": mounts}

    def _script(self, start: Start) -> str:
        node = start.process.node
        unset = [name for name in (*TOLD, "MLINFRA_START") if name not in start.variables]
        work = shlex.quote(self.inside(node, self.work(node)))
        begin = f"unset {' '.join(unset)}\ncd {work} || exit 1\n"
        return f'{begin}shell=$(command -v bash) || shell=/bin/sh\nexec "$shell" -c {shlex.quote(start.command)}\n'
