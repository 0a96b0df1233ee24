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

    from mlinfra.serving.fleet import Fleet
    from mlinfra.serving.models import Models
    from mlinfra.serving.settings import Settings

_TO_STOP = (signal.SIGTERM, signal.SIGINT)
_PAUSE = 1.0  # seconds before a dead worker is replaced, so that one that cannot live does not spin


class Supervisor:
    """The parent process."""

    def __init__(self, settings: Settings, listener: socket.socket, models: Models | Fleet, metrics: Metrics) -> None:
        self._settings = settings
        self._listener = listener
        self._models = models
        self._metrics = metrics
        self._workers: dict[int, int] = {}  # process id -> number
        self._stopping = False
        self._code = 0

    def run(self) -> int:
        """Keep the workers alive until told to stop; the exit code."""
        for signum in _TO_STOP:
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
        """Fork a worker. A signal meanwhile waits: the parent must know whom to tell, the child must not act as it."""
        signal.pthread_sigmask(signal.SIG_BLOCK, _TO_STOP)
        try:
            pid = 0 if self._stopping else self._fork(number)
            if pid:
                self._workers[pid] = number
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _TO_STOP)

    def _fork(self, number: int) -> int:
        """The new worker's process id; in the worker itself this does not return."""
        share = worker.Share(self._models, self._metrics, parent=os.getpid())
        pid = os.fork()
        if pid:
            return pid
        for signum in _TO_STOP:
            signal.signal(signum, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _TO_STOP)
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
    models = worker.new_models(settings)
    models.load()
    return Supervisor(settings, listener, models, Metrics(settings.workers)).run()
