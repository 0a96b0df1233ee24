"""The open registry of kinds: a kind's model is imported when a document of that kind is met."""

from importlib import import_module
from typing import Final

from mlinfra.spec.spec import Spec

_KINDS: Final[dict[str, str]] = {
    "job": "mlinfra.spec.job:JobSpec",
    "model": "mlinfra.spec.model:ModelSpec",
    "endpoint": "mlinfra.spec.endpoint:EndpointSpec",
}


def known_kinds() -> tuple[str, ...]:
    """The known kinds in the order of their registration."""
    return tuple(_KINDS)


def add_kind(kind: str, model: str) -> None:
    """Make a kind known by the address `module:Class` of its model. ValueError where the kind is another's."""
    if _KINDS.setdefault(kind, model) != model:
        message = f"kind {kind} is already {_KINDS[kind]}"
        raise ValueError(message)


def model_of(kind: str) -> type[Spec]:
    """The model of a known kind; KeyError for others."""
    module, _, name = _KINDS[kind].partition(":")
    model: type[Spec] = getattr(import_module(module), name)
    return model
