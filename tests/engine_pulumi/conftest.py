"""A clone of the project with the real engine: a state, a home and an environment of its own, and no credentials.

Stacks of clouds are attached to stand-in providers, and to an emulator where it takes what stacks make.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import pytest

from mlinfra.emulator.platforms import PROVISIONED, load
from mlinfra.emulator.providers import Providers
from mlinfra.emulator.providers.values import plain
from mlinfra.emulator.provisioning import Declared
from mlinfra.emulator.settings import Settings
from mlinfra.engine import sync
from mlinfra.errors import Conflict
from mlinfra.infra.automation import places, states, surroundings
from mlinfra.infra.automation.run import Engine

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from types import TracebackType

    from mlinfra.emulator.emulator import Emulator
    from mlinfra.emulator.providers.state import Kept
    from mlinfra.emulator.provisioning import Provisioner
    from mlinfra.infra.automation.run import Outcome

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
    """A fresh clone. `variables` are its whole environment; `stack` is the one that is worked on."""

    folder: Path
    variables: dict[str, str]
    stack: str = STACK

    @property
    def environment(self) -> Path:
        """The folder that the local stack makes."""
        return self.folder / ".mlinfra" / "stacks" / self.stack

    @property
    def settings(self) -> Path:
        """The stack's configuration."""
        return self.folder / "stacks" / "config" / f"Pulumi.{self.stack}.yaml"

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
        state = json.loads(self.pulumi("stack", "export", "--stack", self.stack))["deployment"]
        assert not state.get("pending_operations")
        kinds = ("pulumi:pulumi:Stack", "pulumi:providers:")
        found = [each for each in state.get("resources") or [] if not each["type"].startswith(kinds)]
        return sorted(each["urn"].rpartition("::")[2] for each in found)


_WARNINGS = "error,ignore::DeprecationWarning"  # importing the providers' packages warns of their own old names
PACKAGES = {"aws": "aws", "azure": "azure-native", "gcp": "gcp"}
TRUST = {"system": "github", "subjects": ["repo:acme/risk:environment:dev"]}
SHARED: Mapping[str, Any] = {"emulated": True, "notify": ["risk@acme.example"], "trusts": [TRUST]}
OWN: Mapping[str, Mapping[str, Any]] = {
    "aws": {
        "region": "eu-west-1",
        "account": "111122223333",
        "models": ["credit-risk"],
        "secrets": ["risk-db"],
        "watched": ["credit-risk"],
    },
    "azure": {
        "region": "westeurope",
        "account": "00000000-0000-4000-8000-000000000001",
        "tenant": "00000000-0000-4000-8000-000000000002",
        "endpoints": ["credit-risk"],
        "clusters": {"cpu": {"machine": "Standard_DS3_v2"}},
    },
    "gcp": {
        "region": "europe-west4",
        "account": "mlinfra-emulated",
        "endpoints": ["credit-risk"],
        "secrets": ["risk-db"],
        "billing_account": "012345-6789AB-CDEF01",
        "pools": {"cpu": {"machine": "n1-standard-4"}},
        "tensorboard": True,
    },
}


def values(platform: str, stage: str) -> dict[str, Any]:
    """The configuration of a cloud's stack."""
    return {"platform": platform, "stage": stage, **SHARED, **OWN[platform]}


