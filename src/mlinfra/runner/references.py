"""Fills ${{inputs.x}}, ${{outputs.x}} and ${{params.x}} in when the job runs, so that a tuner may change a parameter.

Each element of the command stays one element whatever the value holds. In a shell line a reference becomes a variable
of the shell, so that a value is never read as shell code.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from mlinfra.runner.problem import WRONG, RunnerError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlinfra.runner.manifest import Scalar

_REFERENCE = re.compile(r"\$\{\{\s*(.*?)\s*\}\}", re.DOTALL)
_UNFIT = re.compile(r"[^A-Za-z0-9]+")
_PREFIXES = {"inputs": "MLINFRA_INPUT_", "outputs": "MLINFRA_OUTPUT_", "params": "MLINFRA_PARAM_"}


def resolve(command: tuple[str, ...], values: Mapping[str, str]) -> list[str]:
    """The command with every reference filled in. `values` maps `inputs.train` to its text.

    Raises RunnerError for a reference to nothing.
    """
    return [_REFERENCE.sub(lambda match: values[_known(match[1], values)], word) for word in command]


def resolve_shell(line: str, values: Mapping[str, str]) -> str:
    """A shell line in which every reference is the variable that holds its value."""

    def variable(match: re.Match[str]) -> str:
        kind, _, name = _known(match[1], values).partition(".")
        return f"${{{variable_name(kind, name)}}}"

    return _REFERENCE.sub(variable, line)


def variable_name(kind: str, name: str) -> str:
    """The environment variable that holds an input, output or parameter."""
    return _PREFIXES[kind] + upper(name)


def upper(name: str) -> str:
    """A name as environment variables are written."""
    return _UNFIT.sub("_", name).upper()


def text_of(value: Scalar) -> str:
    """A parameter's value as a command's argument: strings as they are, anything else as JSON writes it."""
    return value if isinstance(value, str) else json.dumps(value)


def _known(reference: str, values: Mapping[str, str]) -> str:
    if reference not in values:
        known = ", ".join(sorted(values)) or "nothing in this job"
        raise RunnerError(f"the command refers to ${{{{{reference}}}}}; it may refer to: {known}", WRONG)
    return reference
