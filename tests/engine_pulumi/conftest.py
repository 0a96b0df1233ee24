"""A clone of the project with the real engine: a state, a home and an environment of its own, and no credentials."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mlinfra.engine import sync

ROOT = Path(__file__).parents[2]
PATIENCE = 600  # s for one command on a busy machine
STACK = "local-dev"


@dataclass(frozen=True)
class Done:
    """What a command did."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> dict[str, Any]:
        """The one JSON document on stdout."""
        found: dict[str, Any] = json.loads(self.out)
        return found


@dataclass(frozen=True)
class Clone:
    """A fresh clone. `variables` are its whole environment."""

    folder: Path
    variables: dict[str, str]

    @property
    def environment(self) -> Path:
        """The folder that the local stack makes."""
        return self.folder / ".mlinfra" / "stacks" / STACK

    @property
    def settings(self) -> Path:
        """The stack's configuration."""
        return self.folder / "stacks" / "config" / f"Pulumi.{STACK}.yaml"

    def configure(self, **values: object) -> None:
        """Write keys of the stack's configuration, as its user would by hand."""
        changed = tuple(f"  mlinfra:{key}:" for key in values)
        kept = [line for line in self.settings.read_text().splitlines() if not line.startswith(changed)]
        lines = [f"  mlinfra:{key}: {json.dumps(value)}" for key, value in values.items()]
        self.settings.write_text("\n".join([kept[0], *lines, *kept[1:]]) + "\n")

    def start(self, *command: str, **variables: str) -> subprocess.Popen[str]:
        """Start a program in the clone."""
        return subprocess.Popen(
            command,
            cwd=self.folder,
            env={**self.variables, **variables},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *command: str, **variables: str) -> Done:
        """Run a program to its end."""
        process = self.start(*command, **variables)
        try:
            out, err = process.communicate(timeout=PATIENCE)
        finally:
            process.kill()  # one that has ended is left alone
        return Done(process.returncode, out, err)

    def mlinfra(self, *arguments: str) -> Done:
        """Run the command line."""
        return self.run(sys.executable, "-m", "mlinfra.cli.main", *arguments)

    def pulumi(self, *arguments: str, code: int = 0) -> str:
        """Run the engine as its user would; returns what it says."""
        done = self.run("pulumi", "--non-interactive", *arguments)
        assert done.code == code, done.out + done.err
        return done.out

    def resources(self) -> list[str]:
        """The names in the stack's state, without the engine's own bookkeeping."""
        state = json.loads(self.pulumi("stack", "export", "--stack", STACK))["deployment"]
        assert not state.get("pending_operations")
        kinds = ("pulumi:pulumi:Stack", "pulumi:providers:")
        found = [each for each in state.get("resources") or [] if not each["type"].startswith(kinds)]
        return sorted(each["urn"].rpartition("::")[2] for each in found)


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    """A clone of the project, with what `make setup` and `make pulumi` bring up."""
    program = sync.program(ROOT)
    assert program is not None, "`make pulumi` brings the engine up"
    folder = tmp_path / "clone"
    folder.mkdir()
    shutil.copy(ROOT / "Pulumi.yaml", folder)
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "stacks", folder / "stacks", symlinks=True, ignore=ignored)
    (folder / ".venv").symlink_to(sys.prefix)
    (folder / "mlinfra.toml").write_text("")
    state = folder / ".mlinfra" / "pulumi"
    state.mkdir(parents=True)
    variables = {
        "PATH": os.pathsep.join((str(program.parent), *os.environ["PATH"].split(os.pathsep))),
        "HOME": str(tmp_path / "home"),
        "MLINFRA_HOME": str(tmp_path / "home" / "mlinfra"),
        "PULUMI_HOME": str(tmp_path / "home" / "pulumi"),
        "PULUMI_BACKEND_URL": f"file://{state}",
        "PULUMI_CONFIG_PASSPHRASE": "",
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
        "PYTHONWARNINGS": "error",
    }
    return Clone(folder, variables)


@pytest.fixture
def standing(clone: Clone) -> Clone:
    """A clone whose local stack stands, made by the plain engine."""
    clone.pulumi("stack", "init", STACK)
    clone.pulumi("up", "--yes", "--skip-preview", "--stack", STACK)
    return clone
