"""Builds the compiled walk into the wheel, or beside the sources of an editable install.

Without a C compiler the wheel is pure: sealed models are then not served, and their estimators are.
"""

from __future__ import annotations

import importlib.util
import sys
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

if TYPE_CHECKING:
    from types import ModuleType

_BUILD = "src/mlinfra/modelkit/sealing/build.py"


class WalkHook(BuildHookInterface[Any]):
    """Runs once for each wheel."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compiles `walk.c` and, where that works, marks the wheel as one for this platform."""
        module = _load(Path(self.root) / _BUILD)
        try:
            module.build()
        except module.CannotBuild as exc:
            self.app.display_warning(f"the compiled walk is left out: {exc}")
            return
        if version == "editable":
            return
        build_data["pure_python"] = False
        build_data["tag"] = f"cp311-abi3-{_platform()}"
        build_data["force_include"][str(module.TARGET)] = "mlinfra/modelkit/sealing/_walk.abi3.so"


def _load(path: Path) -> ModuleType:
    """The build module alone: its package cannot be imported before it is installed."""
    spec = importlib.util.spec_from_file_location("walk_build", path)
    if spec is None or spec.loader is None:
        raise ImportError(str(path))
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def _platform() -> str:
    return sysconfig.get_platform().replace("-", "_").replace(".", "_")
