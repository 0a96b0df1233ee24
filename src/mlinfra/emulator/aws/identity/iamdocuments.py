"""IAM's policy documents as statements of the one evaluator, and who may assume a role.

Source: the IAM reference of JSON policy elements. Variables inside documents (`${aws:username}`) are not replaced.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from mlinfra.emulator.patterns import matches
from mlinfra.emulator.policy import Statement

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_ROLES_ONLY = ("sts:assumerole", "sts:*", "*")


def parse(document: str | Mapping[str, Any]) -> dict[str, Any]:
    """A document from text, which may be percent-encoded. ValueError where it is not an object in JSON."""
    found = (
        document
        if not isinstance(document, str)
        else json.loads(unquote(document) if document[:1] == "%" else document)
    )
    if not isinstance(found, dict):
        raise ValueError("a policy document is an object")  # noqa: TRY004  one kind of error for a bad document
    return dict(found)


def statements(document: str | Mapping[str, Any], *, strict: bool = False) -> tuple[Statement, ...]:
    """What a document says.

    A condition that the evaluator does not know makes an allowance void and a denial unconditional; with `strict` it
    is a ValueError, as is a document that is none.
    """
    return tuple(filter(None, (_statement(raw, strict=strict) for raw in _raw(document))))


def trusts(document: str | Mapping[str, Any], kind: str, name: str) -> bool:
    """Whether a role's trust policy lets somebody assume it: `trusts(doc, "Service", "sagemaker.amazonaws.com")`.

    A denial outweighs. Conditions of trust policies are not looked at.
    """
    speaking = [raw for raw in _raw(document) if _assumes(raw) and _names(raw.get("Principal"), kind, name)]
    return any(raw["Effect"] == "Allow" for raw in speaking) and not any(raw["Effect"] == "Deny" for raw in speaking)


def _raw(document: str | Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    found = parse(document).get("Statement", [])
    yield from [found] if isinstance(found, dict) else found


def _statement(raw: Mapping[str, Any], *, strict: bool) -> Statement | None:
    effect = str(raw["Effect"]).lower()
    conditions = raw.get("Condition", {})
    try:
        return _built(raw, effect, conditions)
    except ValueError:
        if strict:
            raise
        return _built(raw, effect, {}) if effect == "deny" else None


def _built(raw: Mapping[str, Any], effect: str, conditions: Mapping[str, Any]) -> Statement:
    return Statement(
        effect=effect,  # type: ignore[arg-type]  # Statement looks at it
        actions=_many(raw.get("Action")),
        not_actions=_many(raw.get("NotAction")),
        resources=_many(raw.get("Resource", () if "NotResource" in raw else "*")),
        not_resources=_many(raw.get("NotResource")),
        conditions=conditions,
    )


def _assumes(raw: Mapping[str, Any]) -> bool:
    return any(action.lower() in _ROLES_ONLY for action in _many(raw.get("Action")))


def _names(principal: Any, kind: str, name: str) -> bool:
    if principal == "*":
        return True
    return isinstance(principal, dict) and any(matches(each, name) for each in _many(principal.get(kind)))


def _many(value: Any) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value or ())
