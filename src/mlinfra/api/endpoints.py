"""Endpoints: deploy, ask, watch, move traffic, go back."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from mlinfra.engine import deploy as deploying
from mlinfra.engine import endpoint_changes, endpoints
from mlinfra.engine import replay as replaying
from mlinfra.engine.invoke import JSON, predictions_of
from mlinfra.engine.sources import of, settle
from mlinfra.spec import warnings

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import date, datetime

    from mlinfra.contract.endpoints import EndpointObservation, Invocation
    from mlinfra.contract.health import Health
    from mlinfra.contract.jobs import LogLine
    from mlinfra.engine.endpoint_changes import Asked
    from mlinfra.engine.endpoint_work import Outcome
    from mlinfra.engine.endpoints import Shown
    from mlinfra.engine.replay import Replay
    from mlinfra.engine.session import Session
    from mlinfra.engine.sources import Settings
    from mlinfra.spec import EndpointSpec


class Endpoint:
    """One endpoint. What is known of it is as old as the last call; `refresh` asks again."""

    def __init__(self, session: Session, observed: EndpointObservation) -> None:
        self.session = session
        self.observed = observed

    def __repr__(self) -> str:
        return f"<endpoint {self.handle} {self.state}>"

    @property
    def name(self) -> str:
        """The name of its spec."""
        return self.observed.name

    @property
    def handle(self) -> str:
        """`<environment>/endpoint/<name>`."""
        return f"{self.session.environment.name}/endpoint/{self.name}"

    @property
    def state(self) -> str:
        """Where it stood when last asked."""
        return self.observed.state.value

    @property
    def traffic(self) -> dict[str, int]:
        """Deployment -> percent."""
        return self.observed.traffic

    def refresh(self) -> Self:
        """Ask how it stands."""
        self.observed = endpoints.find(self.session, self.name)
        return self

    def show(self) -> Shown:
        """Everything known of it: releases, rollout, the vendor's page, how to call it."""
        return endpoints.show(self.session, self.name)

    def predict(
        self, rows: Sequence[Any], *, deployment: str | None = None, time_limit: float | None = None
    ) -> Sequence[Any]:
        """Predictions for rows, objects by column or lists in schema order.

        `time_limit` in seconds bounds the waiting for an asynchronous endpoint, 900 unless given.

        Raises:
            InputRejected: the model's schema refuses rows; says which.
            InvocationFailed: any other error of the server.
        """
        return predictions_of(
            endpoints.invoke(self.session, self.name, rows, deployment=deployment, time_limit=time_limit)
        )

    def invoke(
        self,
        body: bytes,
        *,
        content_type: str = JSON,
        deployment: str | None = None,
        time_limit: float | None = None,
    ) -> Invocation:
        """The server's answer to a body of one's own; `time_limit` as in `predict`."""
        return endpoints.invoke(
            self.session,
            self.name,
            body=body,
            content_type=content_type,
            deployment=deployment,
            time_limit=time_limit,
        )

    def replay(
        self,
        *,
        source: str | Path | None = None,
        deployment: str | None = None,
        since: date | None = None,
        limit: int | None = None,
    ) -> Replay:
        """Ask again what was captured, and compare the answers bit for bit. Changes nothing."""
        place = Path(source) if source is not None else None
        return replaying.replay(self.session, self.name, source=place, deployment=deployment, since=since, limit=limit)

    def logs(self, *, deployment: str | None = None, follow: bool = False) -> Iterator[LogLine]:
        """What its servers print; with `follow` until the caller stops."""
        return endpoints.logs(self.session, self.name, deployment=deployment, follow=follow)

    def metrics(self, *, since: datetime | None = None) -> Mapping[str, Health]:
        """How each deployment has done since then, or in the last hour."""
        return endpoints.metrics(self.session, self.name, since=since)

    def set_traffic(self, split: Mapping[str, int]) -> Outcome:
        """Set the shares of its deployments in percent; those not named get none."""
        return endpoint_changes.traffic(self.session, self.name, split)

    def resume(self, *, time_limit: float | None = None) -> Outcome:
        """Go on with the rollout that stands, to its end. `time_limit` in seconds bounds the watching.

        Raises:
            RolledBack, DeploymentFailed: it did not end well.
        """
        return endpoint_changes.resume(self.session, self.name, time_limit=time_limit)

    def abort(self) -> Outcome | Asked:
        """Send the rollout back that stands; one that another process watches is asked to go back by itself."""
        return endpoint_changes.abort(self.session, self.name)

    def rollback(self, to: str | None = None) -> Outcome:
        """Back to the good release before this one, or to the version that `to` names."""
        return endpoint_changes.rollback(self.session, self.name, to)

    def delete(self) -> bool:
        """Remove it with everything behind it. Safe to repeat; False where nothing was there."""
        return endpoint_changes.delete(self.session, self.name)

    def native(self) -> Any:
        """The vendor SDK's own object for it.

        Raises:
            CapabilityError: the extra `vendor-sdks` is not installed, or the platform has none.
        """
        return self.session.client.native("endpoint", self.observed.native_id)


class Endpoints:
    """The endpoints of an environment."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def deploy(
        self,
        spec: str | Path | EndpointSpec,
        *,
        set: Settings = (),  # noqa: A002  as --set
        time_limit: float | None = None,
    ) -> Outcome:
        """Make an endpoint serve what its spec says. Blocks until it does, or the old release serves again.

        `spec` is a file that holds one endpoint, or a spec. Safe to repeat and to kill.

        Raises:
            SpecError, CapabilityError, NotFound, Denied: nothing was sent.
            DeploymentFailed: new deployments did not become ready; the old ones keep all traffic.
            RolledBack: the figures sent it back.
        """
        wanted = settle(of(spec, self._session.folders).only_endpoint(), self._session.environment, set)
        for warning in warnings(wanted):
            self._session.say(f"warning: {warning}")
        return deploying.deploy(self._session, wanted, time_limit=time_limit)

    def get(self, reference: str) -> Endpoint:
        """The endpoint that a name or a handle means.

        Raises:
            NotFound: there is none.
        """
        return Endpoint(self._session, endpoints.find(self._session, reference))

    def list(self) -> list[Endpoint]:
        """The kit's endpoints, by name."""
        found = sorted(endpoints.list_endpoints(self._session), key=lambda each: each.name)
        return [Endpoint(self._session, each) for each in found]

    def delete(self, reference: str) -> bool:
        """Remove an endpoint, also one that is half gone. Safe to repeat; False where nothing was there."""
        return endpoint_changes.delete(self._session, reference)
