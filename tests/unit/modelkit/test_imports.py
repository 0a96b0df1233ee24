"""modelkit imports with the standard library alone, and brings its libraries in only when they are asked for."""

from __future__ import annotations

import subprocess
import sys

import pytest

import mlinfra.modelkit as room

MODULES = [
    "schema",
    "check",
    "infer",
    "inputs",
    "manifest",
    "description",
    "mlmodel",
    "formats",
    "load",
    "save",
    "staging",
]


@pytest.mark.parametrize("name", MODULES)
def test_no_library_comes_with_the_import(name: str) -> None:
    code = (
        f"import sys; import mlinfra.modelkit.{name}; "
        "sys.exit(bool({'numpy', 'sklearn', 'joblib', 'pydantic', 'pandas', 'yaml'} & set(sys.modules)))"
    )

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_public_names_are_there() -> None:
    assert all(getattr(room, name) is not None for name in room.__all__)
    with pytest.raises(AttributeError):
        _ = room.no_such_name
