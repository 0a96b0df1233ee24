"""The rules of labels, the same for every resource.

Source: the documentation of `labels` in the client library's messages (at most 64 characters; lower-case letters,
digits, underscores and dashes; international characters are allowed; at most 64 labels where a message says so), and
the vendor's page on labels, which also has keys begin with a letter.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_LONGEST = 64
_MOST = 64
_MARKS = "_-"
_CHARACTERS = "lowercase letters, numeric characters, underscores and dashes"


def problems(labels: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """What is wrong with labels: key, or nothing where it is all of them, and the message."""
    if len(labels) > _MOST:
        yield "", f"No more than {_MOST} user labels can be associated with one resource."
    for key, value in labels.items():
        if not key or not key[0].isalpha():
            yield key, f"Label key '{key}' must start with a lowercase letter."
        for what, text in (("key", key), ("value", value)):
            if len(text) > _LONGEST:
                yield key, f"Label {what} '{text}' is longer than {_LONGEST} characters."
            elif not all(map(_allowed, text)):
                yield key, f"Label {what} '{text}' can only contain {_CHARACTERS}."


def _allowed(char: str) -> bool:
    return char in _MARKS or char.isnumeric() or (char.isalpha() and not char.isupper())
