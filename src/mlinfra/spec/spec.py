"""What every kind of spec has: a name, tags, overlays per environment, overrides per platform."""

from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Annotated, Any, ClassVar, Final, Self

from pydantic import Field, ValidationError

from mlinfra.errors import SpecError
from mlinfra.spec.base import UNCHECKED, Check, Model
from mlinfra.spec.findings import Finding, Loc
from mlinfra.spec.limits import ENVIRONMENTS, MAX_PROBLEMS, TAGS
from mlinfra.spec.names import Glob, Name, Operation, Platform, TagKey, TagValue
from mlinfra.spec.overlay import body_for, overlay_findings
from mlinfra.spec.scalars import JsonObject, Plain, overlay_document

VERSION: Final = 1
_PLACEHOLDER: Final = "unnamed"  # stands for a wrong name while the rest is examined

Overlay = Annotated[Mapping[str, Any], Plain(overlay_document, "a part of the document", {"type": "object"})]


class Spec(Model):
    """One document of a spec file. Everything but the name has a default or is looked at by a check."""

    kind: ClassVar[str]
    CHECKS: ClassVar[tuple[Check, ...]] = (Check((), overlay_findings),)
    STAND_INS: ClassVar[Mapping[str, Any]] = {}  # for a faulty entry of a mapping, while the rest is examined

    name: Name = Field(description="The name in files and commands. Physical names are made from it.")
    tags: Mapping[TagKey, TagValue] = Field(
        default_factory=dict,
        max_length=TAGS,
        description="Put on every resource that takes tags, in the form that all platforms accept.",
    )
    environments: Mapping[Glob, Overlay] = Field(
        default_factory=dict,
        max_length=ENVIRONMENTS,
        description=(
            "What differs in the environments whose name fits the pattern (* and ?): a merge patch over this document, "
            "validated like it. null removes. Where several fit, the most specific is applied last."
        ),
    )
    overrides: Mapping[Platform, Mapping[Operation, JsonObject]] = Field(
        default_factory=dict,
        description=(
            "The last word on one platform's requests: platform, operation, then a merge patch in the vendor's own "
            "field names. A map with integer keys patches list elements. What the kit sets itself is refused."
        ),
    )

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Self:
        """As every model, from a document with or without its `version` and `kind`."""
        for key, expected in (("version", VERSION), ("kind", cls.kind)):
            if document.get(key, expected) != expected:
                todo = "choose the model of that kind"
                raise SpecError(f"another {key}", given=document[key], allowed=str(expected), todo=todo)
        return super().from_document({key: value for key, value in document.items() if key not in {"version", "kind"}})

    def as_document(self) -> dict[str, Any]:
        """The canonical document: `version`, `kind` and the body."""
        return {"version": VERSION, "kind": self.kind, **self.body()}

    def body(self) -> dict[str, Any]:
        """The canonical document without `version` and `kind`."""
        return super().as_document()

    def for_environment(self, environment: str, platform: str) -> Self:
        """The spec as it holds there: overlays applied and gone, only this platform's `machine` and `overrides`.

        SpecError where two overlays, each valid, do not go together.
        """
        return type(self).from_document(body_for(self, environment, platform))

    def local_paths(self) -> list[tuple[Loc, str]]:
        """Every path of the project's folder that the spec names, with its place in the document."""
        return []

    @classmethod
    def sound_part(cls, document: Mapping[str, Any], found: Iterable[Finding]) -> tuple[Self, set[str]]:
        """What is left of a faulty document, unchecked, and the fields that are left out of it.

        Faulty entries of the mappings in STAND_INS are replaced, so that their names stay known.
        """
        rest, left_out = dict(document), set()
        for finding in found:
            key, *below = map(str, finding.loc or ("",))
            if key in rest and below and key in cls.STAND_INS and not finding.at_key:
                rest[key] = {**rest[key], below[0]: cls.STAND_INS[key]}
            else:
                rest.pop(key, None)
                left_out.add(key)
        return cls.model_validate({"name": _PLACEHOLDER, **rest}, context=UNCHECKED), left_out

    @classmethod
    def _explain(cls, document: Mapping[str, Any], error: ValidationError) -> list[Finding]:
        """Add what the checks find in the fields that are valid, since they did not run."""
        found = super()._explain(document, error)
        if len(found) > MAX_PROBLEMS:
            return found
        sound, left_out = cls.sound_part(document, found)
        known = {(finding.loc, finding.what) for finding in found}
        more = (finding for finding in sound.check_findings() if not finding.needs & left_out)
        return found + [finding for finding in islice(more, MAX_PROBLEMS) if (finding.loc, finding.what) not in known]
