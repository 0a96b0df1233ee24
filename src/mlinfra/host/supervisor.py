"""The process beside each job: `python -m mlinfra.host.supervisor ROOT JOB`.

It outlives the client, waits for a slot, runs the job's attempts, writes down how they end, starts the next queued
job's supervisor and ends. It imports little, because every job pays for it.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlinfra.contract.states import JobState
from mlinfra.errors import MlinfraError, TemporaryError
from mlinfra.host import isolation, logs, processes, schema
from mlinfra.host.attempt import STOPPED, Attempt, Command, End, Limits, Outcome, Signals
from mlinfra.host.commands import module, module_environment, with_python_first
from mlinfra.host.database import Database
from mlinfra.host.jobtable import JobTable
from mlinfra.host.layout import Layout
from mlinfra.host.logs import LogWriter
from mlinfra.host.plan import PYTHON, JobPlan, NodePlan

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

_TURN_PERIOD = 0.1  # seconds between two looks whether it is this job's turn
_REPAIR_PERIOD = 1.0  # seconds between two looks for dead supervisors while waiting
_AFTER_SECONDS = 3600.0  # how long the commands after the job may take
_LONGEST_REASON = 4096
_LAST_LINES = 5
_LONGEST_RESULT = 1 << 20
_HOST = "host"  # the source of the supervisor's own lines
_ANSWER = "interpreter"  # the file in which the making of an environment leaves its interpreter
_STATES = {End.STOPPED: JobState.STOPPED, End.TIMED_OUT: JobState.TIMED_OUT}


class Supervisor:
    """One job's life from the queue to its end."""

    def __init__(self, root: Path, name: str) -> None:
        self._name = name
        self._layout = Layout(root)
        self._table = JobTable(Database(self._layout.database, schema.HOST, schema.VERSION), self._layout)
        self._folder = self._layout.job(name)
        self._work = str(self._folder)
        self._signals = Signals()
        self._deadline: float | None = None

    def run(self) -> None:
        """Supervise the job, if it still needs a supervisor. Blocks until it has ended."""
        plan = self._table.claim(self._name)
        if plan is None:
            return
        processes.adopt_orphans()
        if self._wait_for_turn():
            outcome = self._attempts(plan)
            if outcome.end is End.STOPPED and not self._table.row(self._name)["stop_requested"]:
                sys.stderr.write("the supervisor was told to end, as when the machine goes down\n")
                return  # the next reader finds the job without a supervisor, and settles or tries it again
            self._finish(plan, outcome)
        self._table.repair()

    def _wait_for_turn(self) -> bool:
        next_repair = time.monotonic() + _REPAIR_PERIOD
        while True:
            started = self._table.start(self._name)
            if started is None or self._signals.told_to_stop:
                return False  # stopped while queued; or the machine goes down, and the next reader starts another
            if started:
                return True
            if time.monotonic() >= next_repair:
                next_repair = time.monotonic() + _REPAIR_PERIOD
                self._table.repair()
            self._signals.wait(_TURN_PERIOD)

    def _attempts(self, plan: JobPlan) -> Outcome:
        """Attempt after attempt, until one succeeds or the retries are used up."""
        failures = 0
        while True:
            outcome = self._attempt(plan)
            retry = outcome.end in {End.EXITED, End.OUT_OF_MEMORY} and not outcome.succeeded
            if not retry or failures >= plan.user_retries:
                return outcome
            if self._signals.told_to_stop:
                return replace(outcome, end=End.STOPPED, reason=STOPPED)
            failures += 1
            self._say(f"attempt failed ({self._reason(plan, outcome)}); trying again")
            attempt = self._table.row(self._name)["attempt"] + 1
            self._table.tell(self._name, JobState.STARTING, "trying again", attempt=attempt, user_failures=failures)

    def _attempt(self, plan: JobPlan) -> Outcome:
        try:
            return self._try(plan)
        except OSError as exc:  # no room for its folders, or no right to them
            return Outcome(End.NOT_STARTED, None, f"the job could not be prepared: {exc}")

    def _try(self, plan: JobPlan) -> Outcome:
        self._prepare_folders(plan)
        for command in self._steps(plan):
            outcome = self._watch([command], plan)
            if not outcome.succeeded:
                last = logs.tail(self._layout.job_logs(self._name), _HOST, _LAST_LINES)
                return replace(outcome, reason="\n".join([f"before the job: {outcome.reason}", *last]))
        commands = self._nodes(plan)
        self._table.tell(self._name, JobState.RUNNING)
        if self._deadline is None and plan.max_runtime is not None:
            self._deadline = time.monotonic() + plan.max_runtime
        return self._watch(commands, plan, memory=plan.memory)

    def _watch(
        self,
        commands: Sequence[Command],
        plan: JobPlan,
        *,
        memory: int | None = None,
        stop_wanted: Callable[[], bool] | None = None,
    ) -> Outcome:
        limits = Limits(self._deadline, memory, plan.stop_grace)
        folder = self._layout.job_logs(self._name)
        return Attempt(commands, limits, folder, self._work, self._signals, stop_wanted or self._told_to_stop).run()

    def _told_to_stop(self) -> bool:
        return self._signals.told_to_stop

    def _steps(self, plan: JobPlan) -> Iterator[Command]:
        """What comes before the job's own command; each is made when its predecessors are done."""
        if not plan.interpreter.path:
            lock = self._folder / "requirements.lock"
            lock.write_text(plan.interpreter.lock)
            cache, answer = self._layout.interpreters, self._folder / _ANSWER
            make = module("mlinfra.host.interpreters", str(lock), plan.interpreter.version, str(cache), str(answer))
            yield Command(_HOST, make, {**plan.environment, **module_environment()}, self._work)
        for argv in plan.before:
            yield self._helper(plan, argv)

    def _nodes(self, plan: JobPlan) -> list[Command]:
        rendezvous = _rendezvous(len(plan.nodes))
        return [self._node(plan, rank, node, rendezvous) for rank, node in enumerate(plan.nodes)]

    def _node(self, plan: JobPlan, rank: int, node: NodePlan, rendezvous: dict[str, str]) -> Command:
        own = self._folder / f"node-{rank}"
        python = self._python(plan)
        environment = {
            **_told(plan, rank, rendezvous),
            **with_python_first(plan.environment, python, self._folder),
            **node.environment,
            **isolation.variables(plan.isolation, own),
            processes.WORK: self._work,
        }
        argv = [python if part == PYTHON else part for part in plan.argv]
        argv = isolation.enter(plan.isolation, node.mounts, argv, own)
        return Command(f"node-{rank}", argv, environment, plan.working_folder, plan.isolation.kind)

    def _helper(self, plan: JobPlan, argv: Sequence[str], **extra: str) -> Command:
        """A command of the request's that runs before or after the job's own, outside its sandbox."""
        python = self._python(plan)
        environment = {**with_python_first(plan.environment, python, self._folder), **extra, processes.WORK: self._work}
        return Command(_HOST, [python if part == PYTHON else part for part in argv], environment, self._work)

    def _python(self, plan: JobPlan) -> str:
        return plan.interpreter.path or (self._folder / _ANSWER).read_text().strip()

    def _prepare_folders(self, plan: JobPlan) -> None:
        for folder in filter(None, (plan.working_folder, plan.result_folder, plan.checkpoint)):
            Path(folder).mkdir(parents=True, exist_ok=True)
        Path(plan.failure_file).unlink(missing_ok=True)  # the last attempt's

    def _finish(self, plan: JobPlan, outcome: Outcome) -> None:
        """Run what is to run after the job, and write the end down."""
        state = self._state(outcome)
        reason = "" if state is JobState.SUCCEEDED else self._reason(plan, outcome)
        self._deadline = time.monotonic() + _AFTER_SECONDS
        for argv in plan.after:
            command = self._helper(plan, argv, MLINFRA_HOST_OUTCOME=str(state))
            after = self._watch([command], plan, stop_wanted=_never)
            if not after.succeeded and state is JobState.SUCCEEDED:
                state, reason = JobState.FAILED, f"after the job: {after.reason}"
        lost = self._collect(plan)
        if lost and state is JobState.SUCCEEDED:
            state, reason = JobState.FAILED, lost
        columns: dict[str, Any] = {"exit_code": outcome.exit_code, "reason": reason, "result": _result(plan)}
        _persist(lambda: self._table.tell(self._name, state, **columns))

    def _collect(self, plan: JobPlan) -> str:
        """Move what the job left into the object store. Returns what went wrong, empty where nothing did."""
        if not plan.collect:
            return ""
        from mlinfra.host.objects import ObjectStore  # noqa: PLC0415  most jobs leave nothing

        database = Database(self._layout.objects_database, schema.OBJECTS, schema.VERSION)
        try:
            for part in plan.collect:
                ObjectStore(database, self._layout, part["bucket"]).adopt(Path(part["folder"]), part["prefix"])
        except (MlinfraError, OSError) as exc:
            return f"the outputs could not be stored: {exc}"
        return ""

    def _state(self, outcome: Outcome) -> JobState:
        if outcome.end in _STATES:
            return _STATES[outcome.end]
        return JobState.SUCCEEDED if outcome.succeeded else JobState.FAILED

    def _reason(self, plan: JobPlan, outcome: Outcome) -> str:
        """The runner's own words where it left some, with the host's."""
        words = _beginning(Path(plan.failure_file))
        return words if words and outcome.end is End.EXITED else outcome.reason

    def _say(self, text: str) -> None:
        writer = LogWriter(self._layout.job_logs(self._name), _HOST)
        writer.say(text)
        writer.close()


