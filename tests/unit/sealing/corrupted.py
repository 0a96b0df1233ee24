"""Run in a process of its own: corrupts a sealed file in one way after another, opens it and asks it for answers.

usage: corrupted.py FILE numbers|cells COLUMNS COUNT
"""

from __future__ import annotations

import json
import math
import random
import struct
import sys
from functools import partial
from pathlib import Path
from typing import Any

from mlinfra.errors import MlinfraError
from mlinfra.modelkit.sealing.kernel import open_kernel
from mlinfra.modelkit.sealing.opened import open_program
from mlinfra.modelkit.sealing.program import from_buffer

_WORDS = (0, 1, 2, 7, 0x7FC00000, 0x7FC00001, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0xFFFFF, 0x7FF00000, 0x3FFFFF)
_NUMBERS = (-1, 0, 1, 2, 3, 64, 255, 2**31, 2**32 - 1, 2**63, 10**30, 0.5, True, None, "a", [], {})
_CELLS = {"numbers": (-1.5, 3.0, 0.25, -0.0, 7.0, 2e5), "cells": (0.0, -2.5, 7, 31.0)}
_ODD = {"numbers": (math.nan, math.inf, 1e300), "cells": (None, "rent", "x", True)}


class Corruptor:
    """One file, and the ways of spoiling a copy of it."""

    def __init__(self, path: str) -> None:
        self.original = Path(path).read_bytes()
        self.rng = random.Random(path)  # noqa: S311  the same corruptions for the same file
        length = struct.unpack("<I", self.original[20:24])[0]
        self.body = (24 + length + 63) // 64 * 64
        self.header = json.loads(self.original[24 : 24 + length])

    def spoiled(self) -> bytes:
        ways = (self._flip, self._flip_in_body, self._flip_in_body, *[self._set_words] * 4)
        ways += (self._change_header, self._swap_arrays, self._shrink_array, self._cut, self._extend)
        return self.rng.choice(ways)()

    def _flip(self, start: int = 0) -> bytes:
        data = bytearray(self.original)
        for _ in range(self.rng.randint(1, 6)):
            at = self.rng.randrange(start * 8, len(data) * 8)
            data[at // 8] ^= 1 << at % 8
        return bytes(data)

    def _flip_in_body(self) -> bytes:
        return self._flip(self.body)

    def _set_words(self) -> bytes:
        data = bytearray(self.original)
        name = self.rng.choice([name for name, (_, size) in self.header["places"].items() if size])
        offset, size = self.header["places"][name]
        for _ in range(self.rng.randint(1, 3)):
            at = self.body + offset + self.rng.randrange(size // 4) * 4
            data[at : at + 4] = struct.pack("<I", self.rng.choice(_WORDS))
        return bytes(data)

    def _change_header(self) -> bytes:
        header = self._copy()
        key = self.rng.choice(list(header))
        if key == "places":
            header[key][self.rng.choice(list(header[key]))][self.rng.randrange(2)] = self.rng.choice(_NUMBERS)
        else:
            header[key] = self.rng.choice(_NUMBERS)
        return self._with_header(header)

    def _swap_arrays(self) -> bytes:
        header = self._copy()
        one, other = self.rng.sample(list(header["places"]), 2)
        places = header["places"]
        places[one], places[other] = places[other], places[one]
        return self._with_header(header)

    def _shrink_array(self) -> bytes:
        header = self._copy()
        place = header["places"][self.rng.choice(list(header["places"]))]
        place[1] = max(0, place[1] - self.rng.choice((4, 8, 16, 32, 64, 1024)))
        return self._with_header(header)

    def _cut(self) -> bytes:
        return self.original[: self.rng.randrange(len(self.original))]

    def _extend(self) -> bytes:
        return self.original + self.rng.randbytes(100)

    def _copy(self) -> dict[str, Any]:
        return json.loads(json.dumps(self.header))

    def _with_header(self, header: dict[str, Any]) -> bytes:
        text = json.dumps(header).encode()
        head = self.original[:20] + struct.pack("<I", len(text)) + text
        return head + bytes(-len(head) % 64) + self.original[self.body :]


def requests(rng: random.Random, form: str, columns: int) -> list[Any]:
    """A batch of lists, a single row, and for numbers a buffer."""

    def row() -> list[Any]:
        cells = [rng.choice(_CELLS[form]) for _ in range(columns)]
        if rng.random() < 0.02:
            cells[rng.randrange(columns)] = rng.choice(_ODD[form])
        return cells

    batch = [row() for _ in range(70)]
    if form == "cells":
        return [[[*cells[:4], "rent", "yes", "fixed"] for cells in batch], batch, [row()]]
    flat = struct.pack(f"{70 * columns}d", *(cell for cells in batch for cell in cells))
    return [memoryview(flat).cast("B").cast("d", (70, columns)), batch, [row()]]


def main() -> None:
    path, form, columns, count = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    corruptor = Corruptor(path)
    found = {"refused": 0, "opened": 0, "answered": 0}
    for index in range(count):
        sys.stdout.write(f"{index}\n")
        sys.stdout.flush()
        data = corruptor.spoiled()
        for scalar_only in (False, True):
            try:
                model = open_program(from_buffer(data), partial(open_kernel, scalar_only=scalar_only))
            except (MlinfraError, MemoryError):
                found["refused"] += 1
                continue
            found["opened"] += 1
            for rows in requests(corruptor.rng, form, columns):
                try:
                    model.predict(rows)
                    found["answered"] += 1
                except MlinfraError:
                    pass
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main()
