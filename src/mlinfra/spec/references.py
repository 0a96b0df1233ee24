"""`${{inputs.x}}` and its like: checked when a spec is read, resolved by the runner when the job runs."""

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Final, NamedTuple

from mlinfra.errors import shorten
from mlinfra.spec.words import advise, listed

_OPENING: Final = "${{"
_REFERENCE: Final = re.compile(r"\$\{\{([^{}]*)\}\}")
_FORM: Final = re.compile(r"\s*([A-Za-z_]+)\.([A-Za-z_][A-Za-z0-9_-]*)\s*")


class Fault(NamedTuple):
    """What is wrong with a reference, what is allowed, what to do."""

    what: str
    allowed: str
    todo: str


def compact(text: str) -> str:
    """The text with its references in the one form that the runner knows: no spaces inside the braces."""
    return _REFERENCE.sub(lambda found: f"${{{{{found[1].strip()}}}}}", text)


def faults(text: str, known: Mapping[str, Collection[str]]) -> Iterator[Fault]:
    """Every reference of `text` that is malformed, or names what is not there. `known` holds the names by section."""
    forms = " or ".join(f"${{{{{section}.NAME}}}}" for section in known)
    for found in _REFERENCE.finditer(text):
        form = _FORM.fullmatch(found[1])
        if form is None:
            yield Fault(f"not a reference: {shorten(found[0])}", forms, "correct it")
        elif form[1] not in known:
            what = f"unknown section {shorten(form[1])}"
            yield Fault(what, forms, advise(form[1], known, "correct it"))
        elif form[2] not in known[form[1]]:
            names, name = known[form[1]], shorten(form[2])
            todo = advise(form[2], names, f"add {name} to {form[1]}")
            yield Fault(f"no such name in {form[1]}: {name}", listed(names), todo)
    if _OPENING in _REFERENCE.sub("", text):
        yield Fault(f"a reference without its end: {_OPENING} but no }}}}", forms, "close it with }}")


def has_reference(text: str) -> bool:
    """Whether a text means to refer to something."""
    return _OPENING in text
