"""Sealed models: the numbers of an estimator in a plain file, proved to give the same bits.

A sealed model starts without its library and without unpickling anything; what cannot be proved is not sealed, and the
estimator serves. Importing this package imports the standard library alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlinfra.modelkit.sealing.opened import Sealed, open_sealed

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["Sealed", "open_sealed", "seal"]


def seal(
    estimator: Any,
    method: str,
    probe_rows: Any,
    folder: str | Path,
    build: Callable[[Any], Any] | None = None,
) -> dict[str, Any]:
    """Seals a fitted estimator into `folder`; returns the manifest's `sealed`, or {"reason"} where it refuses.

    `method` is "predict" or "predict_proba"; `probe_rows` a few rows as the estimator was trained on (array, data
    frame or lists), or None. `build` turns rows (a 2-D float64 array, or lists of cells with None for missing ones)
    into what the estimator is called with when it serves itself; the proof compares with that. Without it: float64,
    an object array or a data frame, with NaN for missing cells. Writes atomically, and nothing where it refuses.
    Takes about a second; safe to repeat.
    """
    from mlinfra.modelkit.sealing.sealer import seal as run  # noqa: PLC0415  a server opens models and never seals

    return run(estimator, method, probe_rows, folder, build)
