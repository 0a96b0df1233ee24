"""The requests that wait for an asynchronous endpoint, and what becomes of them in S3.

After botocore's descriptions of InvokeEndpointAsync and AsyncInferenceConfig: an answer goes to the output path, a
failure to the failure path, where one is named. With no instances requests wait.
"""

from __future__ import annotations

import queue
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from mlinfra.emulator.aws.endpoints.metrics import NAMESPACE
from mlinfra.emulator.calls import Refusal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlinfra.emulator.aws.emulator import AwsEmulator
    from mlinfra.emulator.aws.endpoints.records import Endpoint, Generation
    from mlinfra.emulator.aws.endpoints.runtime import Runtime

_WORKERS = 4  # requests under way at once, where MaxConcurrentInvocationsPerInstance says nothing
_PATIENCE = 0.1  # real s between two looks for an instance
_TTL = 21_600  # s, the default of RequestTTLSeconds
_LIMIT = 900.0  # s, the default of InvocationTimeoutSeconds


@dataclass(frozen=True)
class _Waiting:
    """One request in the queue."""

    told: Mapping[str, Any]
    inference_id: str
    output: str
    failure: str
    role: str
    expires: float  # the clock's second


class Backlog:
    """One endpoint's queue and the threads that work it off."""

    def __init__(self, emulator: AwsEmulator, runtime: Runtime, endpoint: Endpoint) -> None:
        self._emulator = emulator
        self._runtime = runtime
        self._endpoint = endpoint
        self._queue: queue.Queue[_Waiting | None] = queue.Queue()
        self._closed = threading.Event()
        client = (endpoint.serving.config["AsyncInferenceConfig"] if endpoint.serving else {}).get("ClientConfig", {})
        workers = min(client.get("MaxConcurrentInvocationsPerInstance", _WORKERS), _WORKERS * 4)
        for number in range(workers):
            threading.Thread(target=self._work, name=f"async {endpoint.name} {number}", daemon=True).start()

    @property
    def length(self) -> int:
        """How many requests wait or are under way."""
        return self._queue.unfinished_tasks

    def put(self, generation: Generation, told: Mapping[str, Any]) -> dict[str, Any]:
        """Take a request. Returns the answer of InvokeEndpointAsync."""
        config = generation.config["AsyncInferenceConfig"]["OutputConfig"]
        number = str(uuid4())
        name = told.get("Filename") or f"{number}.out"
        failed = config.get("S3FailurePath", "").rstrip("/")
        waiting = _Waiting(
            told=told,
            inference_id=told.get("InferenceId") or number,
            output="/".join(
                filter(None, (config["S3OutputPath"].rstrip("/"), told.get("S3OutputPathExtension"), name))
            ),
            failure=f"{failed}/{number}-error.out" if failed else "",
            role=next(iter(generation.variants.values())).container.role,
            expires=self._emulator.clock.monotonic() + told.get("RequestTTLSeconds", _TTL),
        )
        self._queue.put(waiting)
        self._measure()
        places = {"OutputLocation": waiting.output, "FailureLocation": waiting.failure or None}
        return {"InferenceId": waiting.inference_id, **places}

    def close(self) -> None:
        """Work off nothing more; what waits is lost."""
        self._closed.set()
        self._queue.put(None)

    def _work(self) -> None:
        while (waiting := self._queue.get()) is not None and not self._closed.is_set():
            try:
                self._settle(waiting)
            finally:
                self._queue.task_done()
                self._measure()
        self._queue.put(None)  # for the next of the threads

    def _settle(self, waiting: _Waiting) -> None:
        try:
            answer = self._answer(waiting)
        except Refusal as exc:
            self._write(waiting, waiting.failure, exc.message.encode())
        else:
            self._write(waiting, waiting.output, answer)

    def _answer(self, waiting: _Waiting) -> bytes:
        self._wait_for_an_instance(waiting)
        told = waiting.told
        body = told.get("Body") or self._emulator.storage.read(told["InputLocation"], waiting.role)
        limit = float(told.get("InvocationTimeoutSeconds", _LIMIT))
        _, answer = self._runtime.ask(self._endpoint, told, body, limit)
        if answer.status >= HTTPStatus.BAD_REQUEST:
            raise Refusal("ModelError", answer.body.decode("utf-8", "replace"), status=424)
        return answer.body

    def _wait_for_an_instance(self, waiting: _Waiting) -> None:
        while not self._closed.is_set():
            if self._emulator.clock.monotonic() >= waiting.expires:
                raise Refusal("ExpiredRequest", "The request has waited longer than RequestTTLSeconds.")
            serving = self._endpoint.serving
            if serving and any(variant.current_count for variant in serving.variants.values()):
                return
            time.sleep(_PATIENCE)

    def _write(self, waiting: _Waiting, uri: str, data: bytes) -> None:
        if uri:
            with suppress(Refusal):  # the role may not write there, and nobody is left to be told
                self._emulator.storage.write(uri, data, waiting.role)

    def _measure(self) -> None:
        self._emulator.cloudwatch.put(
            NAMESPACE, "ApproximateBacklogSize", {"EndpointName": self._endpoint.name}, self.length, unit="Count"
        )
