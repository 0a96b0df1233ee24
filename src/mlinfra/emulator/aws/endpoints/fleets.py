"""Servers of variants: brought up with their model, counted, resized, woken, put to sleep, drained and ended."""

from __future__ import annotations

import shutil
from contextlib import suppress
from typing import TYPE_CHECKING

from mlinfra.emulator.aws.endpoints.containers import ModelDataFailure, bring
from mlinfra.emulator.hosting.waiting import Deadline, Waiting
from mlinfra.errors import MlinfraError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from mlinfra.emulator.aws.endpoints.records import Endpoint, Variant
    from mlinfra.emulator.hosting.hosting import Seen

_PING = (
    "The primary container for production variant {variant} did not pass the ping health check. "
    "Please check CloudWatch logs for this endpoint."
)
_DRAINED = 90.0  # real s that requests under way get to end; the longest takes 60
_ENDED = 40.0  # real s for processes to end


def ping_failure(variant: str) -> str:
    """The FailureReason of a variant whose container does not answer its health check."""
    return _PING.format(variant=variant)


class Fleets:
    """The servers of every endpoint. Problems come back as a FailureReason, empty where there is none."""

    def __init__(
        self,
        folder: Path,
        waiting: Waiting,
        read: Callable[[str, str], bytes],
        listed: Callable[[str, str], list[str]],
    ) -> None:
        """`read` and `listed` take a URI and the role in whose name it is read."""
        self.before_end: Callable[[Endpoint], None] = _nothing  # the host forgets what ended servers wrote
        self._folder = folder
        self._waiting = waiting
        self._read = read
        self._listed = listed

    def ready(
        self, endpoint: Endpoint, counts: Mapping[Variant, int], watch: Callable[[], str | None] = lambda: None
    ) -> str:
        """Wait until so many servers of each variant are ready, or `watch` has something to say."""
        wanted = {variant: count for variant, count in counts.items() if count}
        if not wanted:
            return ""
        deadline = Deadline(self._waiting.clock, max(variant.plan.start_timeout for variant in wanted))

        def answer() -> str | None:
            seen = endpoint.hosting.look()
            for variant, count in wanted.items():
                variant.current_count = min(seen[variant.deployment].ready, count)
            return _verdict(wanted, seen) or watch()

        unready = self._waiting.until(answer, deadline, _LATE)
        if unready != _LATE:
            return "" if unready == _READY else unready
        late = [variant for variant, count in wanted.items() if variant.current_count < count]
        return ping_failure(late[0].name) if late else ""

    def resize(self, endpoint: Endpoint, variant: Variant, count: int) -> str:
        """Have another number of servers, without waiting for them."""
        with variant.lock:
            if not count:
                self.sleep(endpoint, variant)
                return ""
            if not variant.deployment:
                return self._start(endpoint, variant, count)
            endpoint.hosting.scale(variant.deployment, count)
            variant.current_count = min(variant.current_count, count)
            return ""

    def wake(self, endpoint: Endpoint, variant: Variant) -> str:
        """See to it that a variant has a server that answers. Blocks meanwhile; quick where it has."""
        with variant.lock:  # nobody puts it to sleep meanwhile
            if variant.deployment and variant.current_count:
                return ""
            problem = self._start(endpoint, variant, 1) or self.ready(endpoint, {variant: 1})
            if problem:
                self.sleep(endpoint, variant)
            return problem

    def sleep(self, endpoint: Endpoint, variant: Variant) -> None:
        """Drain a variant's servers and end them; it may be woken again."""
        with variant.lock:
            deployment, variant.deployment = variant.deployment, ""
            variant.current_count = 0
        if deployment:
            self.before_end(endpoint)
            endpoint.hosting.end(deployment)

    def retire(self, endpoint: Endpoint, variants: Iterable[Variant]) -> None:
        """End variants to which no route leads any more, once their last requests are answered."""
        leaving = list(variants)
        busy = endpoint.routes.under_way
        quiet = Deadline(self._waiting.clock, 0.0, least=_DRAINED)
        self._waiting.until(lambda: None if any(map(busy, leaving)) else _READY, quiet, _LATE)
        gone = {variant.deployment for variant in leaving if variant.deployment}
        for variant in leaving:
            self.sleep(endpoint, variant)
        deadline = Deadline(self._waiting.clock, 0.0, least=_ENDED)
        with suppress(MlinfraError):
            self._waiting.until(lambda: None if gone & endpoint.hosting.look().keys() else _READY, deadline, _LATE)
        for deployment in gone:
            shutil.rmtree(self._place(endpoint, deployment), ignore_errors=True)

    def forget(self, endpoint: Endpoint) -> None:
        """Remove the models' files of an endpoint that has ended."""
        shutil.rmtree(self._folder / endpoint.hosting.name, ignore_errors=True)

    def _start(self, endpoint: Endpoint, variant: Variant, count: int) -> str:
        container = variant.container
        variant.awakenings += 1
        deployment = f"{variant.name}-{variant.generation}-{variant.awakenings}"
        folder = self._place(endpoint, deployment) / "model"
        try:
            bring(
                container,
                folder,
                lambda uri: self._read(uri, container.role),
                lambda uri: self._listed(uri, container.role),
            )
            endpoint.hosting.start(deployment, container.server(folder), count)
        except ModelDataFailure as failure:
            return str(failure)
        except MlinfraError as exc:
            return f"The emulator cannot start the container of production variant {variant.name}: {exc}"
        variant.deployment = deployment
        return ""

    def _place(self, endpoint: Endpoint, deployment: str) -> Path:
        return self._folder / endpoint.hosting.name / deployment


_READY, _LATE = "ready", "late"


def _nothing(_endpoint: Endpoint) -> None:
    """Nothing is to be done first."""


def _verdict(wanted: Mapping[Variant, int], seen: Mapping[str, Seen]) -> str | None:
    """A FailureReason, or that all are ready, or None while they are not."""
    for variant in wanted:
        if seen[variant.deployment].failed:
            return ping_failure(variant.name)
    ready = all(seen[variant.deployment].ready >= count for variant, count in wanted.items())
    return _READY if ready else None
