"""Where things are inside the container: the platform's own folders, the runner's, and those that a result needs."""

from __future__ import annotations

import shutil
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = "MLINFRA_CONTAINER_ROOT"  # put before the platform's own absolute paths, where there is no container
WORK = "MLINFRA_WORK"
RESULT = "MLINFRA_RESULT"

_SAGEMAKER_FAILURE = "opt/ml/output/failure"
_RESULTS = ("result.json", "metrics.json", "metrics.jsonl", "failure")
_SCRATCH = ("code", "site", "inputs", "channels", "wheels")


class Places(NamedTuple):
    """The folders of one run."""

    root: Path  # stands for `/` in the platform's paths
    work: Path  # the runner's own
    result: Path
    model: Path  # where a model goes that no output of the job is named for
    data: Path  # likewise for anything else
    own_work: bool  # the runner made `work` itself

    def clean_up(self) -> None:
        """Remove what the runner laid out for the command in a folder of its own making; outputs and result stay."""
        if self.own_work:
            for name in _SCRATCH:
                shutil.rmtree(self.work / name, ignore_errors=True)


def find_places(variables: Mapping[str, str], platform: str, result: str | None, rank: int) -> Places:
    """The folders of a run; makes the work folder and an empty result.

    `result` is the manifest's wish. Machines other than the first keep their results in folders of their own.
    """
    root = Path(variables.get(ROOT) or "/")
    own_work = WORK not in variables
    work = Path(tempfile.mkdtemp(prefix="mlinfra-") if own_work else variables[WORK]).absolute()
    outputs = root / "opt/ml" if platform == "aws" else work / "outputs"  # what SageMaker itself takes away
    data = outputs / "output/data" if platform == "aws" else outputs / "data"
    default = data if platform == "aws" else outputs
    folder = Path(variables.get(RESULT) or result or default / ".mlinfra").absolute()
    own = f"node-{rank}"
    if rank and folder.name != own:  # a platform that starts each machine by itself has said it already
        folder /= own
    work.mkdir(parents=True, exist_ok=True)
    folder.mkdir(parents=True, exist_ok=True)
    for name in _RESULTS:
        with suppress(FileNotFoundError):
            (folder / name).unlink()
    return Places(root, work, folder, outputs / "model", data, own_work)


def failure_file(variables: Mapping[str, str]) -> Path | None:
    """The file whose text SageMaker shows as the reason of a failure; None elsewhere."""
    place = Path(variables.get(ROOT) or "/") / _SAGEMAKER_FAILURE
    return place if place.parent.is_dir() else None
