"""The entry point, and the one place that turns an error into a message and an exit code.

Imports next to nothing itself, so that an interrupt or a missing package during start-up is met here as well.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mlinfra.cli.context import Invocation

PROGRAM = "mlinfra"


def run(arguments: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit code. Never raises."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    try:
        return _guarded(arguments)
    except KeyboardInterrupt:  # a second one, or one while the first was being told
        return 130


def _guarded(arguments: list[str]) -> int:
    invocation = None
    try:
        from mlinfra.cli.context import Invocation  # noqa: PLC0415  an interrupt during imports is caught too

        invocation = Invocation(arguments)
        code = _command(arguments, invocation)
        invocation.finish()
        sys.stdout.flush()
    except BrokenPipeError:
        return _reader_left()
    except BaseException as exc:  # noqa: BLE001  everything ends here, as a message and an exit code
        return _told(exc, arguments, invocation)
    return code


def _command(arguments: list[str], invocation: Invocation) -> int:
    from mlinfra.cli.root import root  # noqa: PLC0415  see above

    code = root.main(arguments, prog_name=PROGRAM, standalone_mode=False, obj=invocation)
    return code if isinstance(code, int) else 0


def _told(exc: BaseException, arguments: list[str], invocation: Invocation | None) -> int:
    from mlinfra.cli import failures  # noqa: PLC0415  a command that succeeds has no use for it

    try:
        return failures.tell(exc, arguments, invocation)
    except BrokenPipeError:
        return _reader_left(failures.exit_code(exc))


def _reader_left(code: int = 0) -> int:
    """Whoever read our output has seen enough; what is left to flush goes nowhere."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    return code


if __name__ == "__main__":
    sys.exit(run())
