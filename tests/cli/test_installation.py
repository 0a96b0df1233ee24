"""The other tool of the same name."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "site-packages" / "mlinfra-0.0.9.dist-info"
    folder.mkdir(parents=True)
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: mlinfra\nVersion: 0.0.9\n")
    monkeypatch.syspath_prepend(str(folder.parent))


@pytest.mark.usefixtures("other")
def test_beside_it_no_command_runs(mlinfra, project: Path):
    shown = mlinfra("env", "list")
    assert (shown.code, shown.out) == (2, "")
    assert "given: mlinfra 0.0.9" in shown.err
    assert "pip uninstall mlinfra mlinfra-kit" in shown.err


@pytest.mark.usefixtures("other")
def test_help_is_shown_all_the_same(mlinfra, project: Path):
    assert mlinfra("--help").code == 0
    assert mlinfra("env", "list", "--help").code == 0
