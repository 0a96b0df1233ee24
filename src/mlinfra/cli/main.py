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
COMPLETION = "_MLINFRA_COMPLETE"  # set by the shell that asks what could come next


def run(arguments: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit code. Never raises."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    try:
        return _guarded(arguments)
    except KeyboardInterrupt:  # a second one, or one while the first was being told
        return 130
    finally:
        _let_go_of_stdout()


def _guarded(arguments: list[str]) -> int:
    invocation = None
    try:
        from mlinfra.cli.context import Invocation  # noqa: PLC0415  an interrupt during imports is caught too

        invocation = Invocation(arguments)
        code = _command(arguments, invocation)
        invocation.finish()
        sys.stdout.flush()
    except BrokenPipeError:  # whoever read our output has seen enough
        return 0
    except BaseException as exc:  # noqa: BLE001  everything ends here, as a message and an exit code
        return _told(exc, arguments, invocation)
    return code


def _command(arguments: list[str], invocation: Invocation) -> int:
    from click.exceptions import Exit  # noqa: PLC0415  see above

    from mlinfra.cli.root import root  # noqa: PLC0415  see above

    if COMPLETION in os.environ:
        root.main(arguments, PROGRAM, complete_var=COMPLETION)  # answers the shell and exits
    try:
        with root.make_context(PROGRAM, arguments, obj=invocation) as context:
            code = root.invoke(context)
    except Exit as exc:
        return exc.exit_code
    return code if isinstance(code, int) else 0


def _told(exc: BaseException, arguments: list[str], invocation: Invocation | None) -> int:
    from mlinfra.cli import failures  # noqa: PLC0415  a command that succeeds has no use for it

    try:
        return failures.tell(exc, arguments, invocation)
    except BrokenPipeError:
        return failures.exit_code(exc)


def _let_go_of_stdout() -> None:
    """Where what is left cannot be written, let it go nowhere: Python would complain of it again at its end."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.__stdout__.fileno() if sys.__stdout__ else 1)


if __name__ == "__main__":
    sys.exit(run())
