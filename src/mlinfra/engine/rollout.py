"""The rollout controller: which shape an endpoint should have next, given what has happened so far.

Pure and written once for all platforms. What has happened comes in as `arrived`, `probed`, `measured` and
`send_back`; what is wanted comes out as `goal`. The state is a JSON record, so any machine can go on with it.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from mlinfra.engine.releases import Release
from mlinfra.engine.rollout_rules import Course, Policy, Verdict
from mlinfra.engine.traffic import WHOLE, mix, tell

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlinfra.contract.requests import Document


class Phase(StrEnum):
    """Where a rollout stands. The last four are ends."""

    PREPARING = "preparing"  # new deployments are getting ready, without traffic
    PROBING = "probing"  # they answer the model's own example
    SHIFTING = "shifting"  # traffic is on its way to the step's share
    BAKING = "baking"  # the step is there and is being watched
    GUARDED = "guarded"  # the platform itself makes the change, and watches it where it can
    FINISHING = "finishing"  # all traffic is on the new ones; the old ones go
    RETREATING = "retreating"  # traffic is on its way back
    CLEANING = "cleaning"  # it is back; the new ones go
    COMPLETED = "completed"
    ROLLED_BACK = "rolled back"
    FAILED = "failed"
    ABORTED = "aborted"

    @property
    def over(self) -> bool:
        """Whether nothing is left to do."""
        return self in _ENDS

    @property
    def back(self) -> bool:
        """Whether the way leads back."""
        return self in (Phase.RETREATING, Phase.CLEANING)


_ENDS = frozenset({Phase.COMPLETED, Phase.ROLLED_BACK, Phase.FAILED, Phase.ABORTED})


@dataclass(frozen=True)
class Decision:
    """One entry of a rollout's log: when, at which share, what was decided, and the figures behind it."""

    time: datetime
    percent: int
    verb: str
    reason: str = ""
    figures: Document = field(default_factory=dict)


@dataclass(frozen=True)
class Rollout:
    """The way from one release to another. `old` is None where nothing served before.

    `index` counts the policy's steps from 0, `since` is when the phase began, `end` where a way back leads.
    `reverses`: it goes back to a release that served before, because the old one turned out bad.
    """

    old: Release | None
    new: Release
    policy: Policy
    phase: Phase
    since: datetime
    begun: datetime
    who: str = ""
    index: int = 0
    end: Phase | None = None
    cause: str = ""
    reverses: bool = False
    decisions: tuple[Decision, ...] = ()

    @property
    def newcomers(self) -> tuple[str, ...]:
        """The deployments that were not there before."""
        known = self.old.names if self.old else frozenset()
        return tuple(each.name for each in self.new.deployments if each.name not in known)

    @property
    def whole(self) -> bool:
        """Whether the new release takes the old one's place without ever standing beside it."""
        return self.old is not None and self.new.spec.replaced_whole

    @property
    def percent(self) -> int:
        """How far traffic has gone, or is about to go, towards the new release."""
        if self.old is None or self.phase in (Phase.FINISHING, Phase.COMPLETED):
            return WHOLE
        if self.phase in (Phase.SHIFTING, Phase.BAKING):
            return self.policy.steps[self.index]
        return 0

    @property
    def way(self) -> str:
        """From which release to which, in words."""
        return f"{self.old.title if self.old else 'nothing'} -> {self.new.title}"

    def describe(self) -> str:
        """Where it stands, in words."""
        return f"{self.way}, {self.phase} at {self.percent} %"

    def as_document(self) -> Document:
        """The record in the store."""
        return {
            "old": self.old.as_document() if self.old else None,
            "new": self.new.as_document(),
            "policy": self.policy.as_document(),
            "phase": self.phase.value,
            "since": self.since.isoformat(),
            "begun": self.begun.isoformat(),
            "who": self.who,
            "index": self.index,
            "end": self.end.value if self.end else None,
            "cause": self.cause,
            "reverses": self.reverses,
            "decisions": [{**vars(each), "time": each.time.isoformat()} for each in self.decisions],
        }

    @classmethod
    def from_document(cls, document: Document) -> Rollout:
        """The rollout that `as_document` wrote."""
        fields: dict[str, Any] = dict(document)
        fields["old"] = Release.from_document(document["old"]) if document["old"] else None
        fields["new"] = Release.from_document(document["new"])
        fields["policy"] = Policy.from_document(document["policy"])
        fields["phase"] = Phase(document["phase"])
        fields["end"] = Phase(document["end"]) if document["end"] else None
        for name in ("since", "begun"):
            fields[name] = datetime.fromisoformat(document[name])
        fields["decisions"] = tuple(
            Decision(**{**each, "time": datetime.fromisoformat(each["time"])}) for each in document["decisions"]
        )
        return cls(**fields)


def begin(
    old: Release | None,
    new: Release,
    policy: Policy,
    now: datetime,
    *,
    who: str,
    reverses: bool = False,
    guarded: bool = False,
) -> Rollout:
    """A rollout at its start. `guarded` leaves the steps and the watching to the platform.

    One whose deployments take others' places whole has no steps, and is probed when the platform has made the change.
    """
    phase = Phase.GUARDED if guarded else Phase.PREPARING
    first = Rollout(old, new, policy, phase=phase, since=now, begun=now, who=who, reverses=reverses)
    return _noted(first, now, "began", first.way)


