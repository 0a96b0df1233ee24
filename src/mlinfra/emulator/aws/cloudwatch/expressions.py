"""Metric math: arithmetic over series of numbers, as alarms and GetMetricData take it.

Emulated are numbers, names of other queries, `+ - * / ^`, comparisons, and IF, FILL, SUM, AVG, MIN, MAX; everything
else of CloudWatch's metric math is refused by name.
"""

from __future__ import annotations

import ast
import operator
from statistics import fmean
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

Series = dict[float, float]  # the start of a period, in seconds since the epoch, -> value
Value = float | dict[float, float] | list[dict[float, float]]

_BINARY: dict[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.BitXor: operator.pow,
}
_COMPARED: dict[type[ast.cmpop], Callable[[float, float], bool]] = {
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}
_GATHERED: dict[str, Callable[[Sequence[float]], float]] = {"SUM": sum, "AVG": fmean, "MIN": min, "MAX": max}
_DEPTH = 50


class NotUnderstood(ValueError):
    """An expression that is wrong, or that uses what is not emulated; the text says which."""


def evaluate(expression: str, known: Mapping[str, Series], periods: Sequence[float]) -> Series:
    """The values of an expression over the periods that begin at those moments.

    A period for which a value is missing, or would be divided by zero, has no value, unless FILL gives it one.

    Raises:
        NotUnderstood: the expression is no arithmetic over known names.
    """
    try:
        tree = ast.parse(expression.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as exc:
        raise NotUnderstood(f"the expression {expression!r} cannot be read") from exc
    found = _Evaluation(known, periods).value(tree, 0)
    if isinstance(found, list):
        raise NotUnderstood(f"the expression {expression!r} gives several series, and one is needed")
    return dict.fromkeys(periods, found) if isinstance(found, float) else found


class _Evaluation:
    def __init__(self, known: Mapping[str, Series], periods: Sequence[float]) -> None:
        self._known = known
        self._periods = periods

    def value(self, node: ast.expr, depth: int) -> Value:
        if depth > _DEPTH:
            raise NotUnderstood("the expression is nested too deeply")
        found = self._operand(node)
        return self._operation(node, depth + 1) if found is None else found

    def _operand(self, node: ast.expr) -> Value | None:
        match node:
            case ast.Constant(value=int() | float() as number):
                return float(number)
            case ast.Name(id=name) if name in self._known:
                return self._known[name]
            case ast.Name(id=name):
                raise NotUnderstood(f"the expression names {name}, which no query has as its Id")
        return None

    def _operation(self, node: ast.expr, depth: int) -> Value:
        match node:
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return self._together(operator.mul, -1.0, self.value(operand, depth))
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _BINARY:
                return self._together(_BINARY[type(op)], self.value(left, depth), self.value(right, depth))
            case ast.Compare(left=left, ops=[compared], comparators=[right]) if type(compared) in _COMPARED:
                return self._together(_COMPARED[type(compared)], self.value(left, depth), self.value(right, depth))
            case ast.List(elts=elements):
                return [self._series(self.value(element, depth)) for element in elements]
            case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]):
                return self._call(name, [self.value(argument, depth) for argument in arguments])
        raise NotUnderstood(f"{ast.unparse(node)!r} is not emulated in a metric expression")

    def _call(self, name: str, arguments: list[Value]) -> Value:
        match name, arguments:
            case "FILL", [series, filler]:
                rest = self._series(filler)
                return {**rest, **self._series(series)}
            case "IF", [condition, *branches] if 1 <= len(branches) <= len(("then", "else")):
                return self._choose(self._series(condition), [self._series(branch) for branch in branches])
            case (("SUM" | "AVG" | "MIN" | "MAX"), [list(several)]):
                return self._gather(_GATHERED[name], several)
            case (("SUM" | "AVG" | "MIN" | "MAX"), [dict(series)]):
                return float(_GATHERED[name](list(series.values()))) if series else {}
        raise NotUnderstood(f"the function {name} with {len(arguments)} arguments is not emulated")

    def _choose(self, condition: Series, branches: list[Series]) -> Series:
        chosen = {at: branches[0 if met else 1] for at, met in condition.items() if met or len(branches) > 1}
        return {at: branch[at] for at, branch in chosen.items() if at in branch}

    def _gather(self, function: Callable[[Sequence[float]], float], several: list[Series]) -> Series:
        gathered = {at: [series[at] for series in several if at in series] for at in self._periods}
        return {at: float(function(values)) for at, values in gathered.items() if values}

    def _together(self, function: Callable[[float, float], float], left: Value, right: Value) -> Value:
        if isinstance(left, float) and isinstance(right, float):
            result = _apply(function, left, right)
            if result is None:
                raise NotUnderstood("the expression divides by zero")
            return result
        ours, theirs = self._series(left), self._series(right)
        results = {at: _apply(function, ours[at], theirs[at]) for at in ours if at in theirs}
        return {at: result for at, result in results.items() if result is not None}

    def _series(self, value: Value) -> Series:
        if isinstance(value, float):
            return dict.fromkeys(self._periods, value)
        if isinstance(value, list):
            raise NotUnderstood("an array stands where one series is needed")
        return value


def _apply(function: Callable[[float, float], float], left: float, right: float) -> float | None:
    """The result as a number; None where there is none."""
    try:
        return float(function(left, right))
    except (ZeroDivisionError, OverflowError, TypeError):  # a root of a negative number is complex
        return None