def main(arguments: Sequence[str]) -> None:
    """The command line: ROOT JOB."""
    root, name = arguments
    Supervisor(Path(root), name).run()


def _rendezvous(nodes: int) -> dict[str, str]:
    """Where several nodes meet; nothing for one, which might take itself for part of a cluster."""
    if nodes == 1:
        return {}
    from mlinfra.host.ports import free_port  # noqa: PLC0415  one node needs no socket

    return {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()), "WORLD_SIZE": str(nodes)}


def _told(plan: JobPlan, rank: int, rendezvous: dict[str, str]) -> dict[str, str]:
    """What a node is told before the request's own words, which win."""
    result = Path(plan.result_folder)
    told = {"MLINFRA_RESULT": str(result if rank == 0 else result / f"node-{rank}")}
    return {**told, **rendezvous, "RANK": str(rank)} if rendezvous else told


def _never() -> bool:
    """What runs after the job is not stopped with it."""
    return False


def _result(plan: JobPlan) -> str:
    """What the runner reports of the job, with the last value of each metric, as JSON; `{}` without a report."""
    result = _reported(Path(plan.result_folder) / "result.json")
    if not isinstance(result, dict):
        return "{}"
    points = _reported(Path(plan.result_folder) / "metrics.json")
    if isinstance(points, list):
        told = (point for point in points if isinstance(point, dict) and {"name", "value"} <= point.keys())
        result["metrics"] = {str(point["name"]): point["value"] for point in told}
    return json.dumps(result)


def _reported(path: Path) -> Any:
    """The JSON in a file that the job may have written itself; None where there is nothing to be believed."""
    try:
        return json.loads(path.read_text()) if path.stat().st_size <= _LONGEST_RESULT else None
    except (OSError, ValueError, RecursionError):
        return None


def _beginning(path: Path) -> str:
    """The first words of a file that the job may have written itself."""
    if not path.is_file():
        return ""
    with path.open(errors="replace") as file:
        return file.read(_LONGEST_REASON).strip()


def _persist(write: Callable[[], None], *, patience: float = 60.0) -> None:
    """Write the end down, also where the disk is full for a while."""
    deadline = time.monotonic() + patience
    while True:
        try:
            write()
        except TemporaryError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.5)
        else:
            return


if __name__ == "__main__":
    main(sys.argv[1:])
