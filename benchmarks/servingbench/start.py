"""Row `start`: from starting the process to the first right answer, and the memory of the idle server."""

from __future__ import annotations

import statistics
import time
from typing import TYPE_CHECKING

from servingbench.client import LoadError
from servingbench.figures import Table

if TYPE_CHECKING:
    from servingbench.bench import Bench
    from servingbench.peers import Contender

ROW = "start and memory"
CASES = ("logistic", "forest", "boosting", "credit-linear", "credit-forest")
MOST_SECONDS = 0.3
MOST_BYTES = 40e6
_SETTLE = 0.3  # seconds until memory is read


def run(bench: Bench) -> None:
    """Start the kit over every case, its peers over the first."""
    lines = []
    for case in CASES:
        seconds, cpu, memory = _start(bench, bench.contenders[0], case, bench.rounds + 2)
        lines.append((f"mlinfra, {case}", seconds, cpu, memory / 1e6))
        bench.results.at_most(ROW, f"{case}: start to ready", seconds, MOST_SECONDS, "s")
        bench.results.at_most(ROW, f"{case}: idle memory (PSS)", memory / 1e6, MOST_BYTES / 1e6, "MB")
    for contender in bench.contenders[1:]:
        try:
            seconds, cpu, memory = _start(bench, contender, CASES[0], 1 if bench.rounds == 1 else 3)
        except LoadError as exc:
            bench.results.missing[f"{contender.name}, start"] = str(exc)
            continue
        lines.append((f"{contender.name}, {CASES[0]}", seconds, cpu, memory / 1e6))
    columns = ("server", "start to ready s", "CPU s until then", "idle PSS MB")
    note = "Ready: the first right answer, asked for every 4 ms. MLflow's first start writes its package before."
    bench.results.tables.append(Table("Start and memory", columns, lines, note))


def _start(bench: Bench, contender: Contender, case: str, times: int) -> tuple[float, float, int]:
    """Medians of seconds to the first right answer, seconds of CPU until then, bytes of memory."""
    found = []
    for _ in range(times):
        with bench.running(contender, case) as running:
            cpu = running.server.cpu()
            time.sleep(_SETTLE)
            found.append((running.ready, cpu, running.server.pss()))
    seconds, cpus, memory = zip(*found, strict=True)
    return statistics.median(seconds), statistics.median(cpus), int(statistics.median(memory))
