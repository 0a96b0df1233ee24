"""What may change on a version: aliases, stage, the platform's own mark of approval.

One client at a time changes a model's marks, and each change counts as done when the platform shows it.
"""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, get_args

from mlinfra.contract.capabilities import Capability, require
from mlinfra.contract.models import Marks
from mlinfra.contract.steps import Done, Failed, Send, Step, Wait
from mlinfra.engine import audit
from mlinfra.engine.claims import VISIBILITY
from mlinfra.engine.lease import lease
from mlinfra.engine.reconcile import reconcile
from mlinfra.engine.references import check_alias, check_model
from mlinfra.engine.versions import forget_move, parse, resolve, versions, write_move
from mlinfra.environment import Stage
from mlinfra.errors import Conflict, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from mlinfra.contract.models import VersionObservation
    from mlinfra.engine.lease import Lease
    from mlinfra.engine.session import Session

    Reached = Callable[[VersionObservation, Sequence[VersionObservation]], bool]

DEADLINE = 120.0  # seconds for a mark to show
PATIENCE = 600.0  # seconds for others to end what they do with the same model
_PAUSE = 2.0
_LOOK = 1.0  # seconds between looks at a mark that was set and does not show yet


def alias(session: Session, reference: str, name: str) -> VersionObservation:
    """Let an alias point at a version, away from the one it was on. Safe to repeat.

    At every moment of the move the alias means the old version or the new one, also when this process dies in it.

    Raises:
        UsageError: no alias can have this name.
        NotFound: there is no such version.
        CapabilityError: the platform keeps no aliases.
    """
    check_alias(name)
    _need(session, "alias", Capability.MODEL_ALIASES)
    with alone(session, parse(session, reference).model) as held:
        version = resolve(session, reference)
        before = [each for each in versions(session, version.model) if name in each.aliases]
        if [each.version for each in before] == [version.version]:
            session.say(f"{name} is on {version.name} already")
            return version
        if before:
            write_move(session, version, name)
        marked = mark(session, held, version, Marks(add_aliases=(name,)), lambda one, others: _only(name, one, others))
        forget_move(session, version.model, name)
    left = [each.name for each in before if each.version != version.version]
    audit.record(session, "alias", f"model/{version.name}", alias=name, moved_from=left)
    return marked


def unalias(session: Session, model: str, name: str) -> VersionObservation | None:
    """Take an alias away and return the version it was on, None where there was none. Safe to repeat.

    Raises:
        CapabilityError: the platform keeps no aliases.
    """
    check_model(model)
    _need(session, "alias", Capability.MODEL_ALIASES)
    with alone(session, model) as held:
        forget_move(session, model, name)
        before = [each for each in versions(session, model) if name in each.aliases]
        for version in before:
            mark(session, held, version, Marks(remove_aliases=(name,)), lambda one, _: name not in one.aliases)
    if not before:
        session.say(f"no version of {model} has the alias {name}")
        return None
    audit.record(session, "unalias", f"model/{before[0].name}", alias=name)
    return before[0]


def stage(session: Session, reference: str, name: str) -> VersionObservation:
    """Mark a version with a stage. Safe to repeat.

    Raises:
        UsageError: there is no such stage.
        NotFound: there is no such version.
        CapabilityError: the platform keeps no stages.
    """
    if name not in get_args(Stage):
        raise UsageError("no such stage", given=name, allowed=", ".join(get_args(Stage)))
    _need(session, "stage", Capability.MODEL_STAGE)
    with alone(session, parse(session, reference).model) as held:
        version = resolve(session, reference)
        if version.stage == name:
            session.say(f"{version.name} is marked {name} already")
            return version
        marked = mark(session, held, version, Marks(stage=name), lambda one, _: one.stage == name)
    audit.record(session, "stage", f"model/{version.name}", stage=name, before=version.stage)
    return marked


def mark(
    session: Session, held: Lease, version: VersionObservation, marks: Marks, reached: Reached
) -> VersionObservation:
    """Set marks and wait until the platform shows them; `reached` is asked of the version and its siblings.

    Raises:
        DeploymentFailed: the version is gone.
        Unavailable: the marks were set and do not show.
    """
    renderer, environment, clock = session.adapter.models, session.environment, session.clock
    seen: list[VersionObservation] = []
    sent: list[float] = []

    def observe() -> list[VersionObservation]:
        held.renew()
        return list(versions(session, version.model))

    def next_step(everything: list[VersionObservation]) -> Step:
        siblings = tuple(each for each in everything if each.native_id != version.native_id)
        seen[:] = [each for each in everything if each.native_id == version.native_id]
        if not seen:
            return Failed(f"{version.name} is gone", todo="`mlinfra model list` shows what there is")
        if reached(seen[0], siblings):
            return Done()
        if sent and clock.monotonic() - sent[-1] < VISIBILITY:
            return Wait(f"the marks of {version.name} to show", _LOOK)
        sent.append(clock.monotonic())
        return Send(renderer.mark(seen[0], marks, siblings, environment))

    reconcile(session, f"model/{version.name}/marks", observe, next_step, deadline=DEADLINE, between=held.renew)
    return seen[0]


@contextmanager
def alone(session: Session, model: str) -> Iterator[Lease]:
    """Be the only client that changes this model, after waiting for those who are at it.

    Raises:
        Conflict: somebody still is; names owner and age.
    """
    ends = session.clock.monotonic() + PATIENCE
    with ExitStack() as stack:
        while True:
            try:
                held = stack.enter_context(lease(session, f"models/{model}"))
            except Conflict as exc:
                if session.clock.monotonic() > ends:
                    raise
                session.say(f"{exc.what}; waiting")
                session.clock.sleep(_PAUSE)
            else:
                break
        yield held


def _only(name: str, version: VersionObservation, others: Sequence[VersionObservation]) -> bool:
    return name in version.aliases and not any(name in other.aliases for other in others)


def _need(session: Session, what: str, capability: Capability) -> None:
    require(session.environment.platform, session.adapter.capabilities, {what: capability})
