"""Names of container images: `[HOST/]REPOSITORY[:TAG][@DIGEST]`; an Azure Container Registry is `NAME.azurecr.io`.

After "About registries, repositories, and artifacts" in the documentation of Azure Container Registry.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_HUB = "docker.io"
_ACR = re.compile(r"(?P<name>[a-z0-9]{5,50})(-[a-z0-9]+)?(\.[a-z0-9-]+\.data)?\.azurecr\.(io|us|cn)")
_REFERENCE = re.compile(
    r"(?:(?P<host>[a-zA-Z0-9-]+(?:\.[a-zA-Z0-9-]+)+(?::\d+)?|localhost(?::\d+)?)/)?"
    r"(?P<repository>[a-z0-9]+(?:[._/-]+[a-z0-9]+)*)"
    r"(?::(?P<tag>\w[\w.-]{0,127}))?(?:@(?P<digest>sha256:[0-9a-f]{64}))?"
)


class Reference(NamedTuple):
    """One image by name."""

    host: str
    repository: str
    tag: str
    digest: str

    @property
    def registry(self) -> str:
        """The name of the Azure Container Registry; empty where it is in another one."""
        found = _ACR.fullmatch(self.host.lower())
        return found["name"] if found else ""


def parsed(uri: str) -> Reference | None:
    """What an image's name says; None where it is none."""
    found = _REFERENCE.fullmatch(uri)
    if found is None:
        return None
    digest = found["digest"] or ""
    return Reference(found["host"] or _HUB, found["repository"], found["tag"] or ("" if digest else "latest"), digest)
