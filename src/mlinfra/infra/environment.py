"""The one document that a stack exports: what `mlinfra.environment` describes, checked, plain, and without a secret."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pulumi
from pulumi import Output

from mlinfra.environment import parse
from mlinfra.errors import MlinfraError

if TYPE_CHECKING:
    from pulumi import Input

    from mlinfra.infra.configuration import Configuration

OUTPUT: Final = "environment"  # the name that `env sync` asks for
_DAY: Final = 86_400  # s


def export(configuration: Configuration, **fields: Input[Any]) -> Output[dict[str, Any]]:
    """Export the environment of a stack and return it. `fields` are those of the platform's model, outputs among them.

    What the configuration says for every platform is filled in; `fields` come over it. Empty values are left out.
    Where a field is unknown in a preview the whole document is.

    Raises, when the values are known and the program fails:
        RunError: a field is secret, or the document is no valid environment.
    """
    document = described(configuration, **fields)
    pulumi.export(OUTPUT, document)
    return document


def described(configuration: Configuration, **fields: Input[Any]) -> Output[dict[str, Any]]:
    """The environment's document as `export` exports it."""
    known = Output.from_input({**_shared(configuration), **fields})
    plain: Output[bool] = Output.from_input(_without_secrets(known))
    return Output.all(known, plain).apply(lambda both: _checked(both[0]))


def _shared(configuration: Configuration) -> dict[str, Any]:
    """The fields that every platform fills alike."""
    told = configuration.profile
    return {
        "name": configuration.name,
        "platform": configuration.platform,
        "stage": configuration.stage,
        "protected": told.protected,
        "emulated": configuration.emulated,
        "images": {name: {"uri": uri} for name, uri in configuration.images.items()},
        "tracking": configuration.tracking.model_dump(mode="json", exclude_defaults=True),
        "lifetimes": {"endpoint": told.endpoint_lifetime, "capture": told.capture_days * _DAY},
        "approval": list(configuration.approval),
        "python_index": configuration.python_index,
        "proxy": configuration.proxy,
        "ca_bundle": configuration.ca_bundle,
        "tags": configuration.tags,
    }


async def _without_secrets(output: Output[Any]) -> bool:
    """Fail the program where somebody put a secret into the environment; adapters need names of secrets alone."""
    if await output.is_secret():
        raise pulumi.RunError("the environment holds a secret; give the name of the secret in its vault instead")
    return True


def _checked(fields: dict[str, Any]) -> dict[str, Any]:
    given = {name: value for name, value in fields.items() if value not in (None, "", {}, [])}
    try:
        return parse(_whole_numbers(given), file=OUTPUT).as_document()
    except MlinfraError as exc:
        raise pulumi.RunError(str(exc)) from exc


def _whole_numbers(value: Any) -> Any:
    """The engine hands every number over as a float; in a document 8.0 is 8."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        return {key: _whole_numbers(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_whole_numbers(item) for item in value]
    return value
