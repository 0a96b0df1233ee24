"""A small language host for Python: what starts programs and policy packs for the engine where the vendor's is missing.

The engine runs it as `pulumi-language-python ENGINE_ADDRESS`, reads a port from its first line, and calls the
`LanguageRuntime` of the SDK's own protocol (`pulumi/language.proto`). It ends with its engine, and so does all that it
started: a program that outlived a killed engine would go on creating things that nobody records.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Final

import grpc
import pulumi
from pulumi.runtime.proto import language_pb2, plugin_pb2
from pulumi.runtime.proto.language_pb2_grpc import LanguageRuntimeServicer, add_LanguageRuntimeServicer_to_server

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

EXECUTOR: Final = "pulumi-language-python-exec"  # the vendor's script that runs a program; it lies beside the engine
EXECUTOR_VARIABLE: Final = "MLINFRA_PULUMI_EXECUTOR"
SAID_ALREADY: Final = 32  # exit code of a program whose error has been shown
_PERIOD: Final = 0.5  # s between two looks at the engine


class Programs:
    """The processes that this host started. They stay in its group, since the engine kills its plugins by group."""

    def __init__(self) -> None:
        self._running: set[subprocess.Popen[bytes]] = set()
        self._lock = threading.Lock()

    def start(self, argv: Sequence[str], work: Path, variables: Mapping[str, str], **streams: Any) -> Any:
        """Start a program; `forget` it when it has ended."""
        with self._lock:
            started = subprocess.Popen(argv, cwd=work, env=dict(variables), **streams)
            self._running.add(started)
        return started

    def forget(self, ended: subprocess.Popen[bytes]) -> None:
        """It has ended by itself."""
        with self._lock:
            self._running.discard(ended)

    def end(self) -> None:
        """Kill what runs; the host's whole group, where it leads one."""
        with self._lock:
            for each in self._running:
                each.kill()
            if os.getpgrp() == os.getpid():
                os.killpg(os.getpgrp(), signal.SIGKILL)


