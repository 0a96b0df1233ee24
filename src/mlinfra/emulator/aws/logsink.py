"""CloudWatch Logs from inside: how SageMaker writes lines in the name of an execution role."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlinfra.emulator.aws.wire import motoside
from mlinfra.emulator.calls import Call

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mlinfra.emulator.aws.emulator import AwsEmulator

Event = tuple[int, str]  # milliseconds since 1970, text


class Logs:
    """Writes to log groups and streams, which come into being with their first lines."""

    def __init__(self, emulator: AwsEmulator) -> None:
        self._emulator = emulator

    def put(self, group: str, stream: str, events: Sequence[Event], role: str = "") -> None:
        """Append lines. With a role, in its name.

        Raises:
            Refusal: the role may not write logs.
        """
        if not events:
            return
        self._allow(role, group, stream)
        with motoside.lock:
            backend = self._backend
            if group not in backend.groups:
                backend.create_log_group(group, {})
            streams = backend.groups[group].streams
            if stream not in streams:
                backend.create_log_stream(group, stream)
            # past moto's check of the times against the machine's clock: the emulator's may have been moved
            streams[stream].put_log_events([{"timestamp": at, "message": text} for at, text in events])

    def create_group(self, group: str) -> None:
        """Make a group where there is none."""
        with motoside.lock:
            if group not in self._backend.groups:
                self._backend.create_log_group(group, {})

    @property
    def _backend(self) -> Any:
        return motoside.backend("logs", self._emulator.account, self._emulator.region)

    def _allow(self, role: str, group: str, stream: str) -> None:
        if role:
            resource = self._emulator.place.arn("logs", f"log-group:{group}:log-stream:{stream}")
            call = Call("logs", "PutLogEvents", principal=role)
            self._emulator.desk.allow(call, "logs:PutLogEvents", resource)
