"""The configuration of a `local` stack."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from mlinfra.errors import Problem, UsageError
from mlinfra.host.keys import check_bucket
from mlinfra.infra.configuration import Configuration, Part, Rule

if TYPE_CHECKING:
    from collections.abc import Iterable

ARTEFACTS = "artefacts"  # the store that every environment has


def _bucket(name: str) -> str:
    try:
        return check_bucket(name)
    except UsageError as exc:
        raise PydanticCustomError("bucket", "not a bucket's name", {"allowed": exc.allowed}) from exc


class Adopted(Part):
    """What exists already and is used as it is."""

    folder: str = Field("", description="A folder that the kit made before: used, and not removed by `destroy`")


class LocalConfiguration(Configuration):
    """An environment on the machine at hand."""

    platform: Literal["local"] = Field("local", description="Where the environment is")
    folder: str = Field(
        "", description="Folder that holds everything; relative to Pulumi.yaml. Empty: .mlinfra/stacks/<stack>"
    )
    slots: int = Field(0, ge=0, le=1024, description="Jobs at once; 0 for one per processor")
    stores: tuple[Annotated[str, AfterValidator(_bucket)], ...] = Field(
        (ARTEFACTS, "data"), description="Buckets, `artefacts` among them: 1 to 63 of a-z, 0-9, '.', '_' and '-'"
    )
    adopt: Adopted = Field(default_factory=Adopted, description="What exists already and is used: folder")

    RULES: ClassVar[tuple[Rule, ...]]


def _one_folder(configuration: LocalConfiguration) -> Iterable[Problem]:
    if configuration.folder and configuration.adopt.folder:
        yield Problem(
            "a folder is made or adopted, not both",
            "folder",
            given=configuration.folder,
            allowed="one of mlinfra:folder and mlinfra:adopt.folder",
        )


def _stores(configuration: LocalConfiguration) -> Iterable[Problem]:
    given = ", ".join(configuration.stores)
    if ARTEFACTS not in configuration.stores:
        yield Problem("every environment has a store for artefacts", "stores", given=given, allowed=f"{ARTEFACTS}, …")
    if len(set(configuration.stores)) < len(configuration.stores):
        yield Problem("a store is named twice", "stores", given=given, allowed="each name once")


LocalConfiguration.RULES = (
    *Configuration.RULES,
    Rule(("folder", "adopt"), _one_folder),
    Rule(("stores",), _stores),
)
