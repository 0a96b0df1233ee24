"""JSON Merge Patch (RFC 7396), with one addition: a map with integer keys patches the elements of a list."""

import re
from collections.abc import Mapping
from typing import Any

from mlinfra.errors import SpecError


def merge(body: Any, patch: Any) -> Any:
    """`body` with `patch` applied; neither is changed.

    null removes, lists replace. Where the body has a list and every key of the patch is an index, the elements
    named are patched, null removes them, and the index after the last appends.
    """
    if not isinstance(patch, Mapping):
        return patch
    if isinstance(body, (list, tuple)) and patch and all(_is_index(key) for key in patch):
        return _merge_list(list(body), patch)
    merged = dict(body) if isinstance(body, Mapping) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = merge(merged.get(key), value)
    return merged


def _is_index(key: Any) -> bool:
    return re.fullmatch(r"[0-9]{1,6}", str(key)) is not None


def _merge_list(body: list[Any], patch: Mapping[Any, Any]) -> list[Any]:
    removed = set()
    for index, value in sorted((int(key), value) for key, value in patch.items()):
        if index > len(body) or (index == len(body) and value is None):
            allowed = f"0 to {len(body)}"
            raise SpecError("no such element in the list", given=index, allowed=allowed, todo="correct the index")
        if value is None:
            removed.add(index)
        elif index == len(body):
            body.append(merge(None, value))
        else:
            body[index] = merge(body[index], value)
    return [value for index, value in enumerate(body) if index not in removed]
