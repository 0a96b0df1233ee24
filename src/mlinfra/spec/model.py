"""A named entry of the registry, with the inputs that its versions accept."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from mlinfra.spec.base import Check, Model
from mlinfra.spec.findings import Finding, wrong
from mlinfra.spec.scalars import Plain, Text, scalar
from mlinfra.spec.spec import Spec

ColumnName = Annotated[str, Text(r"[^\x00-\x1f\x7f]{1,128}", "1 to 128 printable characters", "column name")]


def _number(value: object) -> int | float:
    number = scalar(value)
    if isinstance(number, (str, bool)):
        raise wrong("not a number", allowed="a number such as 18 or 0.5", todo="write it in digits, without quotes")
    return number


def _category(value: object) -> str | int | bool:
    category = scalar(value)
    if isinstance(category, float):
        raise wrong("a fraction as a category", allowed="texts, whole numbers, true, false", todo="use type: number")
    return category


def _bounds(column: "Column") -> Iterator[Finding]:
    for name in ("min", "max"):
        bound = getattr(column, name)
        if bound is None:
            continue
        if column.type not in {"integer", "number"}:
            todo = f"remove it, or change type from {column.type}"
            yield Finding((name,), "bounds are for numbers", "type integer or number", todo, at_key=True)
        elif column.type == "integer" and isinstance(bound, float):
            yield Finding(
                (name,), "not a whole number", "a whole number", "write it without decimals", bound, has_value=True
            )
    if column.min is not None and column.max is not None and column.min > column.max:
        allowed = f"{column.min} or more"
        yield Finding(("max",), "below min", allowed, "exchange min and max", column.max, has_value=True)


def _values(column: "Column") -> Iterator[Finding]:
    if column.type == "category" and not column.values:
        todo = "add `values: [a, b]`, or use type: string"
        yield Finding(("values",), "missing for a category", "at least one value", todo)
    if column.type != "category" and column.values:
        todo = f"remove it, or change type from {column.type}"
        yield Finding(("values",), "a list of values is for categories", "type: category", todo, at_key=True)
    seen = set()
    for index, value in enumerate(column.values):
        if (type(value), value) in seen:
            yield Finding(("values", index), "listed twice", "each value once", "remove it", value, has_value=True)
        seen.add((type(value), value))


_BOUND = Plain(_number, "a number", {"type": "number"})
_CATEGORY = Plain(_category, "text, a whole number, true or false", {"type": ["string", "integer", "boolean"]})


class Column(Model):
    """What one input column may hold. What it may not hold is rejected before the model sees it."""

    CHECKS: ClassVar[tuple[Check, ...]] = (
        Check(("type", "min", "max"), _bounds),
        Check(("type", "values"), _values),
    )

    type: Literal["integer", "number", "string", "boolean", "category"] = Field(
        description="Integers are accepted where numbers are declared; the other way round only exact ones."
    )
    min: Annotated[int | float, _BOUND] | None = Field(default=None, description="The least accepted number.")
    max: Annotated[int | float, _BOUND] | None = Field(default=None, description="The greatest accepted number.")
    values: Annotated[tuple[Annotated[str | int | bool, _CATEGORY], ...], Field(strict=False)] = Field(
        default=(), description="The categories, all of them."
    )
    required: bool = Field(default=True, description="Whether the column must be there. A missing one reads as null.")
    nullable: bool = Field(default=False, description="Whether null is accepted.")


class InputSchema(Model):
    """The columns of a model's input, in the order in which arrays hold them."""

    inputs: Annotated[Mapping[ColumnName, Column], Field(min_length=1)] = Field(
        description="The columns by name, in order."
    )


class ModelSpec(Spec):
    """A named entry of the registry."""

    kind: ClassVar[str] = "model"

    schema_: InputSchema | None = Field(
        default=None,
        alias="schema",
        description="What requests may hold. Without it the types of the training example hold, and no range rejects.",
    )

    def schema_document(self) -> dict[str, Any] | None:
        """The canonical JSON form of the declared schema, as model packages carry it."""
        return self.schema_.as_document() if self.schema_ else None
