"""What the command line costs, in CPU seconds of all processes that it starts, beside flytekit's local job.

    python benchmarks/cli.py [--repeat 7] [--without-peer]

Each tool is installed into an environment of its own, bytecode included, below a folder that goes away. Orphans count
too: the benchmark adopts what outlives a command and waits for it. Exits with 1 where a bar is not held.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = Path(__file__).parents[1]
SUBREAPER = 36  # prctl(2): orphaned descendants become our children
HELLO = "print('hello')\n"
JOB = "version: 1\nkind: job\nname: hello\ncommand: [python, hello.py]\n"
WORKFLOW = """\
from flytekit import task, workflow

@task
def hello() -> str:
    print('hello')
    return 'hello'

@workflow
def main() -> str:
    return hello()
"""


@dataclass(frozen=True)
class Figure:
    """One line of the table; `bar` in CPU seconds, None where there is nothing to hold."""

    name: str
    seconds: float
    bar: float | None = None

    @property
    def held(self) -> bool:
        """Whether the figure keeps its bar."""
        return self.bar is None or self.seconds <= self.bar

    def __str__(self) -> str:
        verdict = "" if self.bar is None else f"{self.bar:6.2f} s   {'held' if self.held else 'NOT HELD'}"
        return f"{self.name:52} {self.seconds:6.3f} s   {verdict}"


def main() -> int:
    """Measure, print the table, and say by the exit code whether all bars are held."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--repeat", type=int, default=7)
    parser.add_argument("--without-peer", action="store_true", help="do not install and run flytekit")
    options = parser.parse_args()
    if ctypes.CDLL(None).prctl(SUBREAPER, 1, 0, 0, 0):
        sys.exit("this benchmark needs Linux: it counts processes that outlive their parents")
    with tempfile.TemporaryDirectory(prefix="mlinfra-bench-") as folder:
        figures = measure(Path(folder), options.repeat, with_peer=not options.without_peer)
    print(f"{'median of ' + str(options.repeat) + ', CPU of all processes':52} {'':>8}   {'bar':>6}")
    for figure in figures:
        print(figure)
    return int(not all(figure.held for figure in figures))


def measure(folder: Path, repeat: int, *, with_peer: bool) -> list[Figure]:
    """Install each tool and run every command in turn."""
    kit = install(folder / "kit", str(ROOT))
    project = folder / "project"
    project.mkdir()
    (project / "mlinfra.toml").touch()
    (project / "hello.py").write_text(HELLO)
    (project / "hello.yaml").write_text(JOB)
    mlinfra = str(kit / "mlinfra")
    commands: dict[str, list[str]] = {
        "help": [mlinfra, "--help"],
        "plan": [mlinfra, "plan", "hello.yaml"],
        "script": [str(kit / "python"), "hello.py"],
        "job": [mlinfra, "job", "submit", "hello.yaml", "--wait", "--new", "run-{}"],
    }
    if with_peer:
        peer = install(folder / "peer", "flytekit")
        (project / "workflow.py").write_text(WORKFLOW)
        commands["peer"] = [str(peer / "pyflyte"), "run", "workflow.py", "main"]
        commands["peer script"] = [str(peer / "python"), "hello.py"]
    found = medians(commands, project, folder, repeat)
    return [
        Figure("mlinfra --help", found["help"], 0.15),
        Figure("mlinfra plan hello.yaml", found["plan"], 0.3),
        Figure("python hello.py", found["script"]),
        Figure("mlinfra job submit --wait, over the script", found["job"] - found["script"], 0.5),
        *([Figure("pyflyte run, over the script", found["peer"] - found["peer script"])] if with_peer else []),
    ]


def install(folder: Path, what: str) -> Path:
    """Make an environment with a package in it, and return the folder of its programs."""
    uv = shutil.which("uv", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    if uv is None:
        sys.exit("uv is missing: pip install uv")
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    subprocess.run([uv, "venv", "--quiet", "--python", python, str(folder)], check=True)
    target = ["--python", str(folder / "bin" / "python")]
    subprocess.run([uv, "pip", "install", "--quiet", "--compile-bytecode", *target, what], check=True)
    return folder / "bin"


def medians(commands: dict[str, list[str]], project: Path, home: Path, repeat: int) -> dict[str, float]:
    """The median of each command's CPU seconds; one round goes first to warm up, and rounds are interleaved."""
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    for number in range(repeat + 1):
        for name, command in commands.items():
            spent = cpu([word.format(number) for word in command], project, home)
            if number:
                seconds[name].append(spent)
    return {name: statistics.median(spent) for name, spent in seconds.items()}


def cpu(command: Sequence[str], project: Path, home: Path) -> float:
    """User and system seconds of a command and everything that it left running, until all of it has ended."""
    variables = {
        "PATH": f"{Path(command[0]).parent}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(home),
        "MLINFRA_HOME": str(home / "state"),
    }
    with (home / "output").open("wb") as output:
        process = subprocess.Popen(command, cwd=project, env=variables, stdout=output, stderr=output)
        spent = 0.0
        while True:
            try:
                pid, status, usage = os.wait4(-1, 0)
            except ChildProcessError:
                return spent
            spent += usage.ru_utime + usage.ru_stime
            if pid == process.pid:
                process.returncode = os.waitstatus_to_exitcode(status)
                if process.returncode:
                    sys.exit(f"{' '.join(command)} failed:\n{(home / 'output').read_text()}")


if __name__ == "__main__":
    sys.exit(main())
