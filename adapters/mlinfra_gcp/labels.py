"""Labels: what the kit knows its resources by, and what users tag them with.

Keys and values hold at most 63 lower-case letters, digits, `_` and `-`, a key begins with a letter, and a resource
takes 64 of them (Google's documentation of labels). The spec's tags keep that; an environment's may be of any case.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from mlinfra.contract.jobs import ATTEMPT_TAG, ID_TAG

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlinfra.environment import Environment

ENVIRONMENT = "mlinfra_environment"  # its suffix: a project may hold several environments
ID, ATTEMPT = ID_TAG, ATTEMPT_TAG
_LONGEST = 63
_UNFIT = re.compile(r"[^a-z0-9_-]")
_OWN = "mlinfra_"


def labels(environment: Environment, tags: Mapping[str, str], **own: str) -> dict[str, str]:
    """The user's tags as labels, and the kit's own marks."""
    return {**fitting(tags), ENVIRONMENT: environment.suffix, **own}


def fitting(tags: Mapping[str, str]) -> dict[str, str]:
    """Tags of any case as Google takes them; what it could not carry becomes `_`."""
    return {_key(key): _fit(value) for key, value in tags.items()}


def others(found: Mapping[str, str]) -> dict[str, str]:
    """The labels that are not the kit's own."""
    return {key: value for key, value in found.items() if not key.startswith(_OWN)}


def selects(marks: Mapping[str, str]) -> str:
    """A list's filter for all these labels (`labels.key=value`, the API's description of its lists)."""
    return " AND ".join(f"labels.{key}={value}" for key, value in marks.items())


def _key(text: str) -> str:
    fit = _fit(text)
    return fit if fit[:1].isalpha() else _fit(f"x{fit}")


def _fit(text: str) -> str:
    return _UNFIT.sub("_", text.lower())[:_LONGEST]
