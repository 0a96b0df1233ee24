"""Starting and stopping: settings, one process or several, and a drain that loses no request."""

from __future__ import annotations

import os
import resource
import socket
import sys
from typing import TYPE_CHECKING

from mlinfra.errors import MlinfraError, Unavailable
from mlinfra.serving.log import log
from mlinfra.serving.settings import Settings, read_settings

if TYPE_CHECKING:
    from collections.abc import Sequence

_BACKLOG = 2048
_OWN_FILES = 256
_ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until told to stop; the exit code."""
    for name in _ONE_THREAD:  # read by the libraries when they are imported
        os.environ.setdefault(name, "1")
    try:
        settings = read_settings(sys.argv[1:] if arguments is None else arguments, os.environ)
        _allow_files(settings.connections)
        return _serve(settings)
    except MlinfraError as error:
        log("failed", level="error", message=str(error), **error.as_document())
        return error.exit_code


def _serve(settings: Settings) -> int:
    from mlinfra.serving import worker, workers  # noqa: PLC0415  after the thread counts are set

    listener = _listen(settings)
    host, port = listener.getsockname()[:2]
    log("listening", host=host, port=port, workers=settings.workers)
    if settings.workers > 1:
        return workers.supervise(settings, listener)
    return worker.run(settings, listener)


def _allow_files(connections: int) -> None:
    """Raise the limit on open files as far as the connections need and the system lets us."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + _OWN_FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def _listen(settings: Settings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, settings.port))
    except OSError as exc:
        listener.close()
        what = f"cannot listen on {settings.host}:{settings.port}"
        raise Unavailable(what, given=exc.strerror, todo="choose another port with --port") from exc
    listener.listen(_BACKLOG)
    listener.setblocking(False)
    return listener
