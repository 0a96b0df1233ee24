"""The job as its request describes it: read from the environment, checked, made into objects.

The keys are those of the interface between the adapters and the runner. A key that is not known here is left alone:
the manifest may have been written by a newer kit.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from mlinfra.runner.problem import WRONG, RunnerError

if TYPE_CHECKING:
    from collections.abc import Mapping

    Scalar = str | int | float | bool | None

PARTS = "MLINFRA_MANIFEST_"  # and a number: variables have a length limit, so the text is cut
FILE = "MLINFRA_MANIFEST_FILE"

_VERSION = 1
_OUTPUT_TYPES = ("model", "folder")


class Input(NamedTuple):
    """Something the command reads: already there, or to be brought."""

    path: str | None
    uri: str | None
    digest: str | None  # "sha256:<hex>"
    token: str | None  # the name of the secret to show as a bearer token


class Output(NamedTuple):
    """Something the command writes: where, and where it goes afterwards."""

    type: str
    path: str | None
    uri: str | None


class Manifest(NamedTuple):
    """A job, as far as its container must know it."""

    run_id: str
    attempt: int
    environment: str
    platform: str
    command: tuple[str, ...]  # empty where `shell` is given
    shell: str | None
    inputs: dict[str, Input]
    outputs: dict[str, Output]
    params: dict[str, Scalar]
    secrets: dict[str, str]  # variable -> where its value is; never the value
    env: dict[str, str]
    tracking: dict[str, str]
    schemas: dict[str, Any]  # output -> declared schema of the model that it is to hold
    checkpoint: dict[str, str]  # path: the folder; uri: where the progress lies that the runner must bring and keep
    result: dict[str, str]  # path, uri: where the result files go, where the platform's place will not do
    nodes: int
    retries: int  # of the user's command


def read_manifest(variables: Mapping[str, str]) -> Manifest:
    """The manifest that these environment variables hold or name. Raises RunnerError for one that cannot be used."""
    return parse_manifest(_text(variables), variables)


def parse_manifest(text: str, variables: Mapping[str, str] | None = None) -> Manifest:
    """The manifest in a JSON text. `variables` hold the places that the platform alone knows.

    Raises RunnerError naming the key that is wrong.
    """
    try:
        document = json.loads(text)
    except ValueError as exc:
        raise RunnerError(f"the job's manifest is not valid JSON ({exc}); was a variable cut or lost?", WRONG) from exc
    if not isinstance(document, dict):
        raise RunnerError("the job's manifest is no JSON object", WRONG)
    take = _Taker(document)
    if take("version", int) != _VERSION:
        raise RunnerError(
            f"the job's manifest has version {document['version']}, this runner knows {_VERSION}; "
            "submit the job again with one version of mlinfra",
            WRONG,
        )
    return Manifest(
        run_id=take("run_id", str),
        attempt=take("attempt", int, 1),
        environment=take("environment", str, ""),
        platform=take("platform", str),
        command=_command(take),
        shell=take("shell", str, None),
        inputs={name: _input(part, variables or {}) for name, part in take.parts("inputs")},
        outputs={name: _output(part, variables or {}) for name, part in take.parts("outputs")},
        params=take("params", dict, {}),
        secrets=take.strings("secrets"),
        env=take.strings("env"),
        tracking=take.strings("tracking"),
        schemas=take("schemas", dict, {}),
        checkpoint=take.strings("checkpoint"),
        result=take.strings("result"),
        nodes=take("nodes", int, 1),
        retries=_Taker(take("user", dict, {}), "user.")("retries", int, 0),
    )


def _text(variables: Mapping[str, str]) -> str:
    parts: list[str] = []
    while f"{PARTS}{len(parts)}" in variables:
        parts.append(variables[f"{PARTS}{len(parts)}"])
    beyond = [name for name in variables if name.startswith(PARTS) and name[len(PARTS) :].isdigit()]
    if len(beyond) != len(parts):
        raise RunnerError(f"the job's manifest has a gap: there is no {PARTS}{len(parts)}", WRONG)
    if parts:
        return "".join(parts)
    if FILE not in variables:
        raise RunnerError(f"there is no manifest: neither {PARTS}0 nor {FILE} is set", WRONG)
    try:
        return Path(variables[FILE]).read_text(encoding="utf-8")
    except (OSError, ValueError) as exc:
        raise RunnerError(f"the manifest that {FILE} names cannot be read: {exc}", WRONG) from exc


class _Taker:
    """Takes values out of a JSON object, of the right type or not at all."""

    _required: Any = object()

    def __init__(self, document: dict[str, Any], where: str = "") -> None:
        self._document = document
        self.where = where

    def __call__(self, key: str, kind: type, default: Any = _required) -> Any:
        value = self._document.get(key)
        if value is None:
            if default is self._required:
                raise RunnerError(f"the job's manifest lacks `{self.where}{key}`", WRONG)
            return default
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise self.wrong(key, value, kind.__name__)
        return value

    def strings(self, key: str) -> dict[str, str]:
        """An object whose values are all strings."""
        found: dict[str, str] = self(key, dict, {})
        for name, value in found.items():
            if not isinstance(value, str):
                raise self.wrong(f"{key}.{name}", value, "str")
        return found

    def parts(self, key: str) -> list[tuple[str, _Taker]]:
        """An object whose values are objects, each ready to be taken from."""
        found: dict[str, Any] = self(key, dict, {})
        for name, value in found.items():
            if not isinstance(value, dict):
                raise self.wrong(f"{key}.{name}", value, "dict")
        return [(name, _Taker(value, f"{self.where}{key}.{name}.")) for name, value in found.items()]

    def wrong(self, key: str, value: Any, allowed: str) -> RunnerError:
        """The error for a value that is not `allowed`; the value itself might be a secret's."""
        given = type(value).__name__
        return RunnerError(f"the job's manifest: `{self.where}{key}` is of type {given}, allowed: {allowed}", WRONG)


def _command(take: _Taker) -> tuple[str, ...]:
    command = take("command", list, [])
    shell = take("shell", str, None)
    if bool(command) == bool(shell):
        raise RunnerError("the job's manifest must hold `command` or `shell`, and not both", WRONG)
    if not all(isinstance(word, str) for word in command):
        raise RunnerError("the job's manifest: `command` is a list of strings", WRONG)
    return tuple(command)


def _input(take: _Taker, variables: Mapping[str, str]) -> Input:
    found = Input(_path(take, variables), *(take(key, str, None) for key in ("uri", "digest", "token")))
    if (found.path is None) == (found.uri is None):
        raise RunnerError(f"the job's manifest: `{take.where[:-1]}` holds `path` or `uri`, and not both", WRONG)
    return found


def _output(take: _Taker, variables: Mapping[str, str]) -> Output:
    found = Output(take("type", str, "folder"), _path(take, variables), take("uri", str, None))
    if found.type not in _OUTPUT_TYPES:
        raise RunnerError(f"the job's manifest: `{take.where}type` is `{found.type}`, allowed: model, folder", WRONG)
    return found


def _path(take: _Taker, variables: Mapping[str, str]) -> str | None:
    """`path`, or what the variable named by `variable` holds."""
    name = take("variable", str, None)
    if name is None:
        path: str | None = take("path", str, None)
        return path
    if name not in variables:
        raise RunnerError(f"the job's manifest: `{take.where}variable`: the platform did not set {name}", WRONG)
    return variables[name]
