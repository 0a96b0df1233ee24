"""The containers of one attempt at a job: a process for each replica, on the host, with nothing mounted.

Each has a working folder, a home and a folder for temporary files of its own, which are gone with it. What the host
tells its own jobs is taken out of the environment, since the service tells no such thing. When the primary replica is
done the job is, and the others are ended if they do not end soon.
"""

from __future__ import annotations

import shlex
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from mlinfra.emulator.jobs.hosted import TOLD, Hosted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from mlinfra.emulator.gcp.jobs.replicas import Replica
    from mlinfra.host import Host

_SCRIPT = "MLINFRA_REPLICA"
_NOTE = "ended-"
_SIGNALLED = 128  # exit codes above it are those of signals
_TOLD = (*TOLD, _SCRIPT)
_LAUNCH = ["/bin/sh", "-c", f'exec /bin/sh "${_SCRIPT}"']
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


class Containers(Hosted):
    """One attempt's containers, in a folder that is not there yet, under a name on the host.

    `linger` are the real seconds for which the others may go on when the primary is done.
    """

    def __init__(self, host: Host, folder: Path, name: str, linger: float) -> None:
        super().__init__(host, folder, name)
        self._linger = linger
        self._alone = True

    def start(self, starts: Sequence[Start], interpreter: Mapping[str, Any], *, longest: float, grace: float) -> None:
        """Queue them. `grace` are the real seconds between SIGTERM and SIGKILL.

        After `longest` real seconds the host ends them by itself, for an emulator that was killed cannot.

        Raises:
            CapabilityError: there is no such Python on this machine.
        """
        self._alone = len(starts) == 1
        self.create(
            {
                "argv": _LAUNCH,
                "interpreter": dict(interpreter),
                "nodes": len(starts),
                "per_node": [{"env": self._prepared(each)} for each in starts],
                "max_runtime": longest,
                "stop_grace": grace,
            }
        )

    def state(self) -> str:
        """As Hosted.state; the others are told to end where they go on for too long without the primary."""
        state = super().state()
        if state == "running" and self._since_primary() > self._linger:
            self.stop()
        return state

    def end(self) -> Note:
        """How they ended, once they have: as the primary did, where it ended well, else as the first one to fail."""
        notes = self._notes()
        bad = [note for note in notes if note.exit_code]
        if any(note.rank == 0 and not note.exit_code for note in notes):
            return Note(0, 0)
        return bad[0] if bad else Note(0, self.exit_code())

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
        found = [(path.stat().st_mtime_ns, int(path.read_text()), path) for path in paths]
        found.sort(key=lambda each: (each[0], each[1] > _SIGNALLED))  # of the same moment: who was told to end was last
        return [Note(int(path.name.removeprefix(_NOTE)), code) for _, code, path in found]
