"""Makes the place where stacks' states lie: a small stack on a state of this machine, which then moves into it.

The place holds its own state at last, so that it can be changed and taken away like any other stack. Killed anywhere,
the same command goes on: until the move is verified the state on this machine is the one that counts.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from pulumi import automation
from pulumi.automation.errors import CommandError

from mlinfra.errors import IntegrityError, SpecError
from mlinfra.infra.automation import failures, surroundings
from mlinfra.infra.automation.events import Told
from mlinfra.infra.automation.states import BACKEND, PASSPHRASE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from mlinfra.infra.automation.places import Place

PROJECT: Final = "mlinfra-state"  # of the stacks that hold states; their stack is named after the environment
BACKEND_OUTPUT: Final = "backend"
SECRETS_OUTPUT: Final = "secrets"
_KEEPERS: Final = "secrets_providers"  # the member of a state that says what keeps its secrets


@dataclass(frozen=True)
class Wanted:
    """What the programs of all clouds need to know."""

    name: str
    region: str
    account: str
    tags: Mapping[str, str]
    deletion_protection: bool


@dataclass(frozen=True)
class Made:
    """Where the state of an environment's stack lies from now on, and what keeps its secrets."""

    backend: str
    secrets: str


def wanted(place: Place) -> Wanted:
    """What the stack's configuration says that the place of its state needs.

    Raises:
        SpecError: region or account is missing.
    """
    config = place.settings.get("config") or {}
    told = {key: str(config.get(f"mlinfra:{key}") or "") for key in ("region", "account")}
    if missing := [f"mlinfra:{key}" for key, value in told.items() if not value]:
        raise SpecError(f"{place.file.name} does not say where", given=", ".join(missing), todo="write them there")
    tags = {str(key): str(value) for key, value in (config.get("mlinfra:tags") or {}).items()}
    mark = {"mlinfra_environment": place.stack, "mlinfra_stage": place.stage}
    return Wanted(place.stack, told["region"], told["account"], {**tags, **mark}, place.stage == "prod")


def bootstrap(name: str, program: Callable[[], None], folder: Path, cli: Path, say: Callable[[str], None]) -> Made:
    """Run the program, which exports `backend` and `secrets`, on a state in the folder; then move that state there.

    Safe to repeat, also after a kill.

    Raises:
        IntegrityError: what arrived is not what was sent; the state on this machine is kept.
        MlinfraError: the engine or a provider refuses.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    told = Told(say)
    here = {BACKEND: f"file://{folder}", PASSPHRASE: ""}
    try:
        stack = _open(name, program, here, cli, "passphrase")
        done = stack.up(on_event=told.hear, on_output=_nothing)
        made = Made(str(done.outputs[BACKEND_OUTPUT].value), str(done.outputs[SECRETS_OUTPUT].value))
        say(f"moving the state of {PROJECT}/{name} to {made.backend}")
        _move(name, program, stack.export_stack(), made, cli)
    except CommandError as exc:
        raise failures.of_run(name, told.errors, told.written, str(exc)) from exc
    shutil.rmtree(folder)
    return made


def _move(name: str, program: Callable[[], None], state: automation.Deployment, made: Made, cli: Path) -> None:
    """Take the state over; what a provider marks as secret in it (Google Cloud's: labels) is encrypted anew there."""
    there = _open(name, program, {BACKEND: made.backend}, cli, made.secrets)
    own = (there.export_stack().deployment or {}).get(_KEEPERS)
    content = {**(state.deployment or {}), _KEEPERS: own}
    there.import_stack(automation.Deployment(state.version, content))
    arrived = _urns(there.export_stack())
    if arrived != _urns(state):
        raise IntegrityError("the state did not arrive whole; the one on this machine is kept", given=made.backend)


def _urns(state: automation.Deployment) -> list[str]:
    return [str(each["urn"]) for each in (state.deployment or {}).get("resources") or []]


def _open(
    name: str, program: Callable[[], None], variables: Mapping[str, str], cli: Path, secrets: str
) -> automation.Stack:
    options = automation.LocalWorkspaceOptions(
        env_vars={**surroundings.python(), **variables, "PULUMI_SKIP_UPDATE_CHECK": "true"},
        secrets_provider=secrets or None,
        pulumi_command=surroundings.command(cli),
    )
    return automation.create_or_select_stack(name, project_name=PROJECT, program=program, opts=options)


def _nothing(_text: str) -> Any:
    """What the engine prints is told by its events."""
