"""The plugin of dynamic resources, in which one create stands still: before it has an effect, or right after.

Run as `slow_plugin.py MARKER RESOURCE MOMENT …`. Writes its process id to the marker when it stands still.
"""

from __future__ import annotations

import os
import runpy
import sys
import time
from pathlib import Path
from typing import Any

from mlinfra.infra.local import compute, storage

AGES = 600  # s; somebody kills it long before


def stand_still(marker: Path) -> None:
    marker.write_text(str(os.getpid()))
    time.sleep(AGES)


def slow(provider: type[Any], wanted: str, moment: str, marker: Path) -> None:
    create = provider.create

    def slowly(self: Any, props: dict[str, Any]) -> Any:
        is_it = props.get("bucket", "folder") == wanted
        if is_it and moment == "before":
            stand_still(marker)
        made = create(self, props)
        if is_it and moment == "after":
            stand_still(marker)
        return made

    provider.create = slowly


if __name__ == "__main__":
    marker, wanted, moment, *rest = sys.argv[1:]
    for each in (compute.FolderProvider, storage.BucketProvider):
        slow(each, wanted, moment, Path(marker))
    sys.argv = ["pulumi.dynamic", *rest]
    runpy.run_module("pulumi.dynamic", run_name="__main__")
