"""What a command that did not succeed says: four parts for people, one document for machines, an exit code."""

from __future__ import annotations

import errno
import os
import sys
import time
import traceback
from typing import TYPE_CHECKING

import click

from mlinfra.engine.folders import Folders
from mlinfra.errors import CapacityUnavailable, Denied, KitFault, MlinfraError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from mlinfra.cli.context import Invocation

INTERRUPTED = 130
_FULL = {errno.ENOSPC, errno.EDQUOT}
_FORBIDDEN = {errno.EACCES, errno.EPERM, errno.EROFS}


class Interrupted(MlinfraError):
    """The user stopped the command; what it had begun goes on."""

    exit_code = INTERRUPTED


def tell(exc: BaseException, arguments: Sequence[str], invocation: Invocation | None) -> int:
    """Say what went wrong and return the exit code."""
    debug = invocation.debug if invocation else "--debug" in arguments
    if debug and not isinstance(exc, SystemExit):
        traceback.print_exception(exc)
    if isinstance(exc, SystemExit):
        return exc.code if isinstance(exc.code, int) else 0
    if isinstance(exc, click.exceptions.NoArgsIsHelpError) and not (invocation and invocation.as_json):
        click.echo(exc.format_message(), err=True)
        return exc.exit_code
    error = as_error(exc, invocation)
    if isinstance(error, KitFault):
        error = _reported(error, exc, arguments, invocation)
    if invocation and invocation.as_json:
        invocation.finish(error=error.as_document())
        sys.stdout.flush()
    else:
        _tell_people(error, "[emulated] " if invocation and invocation.is_emulated else "")
    return error.exit_code


def exit_code(exc: BaseException) -> int:
    """The exit code alone, for when nobody reads the message."""
    return as_error(exc, None).exit_code


def as_error(exc: BaseException, invocation: Invocation | None) -> MlinfraError:
    """Any exception as one of ours; what nobody foresaw is a fault of the kit."""
    if isinstance(exc, MlinfraError):
        return exc
    if isinstance(exc, (KeyboardInterrupt, click.Abort, EOFError)):
        resume = invocation.resume if invocation else "the same command"
        return Interrupted("interrupted; what was begun goes on", todo=f"resume with `{resume}`")
    if isinstance(exc, click.ClickException):
        return _usage(exc)
    first_line = str(exc).partition("\n")[0]
    return _of_the_system(exc) or KitFault(f"{type(exc).__name__}: {first_line}")


def _of_the_system(exc: BaseException) -> MlinfraError | None:
    """What this machine refuses, whoever asked; None for everything else."""
    if not isinstance(exc, OSError):
        return None
    given = str(exc.filename or "a file without a name")
    if exc.errno in _FULL:
        return CapacityUnavailable("the disk is full", given=given, todo="make room and run the same command again")
    if exc.errno in _FORBIDDEN and exc.filename:
        todo = "change the file's permissions or owner, or work in another folder"
        return Denied(f"the system refuses: {exc.strerror}", given=given, todo=todo)
    return None


def _usage(exc: click.ClickException) -> UsageError:
    """What the parser refuses, in our parts."""
    context = exc.ctx if isinstance(exc, click.UsageError) else None
    path = context.command_path if context else "mlinfra"
    return UsageError(
        exc.format_message().rstrip("."),
        allowed=context.get_usage().removeprefix("Usage: ") if context else "",
        todo=f"`{path} --help` tells what it takes",
    )


def _reported(error: KitFault, exc: BaseException, arguments: Sequence[str], invocation: Invocation | None) -> KitFault:
    """The fault with the place of its trace, which does not belong on anybody's screen."""
    try:
        path = _write_report(exc, arguments, invocation)
    except OSError as problem:
        return KitFault(error.what, todo=f"run it with --debug and report the trace (it was not saved: {problem})")
    return KitFault(error.what, given=str(path), todo="report it with this file, after a look at what it tells of you")


def _write_report(exc: BaseException, arguments: Sequence[str], invocation: Invocation | None) -> Path:
    from mlinfra import __version__  # noqa: PLC0415  a command that succeeds has no use for it

    folder = (invocation.folders if invocation else Folders.find()).state / "reports"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{time.strftime('%Y%m%dT%H%M%S')}-{os.getpid()}.txt"
    head = f"mlinfra {__version__}\npython {sys.version}\nplatform {sys.platform}\narguments {list(arguments)}\n\n"
    path.write_text(head + "".join(traceback.format_exception(exc)))
    return path


def _tell_people(error: MlinfraError, mark: str) -> None:
    first, *others = error.parts()
    head = click.style("error:", fg="red", bold=True) if _colours() else "error:"
    click.echo("\n".join([f"{mark}{head} {first}", *(f"  {part}" for part in others)]), err=True)


def _colours() -> bool:
    return sys.stderr.isatty() and not os.environ.get("NO_COLOR")
