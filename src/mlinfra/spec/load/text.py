"""From the bytes of a file to text that YAML can be made of, or the reason why not."""

import re
from typing import Final

from mlinfra.errors import Problem
from mlinfra.spec.limits import MAX_FILE_BYTES
from mlinfra.spec.positions import Mark

# What YAML forbids, and the line breaks that YAML 1.1 alone knows.
_FORBIDDEN: Final = re.compile("[\0-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\ufffe\uffff]")


def decode(data: bytes, file: str) -> str | Problem:
    """The text of a file, or the first thing that makes it none."""
    if len(data) > MAX_FILE_BYTES:
        what = "larger than a spec may be"
        return Problem(what, "", file, 1, 1, "", f"at most {MAX_FILE_BYTES // 1024} KiB", "split the file")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        mark = _end(data[: error.start].decode("utf-8-sig"))
        given = f"byte {data[error.start]:#04x}"
        return Problem("not UTF-8", "", file, *mark, given, "text in UTF-8", "save the file as UTF-8")
    if found := _FORBIDDEN.search(text):
        mark = _end(text[: found.start()])
        given = f"U+{ord(found[0]):04X}"
        todo = "remove it, or write it as an escape in double quotes"
        return Problem("a control character", "", file, *mark, given, "printable text", todo)
    return text


def _end(text: str) -> Mark:
    return Mark(text.count("\n") + 1, len(text) - text.rfind("\n"))
