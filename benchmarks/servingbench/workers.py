"""Row `workers`: what a second worker costs, and what it gives where there are cores for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from servingbench.bench import Median
from servingbench.figures import Table
from servingbench.peers import KIT

if TYPE_CHECKING:
    from servingbench.bench import Bench

ROW = "second worker"
CASE = "forest"
CONNECTIONS = 16
MOST_CPU = 1.1
LEAST_THROUGHPUT = 1.7
MOST_MEMORY = 25.0  # MB
_ENOUGH_CORES = 3  # two workers and the client


def run(bench: Bench) -> None:
    """One and two workers in turn; they share the servers' core where there are fewer than three."""
    messages = bench.messages(KIT, CASE, "single")
    one, two = Median(), Median()
    enough = len(bench.cores) >= _ENOUGH_CORES
    core = None if enough else bench.core
    with bench.kit(CASE, core=core) as single, bench.kit(CASE, "--workers", "2", core=core) as double:
        for _ in range(bench.rounds):
            one.samples.append(bench.measure(single, messages, KIT.read, CONNECTIONS))
            two.samples.append(bench.measure(double, messages, KIT.read, CONNECTIONS))
        memory = [server.pss() / 1e6 for server in (single, double)]
    results = bench.results
    results.at_most(ROW, "CPU a request, times one worker's", two.cpu / one.cpu, MOST_CPU, "x")
    results.at_most(ROW, "more memory (PSS)", memory[1] - memory[0], MOST_MEMORY, "MB")
    what, asked = "throughput, times one worker's", f"≥ {LEAST_THROUGHPUT} x"
    if enough:
        results.at_least(ROW, what, two.per_second / one.per_second, LEAST_THROUGHPUT, "x")
    else:
        results.unmeasured(ROW, what, f"{len(bench.cores)} cores, one of them the client's", asked)
    lines = [
        (name, median.cpu, median.per_second, median.p99, held)
        for name, median, held in (("one", one, memory[0]), ("two", two, memory[1]))
    ]
    columns = ("workers", "CPU µs a request", "requests a second", "p99 ms", "PSS MB")
    note = "" if enough else "Both workers share one core here, so the second adds no throughput."
    results.tables.append(Table(f"A second worker ({CASE})", columns, lines, note))
