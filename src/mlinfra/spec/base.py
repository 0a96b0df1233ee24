"""What all parts of a spec share: closed and frozen, every problem at once, one canonical document."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, ClassVar, Final, NamedTuple, Self

from pydantic import BaseModel, ConfigDict, ValidationError, ValidationInfo, model_validator

from mlinfra.errors import SpecError
from mlinfra.spec.findings import Finding, raise_together
from mlinfra.spec.limits import MAX_PROBLEMS
from mlinfra.spec.notation import Notation
from mlinfra.spec.problems import problem, spec_error
from mlinfra.spec.words import findings_in

# Not written out in the config, where pydantic's mypy plugin would see it: callers may give what a file may hold,
# `command=["python"]`, `model="name@alias"`, and a constructor typed by the fields would refuse that.
_STRICT: Final = True
UNCHECKED: Final = object()  # the context of a validation that leaves the checks to its caller


class Check(NamedTuple):
    """A rule over several fields. It runs only where all of them are valid by themselves."""

    needs: tuple[str, ...]  # the fields as a file names them
    find: Callable[[Any], Iterable[Finding]]


class Model(BaseModel):
    """A closed, frozen part of a spec. A wrong value raises SpecError with every problem.

    Mappings and lists are read-only by their types. `model_validate` raises pydantic's own error.
    """

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=_STRICT,  # type: ignore[pydantic-config]  # the plugin cannot see through the name, as intended
        allow_inf_nan=False,
        defer_build=True,  # planning a job never builds the validators of an endpoint
        hide_input_in_errors=True,
    )
    CHECKS: ClassVar[tuple[Check, ...]] = ()

    def __init__(self, /, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise self._refusal(self._explain(values, error)) from None

    # Pydantic's mark of a plain constructor: without it each nested model would be built, and fail, by itself.
    __init__.__pydantic_base_init__ = True  # type: ignore[attr-defined]  # an attribute of a function

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Self:
        """The spec that a canonical document describes; SpecError with every problem."""
        built, findings = cls.attempt(document)
        if built is None:
            raise cls._refusal(findings)
        return built

    @classmethod
    def attempt(cls, document: Mapping[str, Any]) -> tuple[Self | None, list[Finding]]:
        """The spec, or everything that is wrong with the document."""
        try:
            return cls.model_validate(document), []
        except ValidationError as error:
            return None, cls._explain(document, error)

    def as_document(self) -> dict[str, Any]:
        """What JSON can carry, in the order of the models, without what equals its default.

        Stable: a field that the kit learns later leaves today's documents, and their digests, as they are.
        """
        written = {}
        for name, info in type(self).model_fields.items():
            value = getattr(self, name)
            if value != info.get_default(call_default_factory=True, validated_data={}):
                written[info.alias or name] = plain(value)
        return written

    @classmethod
    def _explain(cls, _document: Mapping[str, Any], error: ValidationError) -> list[Finding]:
        return findings_in(cls, error)

    @classmethod
    def _refusal(cls, findings: Iterable[Finding]) -> SpecError:
        return spec_error(cls.__name__, map(problem, findings))

    def check_findings(self) -> Iterator[Finding]:
        """What the checks have to say, each with the fields that it looked at."""
        for check in self.CHECKS:
            for finding in check.find(self):
                yield finding._replace(needs=finding.needs | frozenset(check.needs))

    @model_validator(mode="after")
    def _checked(self, info: ValidationInfo) -> Self:
        if info.context is not UNCHECKED:
            raise_together(type(self).__name__, islice(self.check_findings(), MAX_PROBLEMS + 1))
        return self


def plain(value: Any) -> Any:
    """A field's value as JSON can carry it."""
    if isinstance(value, Model):
        return value.as_document()
    if isinstance(value, Notation):
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return str(value) if isinstance(value, str) else value  # a plain str, whatever marked text came in
