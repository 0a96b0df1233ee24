"""Search: resources of one kind by their properties, tags included.

What is searched is what the Describe operation tells of each resource. Names, operators and nested filters follow the
description of `SearchExpression` and `Filter`.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from mlinfra.emulator.aws.operations import Operation, Request
from mlinfra.emulator.aws.paging import page
from mlinfra.emulator.aws.registry import packages
from mlinfra.emulator.aws.wire import refusals, shapes
from mlinfra.emulator.calls import Refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from mlinfra.emulator.aws.emulator import AwsEmulator

Record = dict[str, Any]
_MOST_CONTAINS = 1
_MOST_PARTS = 50


class _Kind(NamedTuple):
    """How resources of one kind are found: the part of their ARNs, and what describes one."""

    arn: str
    describe: str
    member: str  # of the request to it
    entity: str  # the shape that Search answers with


_KINDS = {
    "TrainingJob": _Kind("training-job", "DescribeTrainingJob", "TrainingJobName", "TrainingJob"),
    "Endpoint": _Kind("endpoint", "DescribeEndpoint", "EndpointName", "Endpoint"),
    "Model": _Kind("model", "DescribeModel", "ModelName", "ModelDashboardModel"),
    "ModelPackage": _Kind(packages.KIND, "DescribeModelPackage", "ModelPackageName", "ModelPackage"),
    "ModelPackageGroup": _Kind(
        "model-package-group", "DescribeModelPackageGroup", "ModelPackageGroupName", "ModelPackageGroup"
    ),
}


def _search(emulator: AwsEmulator, request: Request) -> dict[str, Any]:
    body = request.body
    resource = body["Resource"]
    if resource not in _KINDS:
        raise refusals.not_emulated(f"Search for {resource}")
    expression = body.get("SearchExpression", {})
    _check(expression)
    foreign = body.get("CrossAccountFilterOption") == "CrossAccount"
    records = [] if foreign else [each for each in _records(emulator, _KINDS[resource]) if _meets(each, expression)]
    path = body.get("SortBy", "LastModifiedTime").split(".")
    ordered = sorted(records, key=lambda each: _sortable(_first(each, path)))
    if body.get("SortOrder", "Descending") == "Descending":
        ordered.reverse()
    answer = page("Results", ordered, body)
    return {**answer, "Results": [{resource: _entity(_KINDS[resource], each)} for each in answer["Results"]]}


def _records(emulator: AwsEmulator, kind: _Kind) -> Iterator[Record]:
    """Everything of a kind, as it is described, with its tags."""
    describe = emulator.table[kind.describe]
    for arn, tags in emulator.tags.listed():
        prefix = emulator.arn(kind.arn, "")
        if not arn.startswith(prefix):
            continue
        name = arn if kind.arn == packages.KIND else arn.removeprefix(prefix)
        try:
            record = describe.handle(emulator, Request({kind.member: name}, ""))
        except Refusal:  # it is gone, and lists have not noticed yet
            continue
        yield {**record, "Tags": [{"Key": key, "Value": value} for key, value in tags.items()]}


def _entity(kind: _Kind, record: Record) -> Record:
    """A record as Search answers it; a model is wrapped as the dashboard has it."""
    shape = shapes.service("sagemaker").shape_for(kind.entity)
    if "Model" in shape.members:
        model = shape.members["Model"]
        return {"Model": {name: value for name, value in record.items() if name in model.members}}
    return {name: value for name, value in record.items() if name in shape.members}


# Expressions


def _check(expression: Mapping[str, Any]) -> None:
    filters = list(_filters(expression))
    if sum(each.get("Operator") == "Contains" for each in filters) > _MOST_CONTAINS:
        raise refusals.validation("'CONTAINS' operator usage limit of 1 exceeded.")
    if len(filters) > _MOST_PARTS:
        raise refusals.validation(f"A search expression has at most {_MOST_PARTS} filters.")


def _filters(expression: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield from expression.get("Filters", ())
    for nested in expression.get("NestedFilters", ()):
        yield from nested["Filters"]
    for sub in expression.get("SubExpressions", ()):
        yield from _filters(sub)


def _meets(record: Record, expression: Mapping[str, Any]) -> bool:
    met = [_holds(each, _values(record, each["Name"])) for each in expression.get("Filters", ())]
    met += [_nested(record, each) for each in expression.get("NestedFilters", ())]
    met += [_meets(record, each) for each in expression.get("SubExpressions", ())]
    return any(met) if met and expression.get("Operator") == "Or" else all(met)


def _nested(record: Record, nested: Mapping[str, Any]) -> bool:
    """Whether one element of a list meets all filters, whose names begin with the list's."""
    prefix = nested["NestedPropertyName"]
    elements = _values(record, prefix)
    return any(
        all(_holds(each, _values(element, each["Name"].removeprefix(f"{prefix}."))) for each in nested["Filters"])
        for element in elements
    )


