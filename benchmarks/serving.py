"""What the model server costs, beside the servers that people use, with the same models and the same rows.

    python benchmarks/serving.py [--quick] [--only one,start] [--peers MLServer,Vertex] [--output FILE.md]

Run it in the project's development environment: that trains the models. The kit and each peer are installed into
environments of their own below the user's cache folder (several GB, minutes the first time). Servers are pinned to one
core, the client to another; servers are asked in turn, so that what else the machine does hits all of them; every
answer is compared with the estimator's own to the last bit. What counts is the CPU of the server's whole process tree
per request, medians over the rounds. Exits with 1 where a bar is not held or a peer is missing.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import platform
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from servingbench import compare, fleet, floor, overload, start, workers
from servingbench.bench import Bench
from servingbench.environments import NotInstalled, environment, kit_environment
from servingbench.peers import PEERS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

ROOT = Path(__file__).parents[1]
PINNED = ("scikit-learn", "numpy", "pandas", "scipy", "joblib")  # the same everywhere, so that bits can be compared
ROWS: dict[str, Callable[[Bench], None]] = {
    **{name: partial(compare.run, rows=rows) for name, rows in compare.ROWS.items()},
    "floor": floor.run,
    "start": start.run,
    "workers": workers.run,
    "overload": overload.run,
    "models": fleet.run,
}


def main() -> int:
    """Install, train, measure, print."""
    options = _options()
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:  # noqa: PLR2004  one for the servers, one for the client
        raise SystemExit("this benchmark needs two cores: one for the servers, one for the client")
    with tempfile.TemporaryDirectory(prefix="mlinfra-serving-") as folder:
        bench = Bench(
            folder=Path(folder),
            pythons={},
            cores=cores,
            rounds=options.rounds or (1 if options.quick else 5),
            seconds=1.0 if options.quick else 3.0,
            overload=10.0 if options.quick else 60.0,
        )
        _install(bench, options.peers)
        subprocess.run([sys.executable, str(ROOT / "benchmarks/servingbench/cases.py"), f"{folder}/cases"], check=True)
        if len(cores) == 2:  # noqa: PLR2004  with more, two workers need them
            os.sched_setaffinity(0, {cores[1]})
        for name in options.only:
            _say(f"row {name} …")
            ROWS[name](bench)
    report = bench.results.markdown(_heading(bench))
    sys.stdout.write(report)
    if options.output:
        options.output.write_text(report)
    return int(not bench.results.held)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one round of one second: whether it works, not how well")
    parser.add_argument("--rounds", type=int, default=0, help="rounds of each measurement (default 5)")
    parser.add_argument("--only", type=_names(ROWS), default=list(ROWS), help=f"rows: {','.join(ROWS)}")
    parser.add_argument("--peers", type=_names(PEERS), default=list(PEERS), help=f"peers: {','.join(PEERS)}")
    parser.add_argument("--output", type=Path, help="write the tables into this file as well")
    return parser.parse_args()


def _names(known: Iterable[str]) -> Callable[[str], list[str]]:
    def read(text: str) -> list[str]:
        names = [name for name in text.split(",") if name]
        for name in names:
            if name not in known:
                raise argparse.ArgumentTypeError(f"{name} is none of {', '.join(known)}")
        return names

    return read


def _install(bench: Bench, peers: list[str]) -> None:
    pins = [f"{name}=={importlib.metadata.version(name)}" for name in PINNED]
    bench.pythons["mlinfra"] = kit_environment(ROOT, pins)
    for name in peers:
        _say(f"environment of {name} …")
        peer = PEERS[name]
        try:
            bench.pythons[name] = environment(name.lower(), [*pins, *peer.requirements], [*pins, *peer.overrides])
        except NotInstalled as exc:
            bench.results.missing[name] = str(exc)


def _heading(bench: Bench) -> str:
    """When, on what, with which versions, by which command."""
    now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    command = " ".join(["python", "benchmarks/serving.py", *sys.argv[1:]])
    busy = ", ".join(f"{load:.1f}" for load in os.getloadavg())
    lines = [
        "# Serving benchmark",
        "",
        f"{now}, `{command}`. {_processor()}, {os.cpu_count()} cores; servers on one, the client on another.",
        f"Load averages at the end: {busy}. Python {platform.python_version()}; {', '.join(_versions(bench))}.",
        f"Medians of {bench.rounds} rounds of {bench.seconds:.0f} s. Written by the benchmark itself.",
    ]
    return "\n".join(lines)


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _versions(bench: Bench) -> list[str]:
    """What is compared, as installed."""
    packages = {name: PEERS[name].requirements[0] for name in bench.pythons if name in PEERS}
    found = [f"{name} {importlib.metadata.version(name)}" for name in PINNED]
    for name, requirement in packages.items():
        package = requirement.partition("[")[0].partition("=")[0]
        code = f"import importlib.metadata as m; print(m.version({package!r}))"
        done = subprocess.run([str(bench.pythons[name]), "-c", code], capture_output=True, text=True, check=False)
        found.append(f"{name} {done.stdout.strip()}")
    return found


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")


if __name__ == "__main__":
    sys.exit(main())