class LanguageHost(LanguageRuntimeServicer):
    """The calls that `up`, `preview`, `destroy` and policy packs make."""

    def __init__(self, engine: str, executor: Path, programs: Programs) -> None:
        self._engine = engine
        self._executor = executor
        self._programs = programs

    def Handshake(self, request: Any, context: Any) -> Any:  # noqa: ARG002, N802  the protocol's signature and name
        """Nothing to agree on."""
        return language_pb2.LanguageHandshakeResponse()

    def GetPluginInfo(self, request: Any, context: Any) -> Any:  # noqa: ARG002, N802  see above
        """The version of the SDK whose protocol this is."""
        return plugin_pb2.PluginInfo(version=str(pulumi.__dict__.get("__version__", "3.0.0")))

    def GetRequiredPackages(self, request: Any, context: Any) -> Any:  # noqa: ARG002, N802  see above
        """Nothing to install ahead: resources name the version of their provider when they are registered."""
        return language_pb2.GetRequiredPackagesResponse()

    def GetRequiredPlugins(self, request: Any, context: Any) -> Any:  # noqa: ARG002, N802  see above
        """As `GetRequiredPackages`, for older engines."""
        return language_pb2.GetRequiredPluginsResponse()

    def GetProgramDependencies(self, request: Any, context: Any) -> Any:  # noqa: ARG002, N802  see above
        """Only `pulumi about` asks."""
        return language_pb2.GetProgramDependenciesResponse()

    def RuntimeOptionsPrompts(self, request: Any, context: Any) -> Any:  # noqa: ARG002, N802  see above
        """No questions."""
        return language_pb2.RuntimeOptionsResponse()

    def About(self, request: Any, context: Any) -> Any:  # noqa: ARG002, N802  see above
        """The interpreter that programs run in."""
        return language_pb2.AboutResponse(executable=interpreter(request.info), version=sys.version.split()[0])

    def Run(self, request: Any, context: Any) -> Any:  # noqa: ARG002, N802  see above
        """Run a program to its end. Its output is the host's, which the engine shows."""
        variables = {
            **os.environ,
            "PULUMI_CONFIG": json.dumps(dict(request.config)),
            "PULUMI_CONFIG_SECRET_KEYS": json.dumps(list(request.configSecretKeys)),
        }
        work = Path(request.info.program_directory)
        started = self._programs.start(program(request, self._engine, self._executor), work, variables)
        code = started.wait()
        self._programs.forget(started)
        if code == SAID_ALREADY:
            return language_pb2.RunResponse(bail=True)
        return language_pb2.RunResponse(error=f"the program ended with exit code {code}" if code else "")

    def RunPlugin(self, request: Any, context: Any) -> Iterator[Any]:  # noqa: N802  see above
        """Run a policy pack, or a provider written in Python, and stream what it prints until it ends."""
        given = dict(entry.partition("=")[::2] for entry in request.env)
        started = self._programs.start(
            plugin(request),
            Path(request.info.program_directory if request.kind == "analyzer" else request.pwd),
            {**os.environ, **given},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        context.add_callback(started.kill)  # a process that has ended is left alone
        for stream, line in _lines(started):
            yield language_pb2.RunPluginResponse(**{stream: line})  # type: ignore[arg-type]  # one of two fields of bytes
        self._programs.forget(started)
        yield language_pb2.RunPluginResponse(exitcode=started.wait())


def interpreter(info: Any) -> str:
    """The interpreter of the virtual environment that `Pulumi.yaml` names, else `PULUMI_PYTHON_CMD`, else our own."""
    options = dict(info.options)
    named = str(options.get("virtualenv", ""))
    if named:
        python = Path(info.root_directory, named, "bin", "python")
        if python.exists():
            return str(python)
    return os.environ.get("PULUMI_PYTHON_CMD") or sys.executable


def program(request: Any, engine: str, executor: Path) -> list[str]:
    """The command that runs a program, in the words of the vendor's executor."""
    info = request.info
    words = {
        "--project": request.project,
        "--stack": request.stack,
        "--monitor": request.monitor_address,
        "--engine": engine,
        "--organization": request.organization,
        "--parallel": str(request.parallel),
        "--root_directory": info.root_directory,
        "--pwd": request.pwd or info.program_directory,
        "--dry_run": "true" if request.dryRun else "",
    }
    told = [word for name, value in words.items() if value for word in (name, value)]
    entry = Path(info.program_directory, info.entry_point)
    return [interpreter(info), "-u", str(executor), *told, str(entry), *request.args]


def plugin(request: Any) -> list[str]:
    """The command that runs a plugin: a policy pack by the SDK's module, anything else by its own entry."""
    folder = request.info.program_directory
    python = [interpreter(request.info), "-u"]
    if request.kind == "analyzer":
        engine, *others = request.args  # some engines name the pack's folder as "." besides
        return [*python, "-m", "pulumi.policy", engine, folder, *(word for word in others if word != ".")]
    own = [folder] if Path(folder, "__main__.py").exists() else ["-m", "pulumi.run.plugin", folder]
    return [*python, *own, *request.args]


def is_reachable(address: str) -> bool:
    """Whether somebody listens there."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=5).close()
    except ConnectionRefusedError:
        return False
    except (OSError, ValueError):
        return True  # slow or unreadable is not gone
    return True


def serve(engine: str, executor: Path) -> None:
    """Serve until the engine is gone or asks to stop."""
    programs = Programs()
    server = grpc.server(ThreadPoolExecutor())
    add_LanguageRuntimeServicer_to_server(LanguageHost(engine, executor, programs), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    for number in (
        signal.SIGINT,
        signal.SIGTERM,
    ):  # the engine is done; a terminal's passes by our group
        signal.signal(number, lambda *_: _leave(programs))
    while not engine or is_reachable(engine):
        time.sleep(_PERIOD)
    _leave(programs)


def _leave(programs: Programs) -> None:
    programs.end()
    os._exit(0)  # threads of calls that wait for what was killed hold nothing worth a farewell


def _lines(started: subprocess.Popen[bytes]) -> Iterator[tuple[str, bytes]]:
    """What a process prints on both its streams, as it prints it."""
    heard: SimpleQueue[tuple[str, bytes]] = SimpleQueue()
    streams = {"stdout": started.stdout, "stderr": started.stderr}

    def listen(name: str) -> None:
        for line in iter(streams[name].readline, b""):  # type: ignore[union-attr]  # both were asked for as pipes
            heard.put((name, line))
        heard.put((name, b""))

    for name in streams:
        threading.Thread(target=listen, args=(name,), daemon=True).start()
    open_streams = len(streams)
    while open_streams:
        name, line = heard.get()
        if line:
            yield name, line
        else:
            open_streams -= 1


def main(arguments: Sequence[str]) -> None:
    """Start as the engine starts language hosts."""
    addresses = [word for word in arguments if not word.startswith("-")]
    serve(addresses[0] if addresses else "", Path(os.environ[EXECUTOR_VARIABLE]))


if __name__ == "__main__":
    main(sys.argv[1:])
