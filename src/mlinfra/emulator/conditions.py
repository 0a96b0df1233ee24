"""Conditions of policy statements, as IAM's reference of condition operators defines them.

operator -> key -> value or values. All operators and keys must hold; any one value of a key suffices, or for the
negative operators none may be met. A key that the context lacks fails a positive operator and meets a negative one.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Any, NamedTuple

from mlinfra.emulator.patterns import matches

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_IF_EXISTS = "IfExists"
_ANY, _ALL = "ForAnyValue:", "ForAllValues:"
_NULL = "Null"


class _Operator(NamedTuple):
    test: Callable[[str, str], bool]  # (what the policy says, what the context says)
    negative: bool = False


def _number(compare: Callable[[float, float], bool]) -> Callable[[str, str], bool]:
    def test(wanted: str, given: str) -> bool:
        try:
            return compare(float(given), float(wanted))
        except ValueError:
            return False

    return test


def _address(wanted: str, given: str) -> bool:
    try:
        return ipaddress.ip_address(given) in ipaddress.ip_network(wanted, strict=False)
    except ValueError:
        return False


def _equals(wanted: str, given: str) -> bool:
    return wanted == given


def _equals_any_case(wanted: str, given: str) -> bool:
    return wanted.lower() == given.lower()


_OPERATORS: dict[str, _Operator] = {
    "StringEquals": _Operator(_equals),
    "StringNotEquals": _Operator(_equals, negative=True),
    "StringEqualsIgnoreCase": _Operator(_equals_any_case),
    "StringNotEqualsIgnoreCase": _Operator(_equals_any_case, negative=True),
    "StringLike": _Operator(matches),
    "StringNotLike": _Operator(matches, negative=True),
    "ArnEquals": _Operator(matches),
    "ArnLike": _Operator(matches),
    "ArnNotEquals": _Operator(matches, negative=True),
    "ArnNotLike": _Operator(matches, negative=True),
    "Bool": _Operator(_equals_any_case),
    "IpAddress": _Operator(_address),
    "NotIpAddress": _Operator(_address, negative=True),
    "NumericEquals": _Operator(_number(lambda given, wanted: given == wanted)),
    "NumericNotEquals": _Operator(_number(lambda given, wanted: given == wanted), negative=True),
    "NumericLessThan": _Operator(_number(lambda given, wanted: given < wanted)),
    "NumericLessThanEquals": _Operator(_number(lambda given, wanted: given <= wanted)),
    "NumericGreaterThan": _Operator(_number(lambda given, wanted: given > wanted)),
    "NumericGreaterThanEquals": _Operator(_number(lambda given, wanted: given >= wanted)),
}


def check(conditions: Mapping[str, Any]) -> None:
    """ValueError for an operator that is not known here: it would otherwise seem to hold, or never to."""
    known = {*_OPERATORS, _NULL}
    for operator in conditions:
        if _parted(operator)[1] not in known:
            raise ValueError(f"no such condition operator: {operator}; known: {', '.join(sorted(known))}")


def hold(conditions: Mapping[str, Any], context: Mapping[str, Any]) -> bool:
    """Whether all of them are met. Keys of the context are compared without their case."""
    known = {key.lower(): value for key, value in context.items()}
    return all(
        _holds(operator, _texts(wanted), known.get(key.lower()))
        for operator, keys in conditions.items()
        for key, wanted in keys.items()
    )


def _holds(operator: str, wanted: list[str], given: Any) -> bool:
    quantifier, name, optional = _parted(operator)
    if name == _NULL:
        return str(given is None).lower() in {text.lower() for text in wanted}
    test, negative = _OPERATORS[name]
    if given is None:
        return optional or quantifier == _ALL or (negative and quantifier != _ANY)
    met = [any(test(one, text) for one in wanted) != negative for text in _texts(given)]
    return any(met) if quantifier == _ANY else all(met)


def _parted(operator: str) -> tuple[str, str, bool]:
    """Quantifier, bare name, and whether a missing key is let pass."""
    quantifier = next((prefix for prefix in (_ANY, _ALL) if operator.startswith(prefix)), "")
    bare = operator.removeprefix(quantifier)
    return quantifier, bare.removesuffix(_IF_EXISTS), bare.endswith(_IF_EXISTS)


def _texts(value: Any) -> list[str]:
    many = value if isinstance(value, (list, tuple, set, frozenset)) else [value]
    return [str(one).lower() if isinstance(one, bool) else str(one) for one in many]
