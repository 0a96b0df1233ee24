"""What a job runs: the user's code, the command, and the Python or image it runs in."""

import re
import shlex
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BeforeValidator, Discriminator, Field, Tag, WithJsonSchema

from mlinfra.spec.addresses import ProjectPath, checked_address
from mlinfra.spec.base import Model
from mlinfra.spec.findings import wrong
from mlinfra.spec.limits import COMMAND_LENGTH
from mlinfra.spec.references import compact
from mlinfra.spec.scalars import Plain, Text

_GIT: Final = "https://…, ssh://… or user@host:path"
_GIT_FORM: Final = re.compile(r"(?:https|ssh)://\S+|[\w.-]+@[\w.-]+:\S+")
_COMMIT = Text(
    r"[0-9a-f]{40}|[0-9a-f]{64}", "the 40 (or 64) hex digits of one commit; branches and tags move", "commit"
)


def _git_url(value: object) -> str:
    url = checked_address(value)
    if not _GIT_FORM.fullmatch(url):
        todo = "write the address that `git clone` takes"
        raise wrong("not the address of a repository", allowed=_GIT, todo=todo)
    return url


class GitSource(Model):
    """Code at one commit of a repository."""

    git: Annotated[str, Plain(_git_url, _GIT, {"type": "string"})] = Field(description="The repository's address.")
    ref: Annotated[str, _COMMIT] = Field(description="The commit, in full.")


Code = Annotated[
    Annotated[ProjectPath, Tag("<path>")] | Annotated[GitSource, Tag("<git>")],
    Discriminator(lambda value: "<path>" if isinstance(value, str) else "<git>"),
]


def _split(value: object) -> Any:
    if not isinstance(value, str):
        return list(value) if isinstance(value, tuple) else value
    if len(value) > COMMAND_LENGTH:
        allowed = f"text of at most {COMMAND_LENGTH} characters"
        raise wrong(f"a command of {len(value)} characters", allowed=allowed, todo="put it into a script")
    try:
        return shlex.split(value)
    except ValueError as error:
        allowed = "text that a shell could split"
        raise wrong(f"{str(error).lower()} in the command", allowed=allowed, todo="close it, or write a list") from None


def _argument(text: str) -> str:
    if "\0" in text:
        raise wrong("an argument with a NUL in it", allowed="text without NUL", todo="remove the NUL")
    return compact(text)


_Arguments = Annotated[tuple[Annotated[str, AfterValidator(_argument)], ...], Field(strict=False, min_length=1)]
Command = Annotated[
    _Arguments,
    BeforeValidator(_split),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]}),
]
Image = Annotated[
    str, Text(r"[a-z0-9][A-Za-z0-9._:/@-]{0,499}", "registry/name:tag or registry/name@sha256:…", "image")
]
PythonVersion = Annotated[str, Text(r"3\.(?:9|[1-9][0-9])", 'a version from "3.9", in quotes', "version of Python")]


class Python(Model):
    """The interpreter and the packages of a job."""

    version: PythonVersion | None = Field(default=None, description="Major and minor. Without it the platform's own.")
    requirements: ProjectPath | None = Field(
        default=None, description="A requirements file of the project. Versions and digests are locked at submission."
    )
