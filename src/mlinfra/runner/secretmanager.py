"""Google's Secret Manager by its JSON API: the job's own identity, no library."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING

from mlinfra.runner import gcs, web
from mlinfra.runner.problem import DAMAGED, RunnerError

if TYPE_CHECKING:
    from collections.abc import Mapping


def secret(name: str, place: str, _variables: Mapping[str, str]) -> str:
    """The text of the secret version whose `:access` address is `place`.

    Raises RunnerError naming the secret and what the service said, never a value.
    """
    try:
        answer = web.send("GET", place, headers=gcs.identity())
    except RunnerError as problem:
        raise RunnerError(f"secret {name} cannot be read: {problem}", problem.exit_code) from problem
    try:
        return base64.b64decode(json.loads(answer)["payload"]["data"]).decode()
    except (ValueError, KeyError, TypeError) as exc:
        raise RunnerError(f"secret {name}: Secret Manager answered with {type(exc).__name__}", DAMAGED) from exc
