"""Requests as data: one call of a platform's API, before anything is sent.

Rendering makes them, `plan` prints them, the journal keeps them, `client.send` sends them; so what is
shown is what is sent. Nothing here knows a platform.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeAlias

from mlinfra.errors import KitFault

if TYPE_CHECKING:
    from collections.abc import Iterator

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"
Document: TypeAlias = dict[str, Any]  # a JSON object whose shape its reader checks

_REF = "$ref"
_FILE = "$file"


@dataclass(frozen=True)
class Ref:
    """A value of an earlier step's reply: `path` is dotted, integers index lists, `*` stands for every item.

    `form` is a text around the value, or around each one, with `{}` in its place; empty for the value itself.
    """

    step: str
    path: str
    form: str = ""


@dataclass(frozen=True)
class File:
    """Bytes of a local file, streamed by the client. `digest` is `sha256:<hex>`, `size` in bytes."""

    path: str
    digest: str
    size: int


Body: TypeAlias = "Ref | File | bool | int | float | str | list[Body] | Mapping[str, Body] | None"


@dataclass(frozen=True)
class Lookup:
    """How to find what a request makes, by a name or tag that only the same work would choose.

    So finding it means that the request had its effect, and a conflict means that it is there already.
    `request` reads the resource by name or tag. `items` is the dotted path of the list in its reply, empty
    where the reply is the resource itself; `where` are the members by which to find it in a list that the platform
    cannot narrow. The first thing found stands in for the request's reply.
    """

    request: Request
    items: str = ""
    where: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Follow:
    """How to see the end of an effect that goes on after its reply: the platform's long-running operation.

    `request` asks after it and refers to the reply that began it. Once it is over, true lies at the dotted path `over`
    of the answer, and at `error` a text where it failed. A reply without anything at `over` began none: it is what a
    look-up found in its place. `every` are the seconds between two looks.
    """

    request: Request
    over: str
    error: str
    every: float


@dataclass(frozen=True)
class Request:
    """One call of one operation.

    `step` names it among the requests of a procedure, for `Ref`. `effect` says whether it changes anything.
    `quota` is the bucket of the adapter's `QUOTAS` that it draws on, empty for none. `repeatable`: its name
    or token makes a second sending harmless. A request that is not repeatable has a `lookup`; one that changes
    something that exists is repeatable and has none. Where the effect goes on after the reply, `follow` says how to
    see its end. `known` is the address of what a repeatable request makes where that is named by its content: a machine
    that saw it there lately need not send the request, whose reply nothing may refer to.
    """

    step: str
    service: str
    operation: str
    body: Mapping[str, Body] = field(default_factory=dict)
    effect: bool = True
    quota: str = ""
    lookup: Lookup | None = None
    repeatable: bool = False
    depends_on: tuple[str, ...] = ()
    follow: Follow | None = None
    known: str = ""

    def __post_init__(self) -> None:
        if self.effect and not self.repeatable and self.lookup is None:
            raise KitFault(f"{self.service}.{self.operation} is neither repeatable nor can it be looked up")

    @property
    def refs(self) -> frozenset[str]:
        """The steps whose replies this request needs."""
        return frozenset(ref.step for ref in _leaves(self.body) if isinstance(ref, Ref)) | set(self.depends_on)

    @property
    def files(self) -> list[File]:
        """The local files that this request carries."""
        return [leaf for leaf in _leaves(self.body) if isinstance(leaf, File)]

    def resolve(self, replies: Mapping[str, Document]) -> Request:
        """The same request with every `Ref` replaced by the value it points at.

        Raises:
            KitFault: the step is not among the replies, or its reply has nothing at that path.
        """
        return replace(self, body=_fill(self.body, replies)) if self.refs else self

    def as_document(self) -> Document:
        """A JSON document from which `from_document` makes the same request."""
        document: Document = {
            "step": self.step,
            "service": self.service,
            "operation": self.operation,
            "body": _encode(self.body),
            "effect": self.effect,
            "quota": self.quota,
            "repeatable": self.repeatable,
            "depends_on": list(self.depends_on),
        }
        if self.known:
            document["known"] = self.known
        if self.lookup:
            document["lookup"] = _inner(self.lookup)
        if self.follow:
            document["follow"] = _inner(self.follow)
        return document

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Request:
        """The request that `as_document` wrote."""
        fields = dict(document)
        for name, kind in (("lookup", Lookup), ("follow", Follow)):
            if inner := fields.get(name):
                fields[name] = kind(**{**inner, "request": cls.from_document(inner["request"])})
        return cls(**{**fields, "body": _decode(fields["body"]), "depends_on": tuple(fields["depends_on"])})


def dig(document: Any, path: str) -> Any:
    """The value at a dotted path; an empty path is the document itself. Behind `*` it is a list of values.

    Raises:
        KeyError: nothing lies there.
    """
    value = document
    before, star, rest = path.partition("*")
    if star:
        items = dig(document, before.rstrip("."))
        if not isinstance(items, list):
            raise KeyError(path)
        return [dig(item, rest.lstrip(".")) for item in items]
    for part in path.split(".") if path else ():
        try:
            value = value[int(part)] if isinstance(value, list) else value[part]
        except (KeyError, IndexError, ValueError, TypeError) as exc:
            raise KeyError(path) from exc
    return value


def found(lookup: Lookup, reply: Document) -> Document | None:
    """What a lookup's reply says is there, None if nothing is."""
    try:
        item = dig(reply, lookup.items)
    except KeyError:
        return None
    if isinstance(item, list):
        item = next((each for each in item if _fits(each, lookup.where)), None)
    return item if isinstance(item, dict) and item else None


def _fits(item: Any, where: Mapping[str, str]) -> bool:
    return isinstance(item, dict) and where.items() <= item.items()


def _inner(asked: Lookup | Follow) -> Document:
    """A look-up or a follow-up; what is empty is left out."""
    members = {name: value for name, value in vars(asked).items() if value or name == "items"}
    return {**members, "request": asked.request.as_document()}


def _leaves(body: Body) -> Iterator[Body]:
    if isinstance(body, Mapping):
        for value in body.values():
            yield from _leaves(value)
    elif isinstance(body, list):
        for value in body:
            yield from _leaves(value)
    else:
        yield body


def _fill(body: Any, replies: Mapping[str, Document]) -> Any:
    if isinstance(body, Mapping):
        return {key: _fill(value, replies) for key, value in body.items()}
    if isinstance(body, list):
        return [_fill(value, replies) for value in body]
    if not isinstance(body, Ref):
        return body
    try:
        value = dig(replies[body.step], body.path)
    except KeyError as exc:
        raise KitFault(f"a request refers to {body.step}.{body.path}, which no reply holds") from exc
    if not body.form:
        return value
    return [body.form.format(each) for each in value] if isinstance(value, list) else body.form.format(value)


def _encode(body: Any) -> Any:
    if isinstance(body, Mapping):
        return {key: _encode(value) for key, value in body.items()}
    if isinstance(body, list):
        return [_encode(value) for value in body]
    if isinstance(body, Ref):
        return {_REF: [body.step, body.path, *([body.form] if body.form else [])]}
    if isinstance(body, File):
        return {_FILE: [body.path, body.digest, body.size]}
    return body


def _decode(body: Any) -> Any:
    if isinstance(body, list):
        return [_decode(value) for value in body]
    if not isinstance(body, dict):
        return body
    if body.keys() == {_REF}:
        return Ref(*body[_REF])
    if body.keys() == {_FILE}:
        return File(*body[_FILE])
    return {key: _decode(value) for key, value in body.items()}
