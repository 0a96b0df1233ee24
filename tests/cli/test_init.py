"""`mlinfra init` writes a project that holds together, and never over another."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlinfra.cli import init

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_the_starter_is_valid(mlinfra, project: Path):
    assert mlinfra("init", "mine").code == 0
    assert sorted(path.name for path in (project / "mine").iterdir()) == sorted(init.STARTER)
    checked = mlinfra("spec", "check", "mine/mlinfra.yaml", "-o", "json")
    assert checked.document["specs"] == [
        {"kind": "job", "name": "tumour-train"},
        {"kind": "endpoint", "name": "tumour"},
    ]
    assert checked.document["warnings"] == []
    compile((project / "mine" / "train.py").read_text(), "train.py", "exec")


def test_nothing_is_overwritten(mlinfra, project: Path):
    (project / "train.py").write_text("mine")
    shown = mlinfra("init")
    assert shown.code == 5
    assert (project / "train.py").read_text() == "mine"
    assert not (project / "mlinfra.yaml").exists()


def test_a_disk_that_fills_up_leaves_nothing_half_done(mlinfra, project: Path, monkeypatch: pytest.MonkeyPatch):
    real = init.new_file
    written: list[Path] = []

    def until_full(path: Path):
        if len(written) == 2:
            raise OSError(28, "No space left on device", str(path))
        written.append(path)
        return real(path)

    monkeypatch.setattr(init, "new_file", until_full)
    assert mlinfra("init", "mine").code == 75
    assert list((project / "mine").iterdir()) == []
