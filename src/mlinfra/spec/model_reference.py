"""Which version of which model: by alias, by number, or by the digest that means the same everywhere."""

import re
from dataclasses import dataclass
from typing import ClassVar, Self

from mlinfra.spec.limits import NAME_LENGTH
from mlinfra.spec.names import WORDS_PATTERN
from mlinfra.spec.notation import Notation


@dataclass(frozen=True, slots=True)
class ModelReference(Notation):
    """A model's name with exactly one of alias, version and digest; the others are empty."""

    NOUN: ClassVar[str] = "reference to a model version"
    PATTERN: ClassVar[str] = (
        rf"(?=[a-z0-9-]{{3,{NAME_LENGTH}}}[@:]){WORDS_PATTERN}"
        rf"(?:@sha256:[0-9a-f]{{64}}|@(?=.{{2,{NAME_LENGTH}}}$){WORDS_PATTERN}|:[1-9][0-9]{{0,8}})"
    )
    ALLOWED: ClassVar[str] = "NAME@ALIAS, NAME:VERSION or NAME@sha256:DIGEST (64 hex digits)"

    name: str
    alias: str = ""
    version: str = ""
    digest: str = ""  # with its `sha256:`

    @classmethod
    def read(cls, text: str) -> Self:
        """The name, then what follows @ or the colon."""
        name, sign, pin = re.split("([@:])", text, maxsplit=1)
        if sign == ":":
            return cls(name, version=pin)
        return cls(name, digest=pin) if pin.startswith("sha256:") else cls(name, alias=pin)

    @classmethod
    def advice(cls, value: object) -> str:
        """A bare name says which model, and not which version of it."""
        if isinstance(value, str) and re.fullmatch(WORDS_PATTERN, value):
            return f"say which version: {value}@champion, or {value}:1"
        return super(ModelReference, cls).advice(
            value
        )  # with slots the class is made twice, and a bare super() loses it

    @property
    def is_pinned(self) -> bool:
        """Whether it can never mean another version; an alias can."""
        return not self.alias

    def __str__(self) -> str:
        return f"{self.name}:{self.version}" if self.version else f"{self.name}@{self.alias or self.digest}"