def _values(record: Any, name: str) -> list[Any]:
    """What a property's path leads to: several values where lists lie on the way. Tags and metrics go by their keys."""
    first, _, rest = name.partition(".")
    if isinstance(record, list):
        return [value for each in record for value in _values(each, name)]
    if not isinstance(record, dict):
        return []
    if first == "Tags" and rest and "Tags" in record:
        return [tag["Value"] for tag in record["Tags"] if tag["Key"] == rest]
    if first == "Metrics" and rest:
        return [each["Value"] for each in record.get("FinalMetricDataList", ()) if each["MetricName"] == rest]
    if name in record:
        found = record[name]
        return list(found) if isinstance(found, list) else [found]
    return _values(record[first], rest) if first in record and rest else []


def _first(record: Record, path: list[str]) -> Any:
    return next(iter(_values(record, ".".join(path))), None)


def _holds(condition: Mapping[str, Any], values: list[Any]) -> bool:
    operator: str = condition.get("Operator", "Equals")
    wanted: str = condition.get("Value", "")
    if operator in {"Exists", "NotExists"}:
        return bool(values) is (operator == "Exists")
    if operator == "NotEquals":
        return all(not _equal(value, wanted) for value in values)
    tests: dict[str, Callable[[Any, str], bool]] = {
        "Equals": _equal,
        "In": lambda value, text: any(_equal(value, each.strip()) for each in text.split(",")),
        "Contains": lambda value, text: text in str(value),
        "GreaterThan": lambda value, text: _compare(value, text) > 0,
        "GreaterThanOrEqualTo": lambda value, text: _compare(value, text) >= 0,
        "LessThan": lambda value, text: _compare(value, text) < 0,
        "LessThanOrEqualTo": lambda value, text: _compare(value, text) <= 0,
    }
    return any(tests[operator](value, wanted) for value in values)


def _equal(value: Any, text: str) -> bool:
    if isinstance(value, bool):
        return str(value).lower() == text.lower()
    if isinstance(value, (int, float, datetime)):
        return _compare(value, text) == 0
    return bool(value == text)


def _compare(value: Any, text: str) -> float:
    """Below, at or above 0 as the value is below, at or above what the text says.

    Raises:
        Refusal: the operator does not go with the property's type, or the text is no such value.
    """
    try:
        if isinstance(value, datetime):
            moment = datetime.fromisoformat(text)
            return (value - (moment if moment.tzinfo else moment.replace(tzinfo=UTC))).total_seconds()
        return float(value) - float(text)
    except ValueError:
        raise refusals.validation(f"The value {text} cannot be compared with the property.") from None


def _sortable(value: Any) -> tuple[int, float, str]:
    if isinstance(value, datetime):
        return (1, value.timestamp(), "")
    if isinstance(value, (int, float)):
        return (1, float(value), "")
    return (0, 0.0, "") if value is None else (1, 0.0, str(value))


OPERATIONS = (
    Operation(
        "Search",
        _search,
        differences=(
            "resources searched: TrainingJob, Endpoint, Model, ModelPackage, ModelPackageGroup",
            "VisibilityConditions are ignored; nothing is shared by other accounts",
        ),
    ),
)
