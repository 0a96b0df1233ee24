"""The interpreter of a deployment's servers, its environment made first where none is at hand."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from mlinfra.host import logs, processes
from mlinfra.host.commands import module, module_environment
from mlinfra.host.logs import LogWriter

if TYPE_CHECKING:
    from pathlib import Path

    from mlinfra.host.plan import ServerPlan

_LAST_LINES = 10


class EnvironmentMissing(Exception):
    """The packages that a deployment needs cannot be installed; says why."""


async def python_for(plan: ServerPlan, folder: Path, cache: Path, log_folder: Path, name: str) -> str:
    """The path of the interpreter.

    Raises:
        EnvironmentMissing: its environment cannot be made.
    """
    if plan.interpreter.path:
        return plan.interpreter.path
    lock, answer = _place(folder, plan.interpreter.lock)
    process = await asyncio.create_subprocess_exec(
        *module("mlinfra.host.interpreters", str(lock), plan.interpreter.version, str(cache), str(answer)),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={**plan.environment, **module_environment(), processes.WORK: str(folder / "environment")},
        start_new_session=True,
    )
    source = f"{name}.environment"
    try:
        output, _nothing = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    writer = LogWriter(log_folder, source)
    writer.feed(output)
    writer.close()
    if process.returncode:
        raise EnvironmentMissing(
            "\n".join(["no environment can be made:", *logs.tail(log_folder, source, _LAST_LINES)])
        )
    return answer.read_text().strip()


def _place(folder: Path, lock: str) -> tuple[Path, Path]:
    """The file with the locked packages, and where the answer will stand."""
    folder.mkdir(parents=True, exist_ok=True)
    place = folder / "requirements.lock"
    place.write_text(lock)
    return place, folder / "interpreter"
