"""A store in memory."""

from __future__ import annotations

import hashlib
import itertools

from mlinfra.contract.store import ObjectInfo
from mlinfra.errors import Conflict, NotFound


class MemoryStore:
    """Objects with compare-and-swap; one dictionary is shared by all clients."""

    def __init__(self, objects, faults, clock, deliver=lambda: None):
        self._objects = objects
        self._deliver = deliver
        self._faults = faults
        self._clock = clock
        self._versions = itertools.count()

    def uri(self, key):
        return f"memory://store/{key}"

    def key(self, uri):
        return uri.removeprefix("memory://store/")

    def put(self, key, content, *, if_absent=False, if_match=None, **_metadata):
        return self._faults.call("put", lambda: self._put(key, content, if_absent, if_match))

    def _put(self, key, content, if_absent, if_match):
        held = self._objects.get(key)
        if (if_absent and held) or (if_match is not None and (held is None or held[1] != if_match)):
            raise Conflict("somebody else was quicker", given=key)
        etag = hashlib.sha256(
            f"{key}{content!r}{self._clock.time}{id(self)}{next(self._versions)}".encode()
        ).hexdigest()
        self._objects[key] = (content, etag)
        return self._info(key)

    def get(self, key):
        return self._faults.call("get", lambda: self._get(key))

    def _get(self, key):
        if key not in self._objects:
            raise NotFound("no such object", given=key)
        return self._objects[key][0]

    def head(self, key):
        self._deliver()
        return self._faults.call("head", lambda: self._info(key) if key in self._objects else None)

    def list(self, prefix):
        return iter([self._info(key) for key in sorted(self._objects) if key.startswith(prefix)])

    def delete(self, key):
        self._faults.call("delete", lambda: self._objects.pop(key, None))

    def _info(self, key):
        content, etag = self._objects[key]
        return ObjectInfo(key, len(content), etag, self._clock.now())
