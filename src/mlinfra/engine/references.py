"""How people name a model version: `name:3`, `name@alias`, `name@sha256:<digits>`, or `name` if it has only one."""

from __future__ import annotations

import re
from dataclasses import dataclass

from mlinfra.errors import UsageError
from mlinfra.spec.limits import NAME_LENGTH
from mlinfra.spec.names import NAME_PATTERN, WORDS_PATTERN

SHORTEST_DIGEST = 12  # hex digits that name a version beyond doubt
ALIAS_PATTERN = rf"(?=.{{2,{NAME_LENGTH}}}$){WORDS_PATTERN}"
RESERVED = ("latest", "default")  # Azure ML and Vertex AI keep these by themselves, and not for the same version
_VERSION = re.compile(r"[1-9][0-9]{0,8}")
_DIGEST = re.compile(rf"sha256:([0-9a-f]{{{SHORTEST_DIGEST},64}})")
_FORMS = "name:3, name@alias, name@sha256:<at least 12 digits>, or name alone where it has one version"


@dataclass(frozen=True)
class Reference:
    """A model, and at most one of: a version, an alias, the first hex digits of a digest.

    On the command line more may be left out than in a spec, whose references must mean one version for ever.
    """

    model: str
    version: str = ""
    alias: str = ""
    digest: str = ""

    def __str__(self) -> str:
        if self.version:
            return f"{self.model}:{self.version}"
        tail = f"sha256:{self.digest}" if self.digest else self.alias
        return f"{self.model}@{tail}" if tail else self.model

    @classmethod
    def parse(cls, text: str) -> Reference:
        """The reference in a text.

        Raises:
            UsageError: it is none.
        """
        model, at, tail = text.partition("@")
        if at:
            model = check_model(model, given=text)
            if digest := _DIGEST.fullmatch(tail):
                return cls(model, digest=digest[1])
            if not re.fullmatch(ALIAS_PATTERN, tail):
                raise _wrong(text)
            return cls(model, alias=tail)
        model, colon, version = text.partition(":")
        if colon and not _VERSION.fullmatch(version):
            raise _wrong(text)
        return cls(check_model(model, given=text), version=version)


def check_model(name: str, *, given: str = "") -> str:
    """The name, if a model may have it on every platform.

    Raises:
        UsageError: it may not.
    """
    if re.fullmatch(NAME_PATTERN, name):
        return name
    raise UsageError(
        "not the name of a model",
        given=given or name,
        allowed=f"3 to 32 lower-case letters, digits and single dashes, beginning with a letter; {_FORMS}",
    )


def check_alias(name: str) -> str:
    """The name, if an alias may have it on every platform.

    Raises:
        UsageError: it may not, or the platforms keep it for themselves.
    """
    if name in RESERVED:
        raise UsageError(
            f"the alias {name!r} is kept by some platforms for themselves",
            given=name,
            todo="choose another, such as champion",
        )
    if not re.fullmatch(ALIAS_PATTERN, name):
        raise UsageError(
            "not an alias",
            given=name,
            allowed="2 to 32 lower-case letters, digits and single dashes, beginning with a letter",
        )
    return name


def _wrong(text: str) -> UsageError:
    return UsageError("not a reference to a model version", given=text, allowed=_FORMS)
