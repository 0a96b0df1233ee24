"""Runs the engine on a stack: preview, up, destroy, and before them what a killed run left open."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

from pulumi import automation
from pulumi.automation.errors import CommandError, ConcurrentUpdateError, StackNotFoundError

from mlinfra.engine import sync
from mlinfra.errors import EnvironmentNotFound
from mlinfra.infra.automation import failures, locks, pending, states, surroundings
from mlinfra.infra.automation.events import Told

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from mlinfra.infra.automation.places import Place
    from mlinfra.infra.automation.states import State

Result = TypeVar("Result")


@dataclass(frozen=True)
class Outcome:
    """What a run did, or a preview would do."""

    changes: dict[str, int] = field(default_factory=dict)
    resources: list[dict[str, str]] = field(default_factory=list)
    destructive: list[str] = field(default_factory=list)
    environment: Any = None  # what the stack exports under that name after an `up`
    update: int = 0  # the number of the update

    @property
    def changed(self) -> dict[str, int]:
        """The counts without what stays the same."""
        return {step: count for step, count in self.changes.items() if step not in {"same", "read", "refresh"}}

    def as_document(self) -> dict[str, Any]:
        """The outcome as `-o json` prints it."""
        return {"changes": self.changes, "resources": self.resources}


class Engine:
    """One stack and the engine. Every call blocks until the engine is done, and tells of it through `say`."""

    def __init__(self, place: Place, state: State, program: Path, say: Callable[[str], None]) -> None:
        self._place = place
        self._state = state
        self._say = say
        self._program = program
        self._stack: automation.Stack | None = None
        self.is_new = True  # whether the stack holds nothing yet; known once `settle` has looked

    def open(self, *, create: bool) -> None:
        """Select the stack, making it where it is new and may be made.

        Raises:
            EnvironmentNotFound: there is no such stack in this state.
            MlinfraError: the state cannot be reached.
        """
        states.mend(self._state)
        named = self._state.secrets or str(self._place.settings.get("secretsprovider", ""))
        options = automation.LocalWorkspaceOptions(
            env_vars={**surroundings.python(), **self._state.variables, "PULUMI_SKIP_UPDATE_CHECK": "true"},
            pulumi_home=self._state.home or None,
            secrets_provider=named or None,
            pulumi_command=surroundings.command(self._program),
        )
        select = automation.create_or_select_stack if create else automation.select_stack
        with self._translated():
            self._stack = select(self._place.stack, work_dir=str(self._place.folder), opts=options)

    def settle(self, answers: Mapping[str, str]) -> list[str]:
        """Settle what a killed run left open. Returns a line for each operation; safe to repeat.

        Raises:
            Conflict: somebody else is at work, or nobody knows whether a resource was made.
        """
        with self._translated():
            exported = self._opened.export_stack()
            self.is_new = not (exported.deployment or {}).get("resources")
            operations = pending.read(exported.deployment or {}, answers)
            if not operations:
                return []
            for operation in operations:
                self._say(f"the last run was cut short: {operation.told}")
            pending.check(operations, answers)
            state = pending.settle(exported.deployment or {}, operations)
            self._free(lambda: self._opened.import_stack(automation.Deployment(exported.version, state)))
            if urns := pending.to_refresh(state, operations):
                self._free(lambda: self._opened.refresh(target=urns, on_output=_nothing))
        self._say("what was left open is settled")
        return [operation.told for operation in operations]

    def preview(self, *, refresh: bool = False) -> Outcome:
        """What `up` would do. Changes nothing.

        Raises:
            MlinfraError: the program or the engine refuses.
        """
        told = Told(self._say, planned=True)
        with self._translated(told):
            self._opened.preview(on_event=told.hear, on_output=_nothing, refresh=refresh or None)
        return _outcome(told)

    def up(self, *, refresh: bool = False) -> Outcome:
        """Bring what is there to what the program says. Safe to repeat.

        Raises:
            Conflict: somebody else is at work on the stack.
            MlinfraError: the program, the engine or a provider refuses; what was done stays and is recorded.
        """
        told = Told(self._say)
        with self._translated(told):
            done = self._free(
                lambda: self._opened.up(
                    on_event=told.hear, on_output=_nothing, show_secrets=False, refresh=refresh or None
                )
            )
        output = done.outputs.get(sync.OUTPUT)
        update = sync.numbered(done.summary.version, done.summary.start_time)
        return replace(_outcome(told), environment=output.value if output else None, update=update)

    def standing(self) -> Outcome:
        """What the last `up` has left: the environment, None where it never got so far, and the update's number.

        Raises:
            MlinfraError: the state cannot be read.
        """
        with self._translated():
            output = self._opened.outputs().get(sync.OUTPUT)
            last = self._opened.info(show_secrets=False)
        update = sync.numbered(last.version, last.start_time) if last else 0
        return Outcome(environment=output.value if output else None, update=update)

    def destroy(self) -> Outcome:
        """Remove everything that the stack made. Safe to repeat.

        Raises:
            Conflict, MlinfraError: as `up`.
        """
        told = Told(self._say)
        with self._translated(told):
            self._free(lambda: self._opened.destroy(on_event=told.hear, on_output=_nothing, show_secrets=False))
        return _outcome(told)

    @property
    def _opened(self) -> automation.Stack:
        if self._stack is None:
            raise RuntimeError(self._place.stack)
        return self._stack

    def _free(self, action: Callable[[], Result]) -> Result:
        """Do what takes the stack's lock, and once more where the lock was a dead process's of ours."""
        try:
            return action()
        except ConcurrentUpdateError as exc:
            held = locks.read(str(exc))
            if not locks.release(held, self._opened.cancel):
                raise
        now = datetime.now(UTC)
        self._say(f"the lock of {'; '.join(lock.told(now) for lock in held)} is taken over: that process is gone")
        return action()

    @contextmanager
    def _translated(self, told: Told | None = None) -> Iterator[None]:
        stack = self._place.stack
        try:
            yield
        except ConcurrentUpdateError as exc:
            raise locks.refusal(stack, locks.read(str(exc)), str(exc)) from exc
        except StackNotFoundError as exc:
            raise EnvironmentNotFound(
                "there is no such stack in this state",
                given=f"{stack} in {self._state.backend}",
                todo=f"`mlinfra env up {stack}` makes it",
            ) from exc
        except CommandError as exc:
            errors, written = (told.errors, told.written) if told else ([], [])
            raise failures.of_run(stack, errors, written, _stderr(str(exc))) from exc


def _outcome(told: Told) -> Outcome:
    return Outcome(dict(told.steps), told.resources, told.destructive)


def _stderr(text: str) -> str:
    """The part of the client's message that is the engine's own."""
    return text.rpartition("\n stderr: ")[2] or text


def _nothing(_text: str) -> None:
    """What the engine prints is told by its events."""