@dataclass
class Site:
    """One stack, its engine, and the stand-in providers that it is attached to; an emulator where it takes them."""

    platform: str
    stage: str
    clone: Clone
    said: list[str] = field(default_factory=list)
    _open: ExitStack = field(default_factory=ExitStack)

    @property
    def stack(self) -> str:
        """The stack's name."""
        return f"{self.platform}-{self.stage}"

    def __enter__(self) -> Self:
        settings = Settings(delays_scale=0.0, quotas=False)
        folder = self.clone.folder.parent
        self.emulator: Emulator | None = None
        self.provisioner: Provisioner | None = None
        made_by: dict[str, Provisioner] = {}
        if self.platform in PROVISIONED:
            self.emulator = self._open.enter_context(load(self.platform)(folder / "emulator", settings))
            known = self.emulator.provisioner()
            assert known is not None
            made_by = dict([known])
            self.provisioner = known[1]
        self.package = PACKAGES[self.platform]
        self.providers = self._open.enter_context(Providers(folder / "providers", [self.package], made_by))
        told = {**self.clone.variables, **self.providers.variables(), "PYTHONWARNINGS": _WARNINGS}
        self.clone = replace(self.clone, stack=self.stack, variables=told)
        self.clone.settings.write_text("config:\n")
        self.clone.configure(**values(self.platform, self.stage))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()

    def engine(self) -> Engine:
        """The kit's own door to the engine, on the stack as it is configured now. Only `within` its surroundings."""
        program = sync.program(self.clone.folder)
        assert program is not None
        place = places.find(self.clone.folder, self.stack)
        opened = Engine(
            place, states.in_folder(self.clone.folder / ".mlinfra" / "pulumi", ""), program, self.said.append
        )
        opened.open(create=True)
        return opened

    def up(self, *, refresh: bool = False) -> Outcome:
        """Bring what is there to what the program says."""
        with surroundings.within(self.clone.variables):
            return self.engine().up(refresh=refresh)

    def settle(self) -> list[str]:
        """Settle what a kill left open; where the cloud made an id up, answer as somebody who looked for it."""
        with surroundings.within(self.clone.variables):
            engine = self.engine()
            try:
                return engine.settle({})
            except Conflict as exc:
                return engine.settle(self._looked_for(str(exc.given).split("; ")))

    def quiet(self, *, refresh: bool = False) -> None:
        """Nothing would change: by the program, or by what is really there as well."""
        more = ["--refresh"] if refresh else []
        self.clone.pulumi("preview", "--expect-no-changes", *more, "--stack", self.stack)

    def destroy(self) -> None:
        """Take everything away, what is protected as well."""
        self.clone.pulumi("state", "unprotect", "--all", "--yes", "--stack", self.stack)
        self.clone.pulumi("destroy", "--yes", "--skip-preview", "--stack", self.stack)

    def made(self, token: str, part: str = "") -> list[Kept]:
        """What exists of a type, `part` being in its id."""
        return [each for each in self.providers.state.all() if each.token == token and part in each.id]

    def orphans(self) -> set[tuple[str, str]]:
        """What exists and the engine's state does not know, or the other way round."""
        there = {(each.token, each.id) for each in self.providers.state.all()}
        return there ^ set(self._recorded())

    def left(self, before: list[Kept]) -> list[str]:
        """What of some resources the emulator still has, and what it says itself that is left over."""
        if self.emulator is None or self.provisioner is None:
            return []
        known = [each for each in before if self.provisioner.knows(each.token)]
        there = [each.id for each in known if self.provisioner.read(_declared(each)) is not None]
        return [*there, *self.emulator.leftovers()]

    def _recorded(self) -> Iterator[tuple[str, str]]:
        state = json.loads(self.clone.pulumi("stack", "export", "--stack", self.stack))["deployment"]
        assert not state.get("pending_operations")
        for each in state.get("resources") or []:
            if each["type"].startswith(f"{self.package}:"):
                yield each["type"], each["id"]

    def _looked_for(self, urns: list[str]) -> dict[str, str]:
        """The ids of what exists, no state knows of and was asked for with the same inputs; empty for none."""
        state = json.loads(self.clone.pulumi("stack", "export", "--stack", self.stack))["deployment"]
        asked = {each["resource"]["urn"]: each["resource"] for each in state["pending_operations"]}
        taken = {each.get("id") for each in state["resources"]}
        answers = {}
        for urn in urns:
            fitting = (
                each.id
                for each in self.made(asked[urn]["type"])
                if each.id not in taken and plain(each.inputs) == plain(asked[urn]["inputs"])
            )
            answers[urn] = next(fitting, "")
            taken.add(answers[urn])
        return answers


def _declared(kept: Kept) -> Declared:
    return Declared(kept.token, plain(kept.inputs), kept.id, kept.outputs)


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


@pytest.fixture
def configured() -> Callable[[str, str], dict[str, Any]]:
    """The configuration of a cloud's stack: `configured("aws", "dev")`."""
    return values


@pytest.fixture
def site(clone: Clone) -> Iterator[Callable[[str, str], Site]]:
    """A stack of a cloud in the clone: `site("aws", "dev")`."""
    with ExitStack() as opened:
        yield lambda platform, stage: opened.enter_context(Site(platform, stage, clone))
