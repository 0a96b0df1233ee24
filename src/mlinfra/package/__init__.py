"""What is sent: code bundles, folders named by their content, locked requirements; and archives, opened with care.

Everything here is content-addressed under one cache folder: what has not changed is neither read nor packed again.
The names below are loaded on first use, so that a command which packs nothing pays nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlinfra.package.archive import Limits, extract, write_tar_gz
    from mlinfra.package.bundle import Bundle, build_bundle, listing
    from mlinfra.package.gitcode import fetch_code
    from mlinfra.package.interpreters import find_interpreter, make_environment
    from mlinfra.package.requirements import Lock, lock
    from mlinfra.package.tree import TreeDigest, tree_digest
    from mlinfra.package.wheels import fetch_wheels, wheels_key

__all__ = [
    "Bundle",
    "Limits",
    "Lock",
    "TreeDigest",
    "build_bundle",
    "extract",
    "fetch_code",
    "fetch_wheels",
    "find_interpreter",
    "listing",
    "lock",
    "make_environment",
    "tree_digest",
    "wheels_key",
    "write_tar_gz",
]

_HOMES = {
    "Bundle": "bundle",
    "Limits": "archive",
    "Lock": "requirements",
    "TreeDigest": "tree",
    "build_bundle": "bundle",
    "extract": "archive",
    "fetch_code": "gitcode",
    "fetch_wheels": "wheels",
    "find_interpreter": "interpreters",
    "listing": "bundle",
    "lock": "requirements",
    "make_environment": "interpreters",
    "tree_digest": "tree",
    "wheels_key": "wheels",
    "write_tar_gz": "archive",
}


def __getattr__(name: str) -> object:
    """Load the module that holds `name`."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
