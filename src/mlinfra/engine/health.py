"""How deployments do: the platform's counts, asked for over the windows that a rollout is judged by."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mlinfra.engine.effects import read_all
from mlinfra.engine.rollout_rules import Sample

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from mlinfra.contract.endpoints import EndpointObservation
    from mlinfra.contract.health import Health
    from mlinfra.contract.requests import Document
    from mlinfra.engine.session import Session


def health(session: Session, endpoint: EndpointObservation, deployment: str, since: datetime) -> Health:
    """A deployment's counts from `since` to the end of the newest complete metric period.

    Raises:
        TemporaryError: the platform's metrics do not answer.
    """
    requests = session.adapter.endpoints.health(endpoint, deployment, since, session.environment)
    replies = read_all(session, requests)
    return session.adapter.observe.health(replies, since, session.environment)


def as_document(figures: Health) -> Document:
    """Figures as records and `-o json` show them; latencies in seconds."""
    return {
        "since": figures.since.isoformat(),
        "as_of": figures.as_of.isoformat(),
        "requests": figures.requests,
        "errors": figures.errors,
        "rejected": figures.rejected,
        "error_rate": figures.error_rate,
        "p50": figures.p50,
        "p99": figures.p99,
    }


@dataclass
class Watch:
    """Looks at deployments again and again, since a step began and over the newest periods alone.

    The second window finds what goes wrong late in a long step, where everything before would hide it.
    """

    session: Session
    enough: int
    seen: dict[str, Health] = field(default_factory=dict)

    def look(self, endpoint: EndpointObservation, deployments: Iterable[str], since: datetime) -> dict[str, Sample]:
        """The figures of each deployment."""
        return {name: self._sample(endpoint, name, since) for name in deployments}

    def _sample(self, endpoint: EndpointObservation, name: str, since: datetime) -> Sample:
        total = health(self.session, endpoint, name, since)
        before = self.seen.get(name)
        if before is None or before.since != since:
            self.seen[name] = total
            return Sample(total)
        if total.requests - before.requests < self.enough:
            return Sample(total)
        self.seen[name] = total
        return Sample(total, health(self.session, endpoint, name, before.as_of))
