"""What goes into a job and what comes out of it."""

from collections.abc import Iterator
from datetime import datetime
from typing import Annotated, Any, ClassVar, Final, Literal

from pydantic import Field, GetJsonSchemaHandler, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from mlinfra.spec.addresses import Address, scheme
from mlinfra.spec.base import Check, Model
from mlinfra.spec.findings import Finding, wrong
from mlinfra.spec.scalars import Plain

_INSTANT: Final = "a date and time with its zone, such as 2026-01-31T00:00:00Z"


def _instant(value: object) -> str:
    try:
        if isinstance(value, str) and datetime.fromisoformat(value).tzinfo:
            return value
    except ValueError:
        pass
    raise wrong("not an instant", allowed=_INSTANT, todo="write date, T, time and Z")


def _one_pin(data: "Input") -> Iterator[Finding]:
    pins = [name for name in ("version", "at") if getattr(data, name) is not None]
    if len(pins) > 1:
        yield Finding(
            ("at",), "two ways to say which state is meant", "version or at", "remove one of them", at_key=True
        )
    if pins and data.is_local:
        todo = "remove it; a local path is pinned by its content"
        yield Finding((pins[0],), "does not apply to a path", "addresses with a scheme", todo, at_key=True)


class Input(Model):
    """Data that a job reads. A text is short for `{uri: text}`."""

    CHECKS: ClassVar[tuple[Check, ...]] = (Check(("uri", "version", "at"), _one_pin),)

    uri: Address = Field(
        description=(
            "A file or folder beside the spec file, or an address: store:// (the environment's own store), s3://, "
            "gs://, azureml://, and whatever else the platform reads."
        )
    )
    version: str | None = Field(
        default=None,
        min_length=1,
        description="The version, generation or etag that is meant. Without it the state at submission is pinned.",
    )
    at: Annotated[str, Plain(_instant, _INSTANT, {"type": "string", "format": "date-time"})] | None = Field(
        default=None, description="The instant whose state is meant, for stores that keep their history."
    )

    @property
    def is_local(self) -> bool:
        """Whether the kit has to bring the data to the platform."""
        return not scheme(self.uri)

    @model_validator(mode="before")
    @classmethod
    def _expand(cls, value: Any) -> Any:
        return {"uri": value} if isinstance(value, str) else value

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"anyOf": [{"type": "string"}, handler(schema)]}


class Output(Model):
    """A folder that a job writes and the kit keeps, with a digest."""

    type: Literal["folder", "model"] = Field(
        default="folder", description="model: a model package, which can be registered. folder: anything else."
    )


class Metric(Model):
    """A number that a job reports with `mlinfra.log_metric`."""

    goal: Literal["max", "min"] | None = Field(
        default=None, description="Which way is better, for sweeps and comparisons."
    )
