"""`--set a.b=c`: one value from the command line, read by the type of the field that it is for."""

from collections.abc import Iterable, Iterator
from types import NoneType, UnionType
from typing import Annotated, Any, Final, TypeVar, Union, get_args, get_origin

from mlinfra.errors import Problem
from mlinfra.spec.findings import Loc
from mlinfra.spec.load.compose import compose
from mlinfra.spec.load.resolve import resolve
from mlinfra.spec.notation import Notation
from mlinfra.spec.patch import merge
from mlinfra.spec.problems import problem, spec_error
from mlinfra.spec.spec import Spec
from mlinfra.spec.walk import annotation_at
from mlinfra.spec.words import unknown_key

AnySpec = TypeVar("AnySpec", bound=Spec)

_SOURCE: Final = "--set"
_SINGLE: Final = frozenset({bool, int, float})


def with_settings(spec: AnySpec, settings: Iterable[str]) -> AnySpec:
    """The spec with each `path=value` applied; `null` removes. SpecError with every problem.

    The command line has the last word: apply it to what `for_environment` returned.
    """
    body = spec.body()
    problems: list[Problem] = []
    for setting in settings:
        path, _, text = setting.partition("=")
        faults = list(_faults(type(spec), setting))
        problems += faults
        if not faults:
            loc = tuple(path.split("."))
            body = merge(body, _nested(loc, _value(annotation_at(type(spec), loc), text)))
    changed, findings = type(spec).attempt(body)
    problems += map(problem, findings)
    if changed is None or problems:
        raise spec_error(_SOURCE, problems)
    return changed


def _faults(model: type[Spec], setting: str) -> Iterator[Problem]:
    path, sign, text = setting.partition("=")
    loc = tuple(path.split("."))
    if not sign:
        yield Problem("no value", path, _SOURCE, given=setting, allowed="path=value", todo="add = and the value")
    elif annotation_at(model, loc) is None:
        known = next(length for length in range(len(loc)) if annotation_at(model, loc[: length + 1]) is None)
        yield problem(unknown_key(model, loc[: known + 1]))
    elif _is_yaml(text):
        yield from compose(text, _SOURCE)[1]


def _value(annotation: Any, text: str) -> Any:
    types = set(_types(annotation))
    if text == "null":
        return None
    if types & _SINGLE and text and not _is_yaml(text):
        return resolve(text)
    if types <= {str} or not _is_yaml(text):
        return text
    return compose(text, _SOURCE)[0][0].value


def _is_yaml(text: str) -> bool:
    """Whether a text is meant as YAML: a list, a mapping, or text in quotes."""
    return text[:1] + text[-1:] in {"[]", "{}", '""', "''"} and len(text) > 1


def _types(annotation: Any) -> Iterator[type]:
    """The types that a field may have; whatever is written as one text counts as text."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        yield from _types(arguments[0])
    elif origin in {Union, UnionType}:
        for part in arguments:
            yield from _types(part)
    elif annotation in _SINGLE:
        yield annotation
    elif annotation is Any:
        yield from _SINGLE
    elif origin is None and issubclass(annotation, (str, Notation, NoneType)):
        yield str
    else:
        yield object


def _nested(loc: Loc, value: Any) -> Any:
    for part in reversed(loc):
        value = {part: value}
    return value
