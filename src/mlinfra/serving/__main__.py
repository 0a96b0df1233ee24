"""`python -m mlinfra.serving`: the server; with the word `batch` first, predictions for a file."""

from __future__ import annotations

import sys


def run() -> int:
    """The exit code of what the command line asks for."""
    if sys.argv[1:2] == ["batch"]:
        from mlinfra.serving import batch  # noqa: PLC0415  the server has no use for it

        return batch.main(sys.argv[2:])
    from mlinfra.serving.main import main  # noqa: PLC0415  see above

    return main()


sys.exit(run())
