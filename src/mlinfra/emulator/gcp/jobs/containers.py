"""The containers of one attempt at a job: a process for each replica, on the host, with nothing mounted.

Each has a working folder, a home and a folder for temporary files of its own, which are gone with it. What the host
tells its own jobs is taken out of the environment, since the service tells no such thing. When the primary replica is
done the job is, and the others are ended if they do not end soon.
"""

from __future__ import annotations

import shlex
import shutil
import socket
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from mlinfra.errors import NotFound
from mlinfra.host import processes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from mlinfra.emulator.gcp.jobs.replicas import Replica
    from mlinfra.host import Host

_SCRIPT = "MLINFRA_REPLICA"
_NOTE = "ended-"
_TOLD = ("MLINFRA_RESULT", "MASTER_ADDR", "MASTER_PORT", "WORLD_SIZE", "RANK", _SCRIPT)  # by the host, to its own jobs
_LAUNCH = ["/bin/sh", "-c", f'exec /bin/sh "${_SCRIPT}"']
_LIVE = frozenset({"running", "stopping"})
_ENDED = frozenset({"succeeded", "failed", "stopped", "timed_out"})
# One of several replicas: how it ended must be noted, and a signal to the shell be the command's too. The shell's own
# words about that are nobody's.
_NOTED = """\
exec 3>&2 2>/dev/null
{command} 2>&3 3>&- &
child=$!
trap 'kill -TERM $child' TERM
wait $child; code=$?
while kill -0 $child; do wait $child; code=$?; done
echo $code > {note}.draft && mv {note}.draft {note}
exit $code
"""


class Start(NamedTuple):
    """How one replica starts: its command, and all its variables but those of the folders."""

    replica: Replica
    argv: Sequence[str]
    variables: Mapping[str, str]


class Note(NamedTuple):
    """How a replica ended."""

    rank: int
    exit_code: int


class Containers:
    """One attempt's containers, in a folder that is not there yet, under a name on the host.

    `linger` are the real seconds for which the others may go on when the primary is done.
    """

    def __init__(self, host: Host, folder: Path, name: str, linger: float) -> None:
        self._host = host
        self.folder = folder
        self._name = name
        self._linger = linger
        self._work = ""
        self._alone = True

    def start(self, starts: Sequence[Start], interpreter: Mapping[str, Any], *, longest: float, grace: float) -> None:
        """Queue them. `grace` are the real seconds between SIGTERM and SIGKILL.

        After `longest` real seconds the host ends them by itself, for an emulator that was killed cannot.

        Raises:
            CapabilityError: there is no such Python on this machine.
        """
        self._alone = len(starts) == 1
        job = self._host.call(
            "CreateJob",
            {
                "name": self._name,
                "argv": _LAUNCH,
                "interpreter": dict(interpreter),
                "nodes": len(starts),
                "per_node": [{"env": self._prepared(each)} for each in starts],
                "max_runtime": longest,
                "stop_grace": grace,
            },
        )
        self._work = job["folder"]

    def state(self) -> str:
        """Empty while they wait for a place on this machine, `running`, or `ended`."""
        state = self._host.call("DescribeJob", {"name": self._name})["state"]
        if state in _LIVE and self._since_primary() > self._linger:
            self.stop()
        return "running" if state in _LIVE else "ended" if state in _ENDED else ""

    def end(self) -> Note:
        """How they ended, once they have: as the primary did, where it ended well, else as the first one to fail."""
        notes = self._notes()
        bad = [note for note in notes if note.exit_code]
        if any(note.rank == 0 and not note.exit_code for note in notes):
            return Note(0, 0)
        job = self._host.call("DescribeJob", {"name": self._name})
        code = 0 if job["state"] == "succeeded" else int(job["exit_code"] or 1)
        return bad[0] if bad else Note(0, code)

    def lines(self, token: str | None) -> dict[str, Any]:
        """A page of what they wrote."""
        return self._host.call("GetJobLogs", {"name": self._name, "token": token})

    def stop(self) -> None:
        """Send SIGTERM. Safe to repeat."""
        self._host.call("StopJob", {"name": self._name})

    def kill(self) -> None:
        """End every process now."""
        self.stop()
        if self._work:
            processes.exterminate(self._work)

    def clear(self) -> None:
        """Leave nothing behind, neither processes nor files."""
        try:
            self.kill()
            self._host.call("DescribeJob", {"name": self._name})  # the host settles what was killed
            self._host.call("DeleteJob", {"name": self._name})
        except NotFound:  # never started
            pass
        shutil.rmtree(self.folder, ignore_errors=True)

    def _prepared(self, start: Start) -> dict[str, str]:
        """Folders and script of a replica; the variables that lead to them."""
        folder = self.folder / start.replica.tag
        own = {name: str(folder / name.lower()) for name in ("HOME", "TMPDIR")}
        for path in (folder / "work", *map(folder.joinpath, ("home", "tmpdir"))):
            path.mkdir(parents=True)
        script = folder / "start.sh"
        script.write_text(self._script(start, folder / "work"))
        return {**own, **start.variables, _SCRIPT: str(script)}

    def _script(self, start: Start, work: Path) -> str:
        unset = [name for name in _TOLD if name not in start.variables]
        begin = f"unset {' '.join(unset)}\ncd {shlex.quote(str(work))} || exit 1\n"
        command = shlex.join(start.argv)
        if self._alone:
            return f"{begin}exec {command}\n"
        note = shlex.quote(str(self.folder / f"{_NOTE}{start.replica.rank}"))
        return begin + _NOTED.format(command=command, note=note)

    def _since_primary(self) -> float:
        """Real seconds since the primary of several replicas ended; none while it runs."""
        try:
            return time.time() - (self.folder / f"{_NOTE}0").stat().st_mtime
        except FileNotFoundError:
            return 0.0

    def _notes(self) -> list[Note]:
        """How the replicas ended that have, where there are several; the first to end comes first."""
        if self._alone:
            return []
        paths = [path for path in self.folder.glob(f"{_NOTE}*") if path.suffix != ".draft"]
        paths.sort(key=lambda path: path.stat().st_mtime_ns)
        return [Note(int(path.name.removeprefix(_NOTE)), int(path.read_text())) for path in paths]


def free_ports(replicas: Sequence[Replica]) -> list[int]:
    """A port for each replica, at its own address, that nobody uses now."""
    found = []
    for replica in replicas:
        with socket.socket() as probe:
            probe.bind((replica.host, 0))
            found.append(int(probe.getsockname()[1]))
    return found
