from typing import Any, Self

ABI: int
AVX2: int
MARK: str

class Refused(ValueError): ...

class Model:
    def __new__(
        cls,
        arrays: tuple[Any, ...],
        tables: tuple[dict[Any, float], ...],
        labels: tuple[Any, ...],
        columns: int,
        outputs: int,
        width: int,
        form: int,
        flags: int,
    ) -> Self: ...
    def predict(self, rows: Any, finish: int) -> list[Any]: ...
    def scores(self, rows: Any) -> bytearray: ...
    def finish(self, scores: Any, finish: int, bias: Any = ...) -> list[Any]: ...
    def refusals(self, rows: Any) -> list[tuple[int, int, int]]: ...

class Screen:
    def __new__(
        cls,
        kinds: bytes,
        lows: tuple[float, ...],
        highs: tuple[float, ...],
        values: tuple[frozenset[str] | None, ...],
        names: tuple[str, ...],
        scalar_only: bool = False,
    ) -> Self: ...
    def order(self, rows: Any) -> list[list[Any]] | None: ...
    def table(self, body: bytes) -> bytearray | None: ...
