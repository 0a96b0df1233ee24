"""Progress on long work: a line for each event, and on a screen a clock beside what is still awaited."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.progress import Progress as Clock

AWAITED = "waiting for"  # how the engine begins what it says when it will ask again later
_PATIENCE = 1.0  # seconds before lines carry a time: quick commands have none


class Progress:
    """Lines through `say`, which goes to stderr. Use it as a context; the clock stops at its end."""

    def __init__(self, say: Callable[[str], None], *, quiet: bool = False) -> None:
        self._say = say
        self._on_screen = not quiet and sys.stderr.isatty()
        self._begun = time.monotonic()
        self._clock: Clock | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    def say(self, text: str) -> None:
        """Tell one event, with the seconds since the command began once there are some."""
        self._stop()
        elapsed = time.monotonic() - self._begun
        self._say(f"[{elapsed:4.0f} s] {text}" if elapsed >= _PATIENCE else text)
        if self._on_screen and text.startswith(AWAITED):
            self._start(text)

    def _start(self, text: str) -> None:
        from rich.console import Console  # noqa: PLC0415  only a screen is worth its price
        from rich.progress import Progress as Clock  # noqa: PLC0415
        from rich.progress import SpinnerColumn, TextColumn, TimeElapsedColumn  # noqa: PLC0415

        columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn())
        self._clock = Clock(
            *columns, console=Console(stderr=True), transient=True, redirect_stdout=False, refresh_per_second=4
        )
        self._clock.add_task(text, total=None)
        self._clock.start()

    def _stop(self) -> None:
        if self._clock is not None:
            self._clock.stop()
            self._clock = None
