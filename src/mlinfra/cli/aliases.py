"""Names that people's fingers know from other tools: they work and no help shows them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Container

ALIASES: dict[str, tuple[str, ...]] = {
    "get": ("show",),
    "describe": ("show",),
    "ls": ("list",),
    "rm": ("delete", "remove"),
    "cancel": ("stop",),
    "create": ("submit", "deploy", "register", "add"),
}


def meant(name: str, known: Container[str]) -> str:
    """The command that a name stands for among those that a group has; the name itself where it is none."""
    if name in known:
        return name
    return next((target for target in ALIASES.get(name, ()) if target in known), name)
