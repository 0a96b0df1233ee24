"""Image references: `host/repository:tag` or `host/repository@sha256:…`, as every container tool writes them."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from mlinfra.errors import UsageError

_HUB = "registry-1.docker.io"  # where `docker.io` is served
_HUB_NAMES = ("docker.io", "index.docker.io", _HUB)
_REPOSITORY = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_LOOPBACK = re.compile(r"(localhost|127(\.\d+){3}|\[::1\])(:\d+)?")


@dataclass(frozen=True)
class Reference:
    """One image in a registry. Where both stand, the digest is what counts."""

    host: str
    repository: str
    tag: str = ""
    digest: str = ""

    @classmethod
    def parse(cls, text: str) -> Reference:
        """Read a reference; without a host it is Docker Hub's, without tag and digest the tag is `latest`.

        Raises:
            UsageError: it is none.
        """
        first, slash, rest = text.partition("/")
        named = slash and (first == "localhost" or any(mark in first for mark in ".:"))
        host, path = (first, rest) if named else (_HUB, text)
        path, _, digest = path.partition("@")
        repository, _, tag = path.partition(":")
        if host in _HUB_NAMES:
            host, repository = _HUB, repository if "/" in repository else f"library/{repository}"
        right = _REPOSITORY.fullmatch(repository) and (not tag or _TAG.fullmatch(tag))
        if not right or ("@" in text and not _DIGEST.fullmatch(digest)):
            allowed = "host/repository:tag or host/repository@sha256:…, the repository in lower case"
            raise UsageError("this is no image reference", given=text, allowed=allowed)
        return cls(host, repository, tag or ("" if digest else "latest"), digest)

    @property
    def name(self) -> str:
        """What the registry calls it: the digest, else the tag."""
        return self.digest or self.tag

    @property
    def origin(self) -> str:
        """The registry's address."""
        return origin_of(self.host)

    def at(self, digest: str) -> Reference:
        """The same image pinned."""
        return replace(self, tag="", digest=digest)

    def __str__(self) -> str:
        mark = f"@{self.digest}" if self.digest else f":{self.tag}"
        return f"{self.host}/{self.repository}{mark}"


def is_loopback(host: str) -> bool:
    """Whether a registry's host, with or without a port, is this machine."""
    return _LOOPBACK.fullmatch(host) is not None


def origin_of(host: str) -> str:
    """A registry's address. Plain HTTP is for this machine alone."""
    return f"{'http' if is_loopback(host) else 'https'}://{host}"
