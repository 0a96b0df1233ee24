"""How deployments do: the platform's counts, asked for over the windows that a rollout is judged by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlinfra.engine.effects import read_all
from mlinfra.engine.rollout_rules import Sample

if TYPE_CHECKING:
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
class Window:
    """Looks at one deployment again and again: since a step began, and over its newest `enough` requests alone.

    The second view finds what goes wrong late in a long step, where everything before would hide it.
    """

    session: Session
    deployment: str
    since: datetime
    enough: int
    _before: Health | None = None

    def look(self, endpoint: EndpointObservation) -> Sample:
        """The figures now."""
        total = health(self.session, endpoint, self.deployment, self.since)
        before = self._before
        if before is not None and total.requests - before.requests < self.enough:
            return Sample(total)
        self._before = total
        if before is None or not before.requests:
            return Sample(total)
        return Sample(total, health(self.session, endpoint, self.deployment, before.as_of))
