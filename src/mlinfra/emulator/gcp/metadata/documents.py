"""The tree of `computeMetadata/v1/`: paths lead to texts, or to folders that tell what is below them.

By the vendor's documentation of the metadata server ("Predefined metadata keys").
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

Leaf = "str | Callable[[Mapping[str, str]], str]"  # a text, or what makes it of the request's query
Tree = dict[str, Any]  # name -> a leaf or another tree


def find(tree: Tree, path: str) -> Any:
    """What a path leads to, None where it leads nowhere. A folder's path ends with a slash."""
    found: Any = tree
    for part in filter(None, path.split("/")):
        if not isinstance(found, dict) or part not in found:
            return None
        found = found[part]
    return found


def listed(tree: Tree) -> str:
    """A folder as the server lists it: a name a line, folders with a slash behind them."""
    return "".join(f"{name}/\n" if isinstance(below, dict) else f"{name}\n" for name, below in sorted(tree.items()))


def recursive(tree: Tree, query: Mapping[str, str]) -> str:
    """A folder and all below it as JSON, with names in lowerCamelCase; tokens are left out."""
    return json.dumps(_document(tree, query))


def _document(tree: Any, query: Mapping[str, str]) -> Any:
    if isinstance(tree, dict):
        shown = {name: below for name, below in tree.items() if name not in {"token", "identity"}}
        return {_camel(name): _document(below, query) for name, below in shown.items()}
    text = tree(query) if callable(tree) else tree
    return text.splitlines() if "\n" in text else text


def _camel(name: str) -> str:
    first, *rest = name.split("-")
    return first + "".join(part.capitalize() for part in rest)
