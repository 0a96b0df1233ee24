"""One worker: an event loop around the shared port, from loading to the last answer."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys
import time
import warnings
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from mlinfra.errors import MlinfraError
from mlinfra.serving.app import App
from mlinfra.serving.capture import Capture
from mlinfra.serving.exchange import rehearse
from mlinfra.serving.http import Connection
from mlinfra.serving.lane import Lane
from mlinfra.serving.locate import find_model
from mlinfra.serving.log import log
from mlinfra.serving.metrics import Metrics
from mlinfra.serving.models import Model, Models

if TYPE_CHECKING:
    import socket

    from mlinfra.serving.settings import Settings

_TICK = 0.5  # seconds
_SWITCH = 0.0005  # seconds until a busy lane lets the event loop have its turn


@dataclass(frozen=True, slots=True)
class Share:
    """What one of several workers was given by the process that forked it."""

    model: Model  # loaded, not proved
    metrics: Metrics
    parent: int  # process id, read before the fork: afterwards it may be gone, and another one in its place


def run(settings: Settings, listener: socket.socket, share: Share | None = None) -> int:
    """Serve until told to stop; the exit code."""
    sys.setswitchinterval(_SWITCH)
    warnings.filterwarnings("ignore", message="X does not have valid feature names")  # compared when it was saved
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        return runner.run(_run(settings, listener, share))


def new_model(settings: Settings) -> Model:
    """The model that the settings name, not loaded yet."""
    folder, name = find_model(settings)
    return Model(settings.name or name, settings.version, folder, settings.digest or None)


async def _run(settings: Settings, listener: socket.socket, share: Share | None) -> int:
    loop = asyncio.get_running_loop()
    model = share.model if share else new_model(settings)
    metrics = share.metrics if share else Metrics(1)
    lane = Lane(loop, settings.queue_length, settings.queue_seconds)
    capture = Capture(settings, metrics) if settings.capture else None
    app = App(settings=settings, models=Models(model), lane=lane, metrics=metrics, capture=capture, soon=loop.call_soon)
    stopping: asyncio.Future[int] = loop.create_future()
    prepared = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _told_to_stop, stopping, prepared)
    minding = loop.create_task(_mind_the_parent(share.parent, stopping, prepared)) if share else None
    lane.start()
    if capture:
        capture.start()
    lane.submit(partial(_prepare, model, loaded=share is not None), partial(_prepared, stopping, app, prepared), 0.0)
    if share:
        await prepared.wait()  # one of several workers: until it is ready, the others take what comes
    spare = listener.dup()
    server = await loop.create_server(partial(Connection, app), sock=listener)
    ticking = loop.create_task(_tick(app))
    code = await stopping
    server.close()
    await _take_in(app, spare)
    await _drain(app)
    ticking.cancel()
    if minding:
        minding.cancel()
    lane.stop()
    if capture:
        await loop.run_in_executor(None, capture.close)
    log("stopped")
    if lane.is_busy:
        os._exit(code)  # a model that is being loaded, or does not come back, must not hold up the end
    return code


def _prepare(model: Model, *, loaded: bool) -> MlinfraError | Exception | None:
    """Load and prove the model, in the lane's thread; what went wrong."""
    try:
        if not loaded:
            model.load()
        model.prove()
        rehearse(model)
    except Exception as exc:  # noqa: BLE001  handed to the loop, which ends the server with it
        return exc
    gc.collect()
    gc.freeze()  # what is loaded stays; the collector need not look at it again
    model.ready = True
    return None


def _prepared(stopping: asyncio.Future[int], app: App, prepared: asyncio.Event, error: Exception | None) -> None:
    prepared.set()
    if error is None:
        model = app.models.default
        app.gauge()
        log("ready", model=model.name, digest=model.manifest.digest, example=model.agreement, serves=model.way)
    elif isinstance(error, MlinfraError):
        log("failed", level="error", message=str(error), **error.as_document())
        _stop(stopping, error.exit_code)
    else:
        log("failed", level="error", error=error)
        _stop(stopping, 1)


def _told_to_stop(stopping: asyncio.Future[int], prepared: asyncio.Event) -> None:
    prepared.set()  # nobody need wait for the model any more
    _stop(stopping, 0)


def _stop(stopping: asyncio.Future[int], code: int) -> None:
    if not stopping.done():
        stopping.set_result(code)


async def _tick(app: App) -> None:
    while True:
        await asyncio.sleep(_TICK)
        try:
            app.tick()
        except Exception as exc:  # noqa: BLE001  deadlines must go on being kept
            log("fault", level="error", error=exc)


async def _mind_the_parent(parent: int, stopping: asyncio.Future[int], prepared: asyncio.Event) -> None:
    """One of several workers does not outlive the process that started it, however that ended."""
    while os.getppid() == parent:  # noqa: ASYNC110  the system tells nobody of a parent that is gone
        await asyncio.sleep(_TICK)
    _told_to_stop(stopping, prepared)


async def _take_in(app: App, port: socket.socket) -> None:
    """Close the port without cutting off clients whom the system has connected already, but we have not accepted."""
    accepted = []
    with port, suppress(BlockingIOError):
        while True:
            accepted.append(port.accept()[0])
    for client in accepted:
        client.setblocking(False)
        await asyncio.get_running_loop().connect_accepted_socket(partial(Connection, app), client)


async def _drain(app: App) -> None:
    """Finish what has begun; what comes later finds the port closed."""
    log("draining")
    app.drain()
    until = time.monotonic() + app.settings.drain_timeout
    while not app.is_idle and time.monotonic() < until:
        await asyncio.sleep(0.02)
        app.tick()


def _loop_factory() -> type[asyncio.AbstractEventLoop] | None:
    """The quicker event loop where it exists."""
    try:
        import uvloop  # noqa: PLC0415  it does not exist for Windows
    except ModuleNotFoundError:
        return None
    return uvloop.Loop
