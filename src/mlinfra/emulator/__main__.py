"""One emulator's process: `python -m mlinfra.emulator FOLDER`, started by `mlinfra.emulator.manage`."""

from __future__ import annotations

import json
import logging
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from mlinfra.emulator import manage
from mlinfra.emulator.platforms import load
from mlinfra.emulator.settings import Settings

if TYPE_CHECKING:
    from types import FrameType


def main(folder: Path) -> None:
    """Run the emulator that the folder's request describes until it is told to stop."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    request = json.loads((folder / manage.REQUEST).read_text())
    with manage.holding(folder):
        emulator = load(request["platform"])(folder / manage.RUN, Settings.model_validate(request["settings"]))

        def asked(_number: int, _frame: FrameType | None) -> None:
            emulator.asked_to_stop.set()

        signal.signal(signal.SIGTERM, asked)
        signal.signal(signal.SIGINT, asked)
        with emulator:
            manage.announce(folder, emulator.platform, emulator.url, emulator.token)
            emulator.asked_to_stop.wait()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
