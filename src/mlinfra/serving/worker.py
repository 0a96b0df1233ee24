"""One worker: an event loop around the shared port, from loading to the last answer."""

from __future__ import annotations

import asyncio
import gc
import math
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
from mlinfra.serving.http import Connection
from mlinfra.serving.lane import Lane
from mlinfra.serving.locate import find_model
from mlinfra.serving.log import log
from mlinfra.serving.metrics import Metrics
from mlinfra.serving.models import Model, Models

if TYPE_CHECKING:
    import socket

    from mlinfra.serving.fleet import Fleet
    from mlinfra.serving.rpc import Gateway
    from mlinfra.serving.settings import Settings

_TICK = 0.5  # seconds
_CLOSE = 1.0  # seconds in which a loaded model has usually proved itself
_LOADS = 10_000  # models that may wait to be loaded
_SWITCH = 0.0001  # seconds until a busy lane lets the event loop have its turn


@dataclass(frozen=True, slots=True)
class Share:
    """What one of several workers was given by the process that forked it."""

    models: Models | Fleet  # loaded, not proved
    metrics: Metrics
    parent: int  # process id, read before the fork: afterwards it may be gone, and another one in its place


def run(settings: Settings, listener: socket.socket, share: Share | None = None) -> int:
    """Serve until told to stop; the exit code."""
    sys.setswitchinterval(_SWITCH)
    warnings.filterwarnings("ignore", message="X does not have valid feature names")  # compared when it was saved
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        return runner.run(_run(settings, listener, share))


def new_models(settings: Settings) -> Models | Fleet:
    """The models that the settings name, not loaded yet."""
    if settings.models:
        from mlinfra.serving.fleet import Fleet  # noqa: PLC0415  most servers have one model

        return Fleet(settings)
    folder, name = find_model(settings)
    return Models(Model(settings.name or name, settings.version, folder, settings.digest or None))


async def _run(settings: Settings, listener: socket.socket, share: Share | None) -> int:
    loop = asyncio.get_running_loop()
    models = share.models if share else new_models(settings)
    metrics = share.metrics if share else Metrics(1)
    lane = Lane(loop, settings.queue_length, settings.queue_seconds)
    loader = Lane(loop, _LOADS, math.inf) if settings.models else None
    capture = Capture(settings, metrics) if settings.capture else None
    app = App(
        settings=settings,
        models=models,
        lane=lane,
        loader=loader,
        metrics=metrics,
        capture=capture,
        soon=loop.call_soon,
    )
    stopping: asyncio.Future[int] = loop.create_future()
    prepared = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _told_to_stop, stopping, prepared)
    minding = loop.create_task(_mind_the_parent(share.parent, stopping, prepared)) if share else None
    lane.start()
    if loader:
        loader.start()
    if capture:
        capture.start()
    lane.submit(partial(_prepare, models, loaded=share is not None), partial(_prepared, stopping, app, prepared), 0.0)
    if share:
        await prepared.wait()  # one of several workers: until it is ready, the others take what comes
        if stopping.done() and not stopping.result():
            await _come_round(models)
    spare = listener.dup()
    server = await loop.create_server(partial(Connection, app), sock=listener)
    ticking = loop.create_task(_tick(app))
    rpc = await _start_rpc(app) if settings.grpc_port else None
    code = await stopping
    server.close()
    await _take_in(app, spare)
    if rpc:
        await rpc.stop()
    await _drain(app, capture)
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


async def _start_rpc(app: App) -> Gateway:
    from mlinfra.serving.rpc import gateway  # noqa: PLC0415  most servers speak HTTP alone, and some lack its libraries

    rpc = gateway(app)
    port = await rpc.start(app.settings.host, app.settings.grpc_port)
    log("listening", protocol="grpc", host=app.settings.host, port=port)
    return rpc


def _prepare(models: Models | Fleet, *, loaded: bool) -> MlinfraError | Exception | None:
    """Load and prove what is served from the start, in the lane's thread; what went wrong."""
    try:
        if not loaded:
            models.load()
        models.prove()
    except Exception as exc:  # noqa: BLE001  handed to the loop, which ends the server with it
        return exc
    gc.collect()
    gc.freeze()  # what is loaded stays; the collector need not look at it again
    models.open()
    return None


def _prepared(stopping: asyncio.Future[int], app: App, prepared: asyncio.Event, error: Exception | None) -> None:
    prepared.set()
    if error is None:
        app.gauge()
        log("ready", **app.models.about())
    elif isinstance(error, MlinfraError):
        log("failed", level="error", message=str(error), **error.as_document())
        _stop(stopping, error.exit_code)
    else:
        log("failed", level="error", error=error)
        _stop(stopping, 1)


async def _come_round(models: Models | Fleet) -> None:
    """One of several workers, told to stop before it was ready: clients may be waiting at the port that it shares."""
    until = time.monotonic() + _CLOSE
    while not models.ready() and time.monotonic() < until:  # noqa: ASYNC110  the lane's thread sets it, not the loop
        await asyncio.sleep(_CLOSE / 50)


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


async def _drain(app: App, capture: Capture | None) -> None:
    """Finish what has begun; what comes later finds the port closed."""
    log("draining")
    if capture:
        capture.hurry()
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
