"""`${{inputs.x}}` and `${{outputs.x}}`: what stands for them when a job runs.

By the documentation of the command job's schema: an expression in the command, and nowhere else, becomes a path for
folders and files, the value for literals, the address itself for the mode `direct`; `$[[…]]` encloses what is left out
where an optional input is.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from mlinfra.emulator.azure.wire import refusals

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_EXPRESSION = re.compile(r"\$\{\{\s*(?P<path>[^{}]*?)\s*\}\}")
_OPTIONAL = re.compile(r"\$\[\[(?P<text>.*?)\]\]", re.DOTALL)
_KINDS = ("inputs", "outputs")


def check(text: str, known: Iterable[str], target: str) -> None:
    """Refuse expressions that name nothing. `known` are `inputs.x` and `outputs.x`.

    Raises:
        Refusal: an expression outside of `$[[…]]` that nothing stands for.
    """
    names = set(known)
    for match in _EXPRESSION.finditer(_OPTIONAL.sub("", text)):
        path = _plain(match["path"])
        if path not in names:
            kind = path.partition(".")[0]
            what = f"{kind[:-1]} '{path.partition('.')[2]}'" if kind in _KINDS else f"expression '{path}'"
            raise refusals.invalid(f"The {what} that {match[0]} refers to is not defined in the job.", target)


def substituted(text: str, values: Mapping[str, str]) -> str:
    """The text as it runs. Expressions that nothing stands for stay, but for optional parts, which go."""

    def optional(match: re.Match[str]) -> str:
        inner = match["text"]
        there = all(_plain(each["path"]) in values for each in _EXPRESSION.finditer(inner))
        return inner if there else ""

    def value(match: re.Match[str]) -> str:
        return values.get(_plain(match["path"]), match[0])

    return _EXPRESSION.sub(value, _OPTIONAL.sub(optional, text))


def _plain(path: str) -> str:
    """Without the `.path` that pipelines write."""
    return path.removesuffix(".path") if path.count(".") > 1 else path