def goal(rollout: Rollout) -> Release | None:
    """What the endpoint should be in this phase; None where nothing of it should remain.

    Old deployments stay until all traffic is on the new ones and the last step has baked; new ones stay until
    traffic is back. A share is never taken from one before another can carry it.
    """
    old, new = rollout.old, rollout.new
    if rollout.phase is Phase.CLEANING:
        return old
    if old is None or rollout.phase in (Phase.FINISHING, Phase.GUARDED):
        return new
    if rollout.phase is Phase.RETREATING:
        return old.keeping(new.deployments)
    if rollout.phase in (Phase.PREPARING, Phase.PROBING):
        return new.keeping(old.deployments).with_traffic(old.traffic)
    shares = mix(old.traffic, new.traffic, rollout.percent)
    return new.keeping(old.deployments).with_traffic(shares)


def arrived(rollout: Rollout, now: datetime) -> Rollout:
    """The endpoint has the shape of `goal`."""
    if rollout.phase is Phase.SHIFTING:
        baking = _noted(_entered(rollout, Phase.BAKING, now), now, "reached", tell(_shares(rollout)))
        return _forward(baking, now) if rollout.policy.immediate else baking
    if rollout.phase is Phase.RETREATING:
        return _noted(_entered(rollout, Phase.CLEANING, now), now, "traffic is back")
    if rollout.phase is Phase.CLEANING:
        return _entered(rollout, rollout.end or Phase.ABORTED, now)
    guarded = rollout.phase is Phase.GUARDED and not rollout.whole
    if rollout.phase is Phase.FINISHING or guarded:
        return _noted(_entered(rollout, Phase.COMPLETED, now), now, "completed")
    return _noted(_entered(rollout, Phase.PROBING, now), now, "ready")


def probed(rollout: Rollout, now: datetime, answer: str) -> Rollout:
    """Every newcomer answered the model's own example, or could not be asked; `answer` says which."""
    after = Phase.SHIFTING if rollout.old and not rollout.whole else Phase.FINISHING
    return _entered(_noted(rollout, now, "probed", answer), after, now)


def measured(rollout: Rollout, verdict: Verdict, figures: Document, now: datetime) -> Rollout:
    """The newcomers' figures were judged. Being held is noted once a step."""
    if verdict.course is Course.BACK:
        return send_back(rollout, Phase.ROLLED_BACK, verdict.reason, now, figures)
    if verdict.course is Course.FORWARD:
        return _forward(_noted(rollout, now, "passed", verdict.reason, figures), now)
    if verdict.course is Course.HOLD and rollout.decisions[-1].verb != "held":
        return _noted(rollout, now, "held", verdict.reason, figures)
    return rollout


def gave_up(rollout: Rollout, cause: str, now: datetime, figures: Mapping[str, Any] | None = None) -> Rollout:
    """The platform cannot give the endpoint the shape of `goal`, or the newcomers fail their probe.

    On the way back there is nothing to turn to but the old release alone.
    """
    if rollout.phase is Phase.RETREATING:
        return _noted(_entered(rollout, Phase.CLEANING, now), now, "removing", cause, figures)
    end = Phase.ROLLED_BACK if rollout.phase is Phase.GUARDED else Phase.FAILED
    return send_back(rollout, end, cause, now, figures)


def send_back(
    rollout: Rollout, end: Phase, cause: str, now: datetime, figures: Mapping[str, Any] | None = None
) -> Rollout:
    """Turn round; a rollout that is on its way back already stays as it is."""
    if rollout.phase.back or rollout.phase.over:
        return rollout
    carries = rollout.old is not None and rollout.phase in (Phase.SHIFTING, Phase.BAKING, Phase.FINISHING)
    noted = _noted(replace(rollout, end=end, cause=cause), now, "sent back", f"{end}: {cause}", figures)
    return _entered(noted, Phase.RETREATING if carries else Phase.CLEANING, now)


def dropped(rollout: Rollout, cause: str, now: datetime) -> Rollout:
    """The endpoint itself is gone, and the rollout with it."""
    return _noted(replace(_entered(rollout, Phase.ABORTED, now), cause=cause), now, "dropped", cause)


def _shares(rollout: Rollout) -> dict[str, int]:
    release = goal(rollout)
    return release.traffic if release else {}


def _forward(rollout: Rollout, now: datetime) -> Rollout:
    if rollout.index + 1 < len(rollout.policy.steps):
        return replace(_entered(rollout, Phase.SHIFTING, now), index=rollout.index + 1)
    return _entered(rollout, Phase.FINISHING, now)


def _entered(rollout: Rollout, phase: Phase, now: datetime) -> Rollout:
    return replace(rollout, phase=phase, since=now)


def _noted(
    rollout: Rollout, now: datetime, verb: str, reason: str = "", figures: Mapping[str, Any] | None = None
) -> Rollout:
    entry = Decision(now, rollout.percent, verb, reason, dict(figures or {}))
    return replace(rollout, decisions=(*rollout.decisions, entry))
