"""Names of buckets and objects: what may stand in a path below the host's folder, and nothing that leads out of it."""

from __future__ import annotations

import re

from mlinfra.errors import UsageError

_BUCKET = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_LONGEST_KEY, _LONGEST_PART = 1024, 255  # bytes


def check_bucket(name: str) -> str:
    """The name itself.

    Raises:
        UsageError: it is not a bucket's name.
    """
    if _BUCKET.fullmatch(name):
        return name
    raise UsageError(
        "not a bucket's name",
        given=name,
        allowed="1 to 63 of a-z, 0-9, '.', '_' and '-', beginning with a letter or digit",
    )


def check_key(key: str) -> str:
    """The key itself.

    Raises:
        UsageError: it is not an object's key; says why.
    """
    problem = _problem(key)
    if problem:
        raise UsageError(f"not an object's key: {problem}", given=key, allowed="parts separated by single '/'")
    return key


def _problem(key: str) -> str:
    """Why it is no key, empty where it is one."""
    try:
        length = len(key.encode())
    except UnicodeEncodeError:
        return "it is not text"
    parts = key.split("/")
    faults = {
        f"it has {length} bytes, 1 to {_LONGEST_KEY} are allowed": not 0 < length <= _LONGEST_KEY,
        "it is absolute": key.startswith("/"),
        "it holds control characters": bool(_CONTROL.search(key)),
        "a part is empty": not all(parts),
        "'.' and '..' are no parts of a key": bool({".", ".."} & set(parts)),
        f"a part is longer than {_LONGEST_PART} bytes": max(len(part.encode()) for part in parts) > _LONGEST_PART,
    }
    return next((fault for fault, found in faults.items() if found), "")
