"""`$(NAME)` in a container's command, arguments and variables, as Kubernetes expands it.

After the descriptions of `command`, `args` and `env` of ModelContainerSpec: what names no known variable stays as it
is, and `$$(NAME)` is not expanded.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_REFERENCE = re.compile(r"\$\$|\$\(([A-Za-z_.-][A-Za-z0-9_.-]*)\)")


def expanded(text: str, variables: Mapping[str, str]) -> str:
    """The text with known variables in their places."""

    def replacement(found: re.Match[str]) -> str:
        name = found[1]
        return "$" if name is None else variables.get(name, found[0])

    return _REFERENCE.sub(replacement, text)


def environment(own: Mapping[str, str], asked: Iterable[tuple[str, str]]) -> dict[str, str]:
    """The variables of a container: the platform's own, and those asked for, which may name earlier ones."""
    found = dict(own)
    for name, value in asked:
        found[name] = expanded(value, found)
    return found
