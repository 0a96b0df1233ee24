"""The environment's object store, as far as people and scripts want to look into it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mlinfra.errors import NotFound, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mlinfra.contract.store import ObjectInfo, Store
    from mlinfra.engine.session import Session

SCHEME = "store://"


class ObjectStore:
    """Objects by key, or by an address of the platform's own. `name` chooses among the environment's stores."""

    def __init__(self, session: Session, name: str = "artefacts") -> None:
        self._session = session
        self._name = name

    def named(self, name: str) -> ObjectStore:
        """Another of the environment's stores."""
        return ObjectStore(self._session, name)

    def uri(self, key: str = "") -> str:
        """The address under which the platform's jobs and servers find a key."""
        return self._store.uri(self.key(key))

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """What lies below a prefix, in the order of the keys."""
        return self._store.list(self.key(prefix))

    def get(self, key: str, target: str | Path) -> Sequence[Path]:
        """Fetch an object into a file, or everything below a prefix into a folder; each file whole or not at all.

        Raises:
            NotFound: nothing lies there.
        """
        key, target = self.key(key), Path(target)
        if self._store.head(key) is not None:
            return [self._fetch(key, target / key.rpartition("/")[2] if target.is_dir() else target)]
        below = f"{key.rstrip('/')}/" if key else ""
        found = [
            self._fetch(info.key, _inside(target, info.key.removeprefix(below))) for info in self._store.list(below)
        ]
        if not found:
            raise NotFound("nothing lies there in the store", given=key, todo="`mlinfra store ls` shows what there is")
        return found

    def put(self, source: str | Path, key: str) -> Sequence[ObjectInfo]:
        """Write a file, or the files of a folder, under a key. What lies there is replaced.

        Raises:
            NotFound: there is no such file.
            WrongAccount: nothing was sent.
        """
        source, key = Path(source), self.key(key)
        if not source.exists():
            raise NotFound("there is no such file", given=str(source))
        self._session.verify_account()
        if source.is_file():
            name = f"{key}{source.name}" if not key or key.endswith("/") else key
            return [self._store.put(name, source)]
        files = sorted(path for path in source.rglob("*") if path.is_file())
        below = f"{key.rstrip('/')}/" if key else ""
        return [self._store.put(f"{below}{path.relative_to(source).as_posix()}", path) for path in files]

    def key(self, text: str) -> str:
        """The key in a text: a key, `store://key`, or an address of the platform's own."""
        if text.startswith(SCHEME):
            return text.removeprefix(SCHEME)
        return self._store.key(text) if "://" in text else text.lstrip("/")

    @property
    def _store(self) -> Store:
        return self._session.store(self._name)

    def _fetch(self, key: str, target: Path) -> Path:
        target.parent.mkdir(parents=True, exist_ok=True)
        self._store.download(key, target)
        return target


def _inside(folder: Path, name: str) -> Path:
    """The place of a key below a folder.

    Raises:
        UsageError: the key would leave the folder.
    """
    place = folder / name
    if ".." in Path(name).parts or Path(name).is_absolute():
        raise UsageError("this key would be written outside of the folder", given=name, todo="fetch it by itself")
    return place
