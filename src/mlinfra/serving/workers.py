"""Several workers: the model is loaded once, then the process is forked, so that its pages are shared.

The parent predicts nothing, since thread pools that a library has started do not survive a fork; each worker
proves the model for itself, and takes connections only then. A worker that dies is replaced.
"""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING

from mlinfra.serving import worker
from mlinfra.serving.log import log
from mlinfra.serving.metrics import Metrics

if TYPE_CHECKING:
    import socket

    from mlinfra.serving.models import Model
    from mlinfra.serving.settings import Settings

_PAUSE = 1.0  # seconds before a dead worker is replaced, so that one that cannot live does not spin


class Supervisor:
    """The parent process."""

    def __init__(self, settings: Settings, listener: socket.socket, model: Model, metrics: Metrics) -> None:
        self._settings = settings
        self._listener = listener
        self._model = model
        self._metrics = metrics
        self._workers: dict[int, int] = {}  # process id -> number
        self._stopping = False
        self._code = 0

    def run(self) -> int:
        """Keep the workers alive until told to stop; the exit code."""
        for signum in (signal.SIGTERM, signal.SIGINT):
            signal.signal(signum, self._stop)
        for number in range(self._settings.workers):
            self._start(number)
        while self._workers:
            pid, status = os.wait()
            if pid not in self._workers:
                continue
            number = self._workers.pop(pid)
            code = os.waitstatus_to_exitcode(status)
            if self._stopping:
                self._code = self._code or max(code, 0)
            elif code > 0:
                self._give_up(code)
            else:
                log("worker died", level="error", worker=number, code=code)
                time.sleep(_PAUSE)
                self._start(number)
        return self._code

    def _start(self, number: int) -> None:
        if self._stopping:
            return
        share = worker.Share(self._model, self._metrics, parent=os.getpid())
        pid = os.fork()
        if pid:
            self._workers[pid] = number
            return
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        self._metrics.own(number)
        os._exit(worker.run(self._settings, self._listener, share))

    def _give_up(self, code: int) -> None:
        """A worker ended by its own decision: another one would decide the same."""
        self._code = code
        self._stop()

    def _stop(self, *_signal: object) -> None:
        self._stopping = True
        self._listener.close()  # else the system would go on connecting clients whom nobody accepts
        for pid in self._workers:
            os.kill(pid, signal.SIGTERM)


def supervise(settings: Settings, listener: socket.socket) -> int:
    """Load the model, start the workers, return when the last has ended."""
    model = worker.new_model(settings)
    model.load()
    return Supervisor(settings, listener, model, Metrics(settings.workers)).run()
