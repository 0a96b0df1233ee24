"""The one door to `mlinfra.modelkit.sealing`: seal when saved, open when loaded, and say why when neither works.

Sealing only ever adds speed. Whatever keeps it from working is a reason in the manifest, never a failed save or load.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from mlinfra.errors import MlinfraError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

_ROOM = "mlinfra.modelkit.sealing"


def seal(model: Any, method: str, probe: Any, folder: Path, build: Callable[[Any], Any]) -> dict[str, Any]:
    """Seal an estimator into the folder; the manifest's `sealed`: what was sealed, or `reason`.

    `build` brings rows into the form in which the estimator serves itself: the proof compares with that very form.
    """
    before = set(folder.iterdir())
    try:
        return dict(importlib.import_module(_ROOM).seal(model, method, probe, folder, build))
    except ImportError as exc:
        reason = f"sealing is not part of this installation ({exc})"
    except Exception as exc:  # noqa: BLE001  the user's trained model is kept whatever happens to its faster twin
        reason = f"sealing failed: {type(exc).__name__}: {exc}"
    for path in set(folder.iterdir()) - before:
        path.unlink()
    return {"reason": reason}


def missing_markers(model: Any, method: str) -> dict[str | int, Any] | None:
    """What a missing cell is for the estimator, NaN or None, by column name or position; None where nobody knows."""
    try:
        recipe = importlib.import_module(f"{_ROOM}.extract").extract(model, method)
    except Exception:  # noqa: BLE001  an estimator that cannot be taken apart, whatever it is that stands in the way
        return None
    return dict(zip(recipe.names or range(recipe.columns), recipe.markers()))


def open_sealed(folder: Path, document: Mapping[str, Any] | None) -> tuple[Any, str]:
    """The sealed predictor and no reason, or None and the reason why the model's own library serves."""
    if document is None:
        return None, "the package holds no sealed form"
    if "file" not in document:
        return None, str(document.get("reason", "the package holds no sealed form"))
    try:
        return importlib.import_module(_ROOM).open_sealed(folder, document), ""
    except (ImportError, MlinfraError, OSError, ValueError) as exc:
        return None, f"the sealed form cannot be used here: {exc}"
