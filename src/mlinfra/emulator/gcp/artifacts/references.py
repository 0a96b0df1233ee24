"""Names of container images, as Artifact Registry and Container Registry have them.

After Artifact Registry's guide, "Repository and image names":
`LOCATION-docker.pkg.dev/PROJECT/REPOSITORY/IMAGE[:TAG][@DIGEST]`.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_IMAGE = r"(?P<image>[a-z0-9][a-z0-9._/-]*)(:(?P<tag>[\w][\w.-]{0,127}))?(@(?P<digest>sha256:[0-9a-f]{64}))?"
_ARTIFACT = re.compile(
    r"(?P<location>[a-z0-9-]+)-docker\.pkg\.dev/(?P<project>[a-z0-9.:-]+)/(?P<repository>[a-z0-9][a-z0-9._-]*)/"
    + _IMAGE
)
_CONTAINER = re.compile(r"((?P<location>us|eu|asia)\.)?gcr\.io/(?P<project>[a-z0-9.-]+)/" + _IMAGE)


class Reference(NamedTuple):
    """One image by name. `repository` is the whole host where Container Registry is meant."""

    location: str  # "europe-west4"; "us" for a multi-region
    project: str
    repository: str
    image: str
    tag: str
    digest: str

    @property
    def resource(self) -> str:
        """The repository's relative name, on which permissions are asked."""
        return f"projects/{self.project}/locations/{self.location}/repositories/{self.repository}"


def parsed(uri: str) -> Reference | None:
    """What a URI names; None where it is in neither registry."""
    found = _ARTIFACT.fullmatch(uri)
    if found:
        repository = found["repository"]
    else:
        found = _CONTAINER.fullmatch(uri)
        if found is None:
            return None
        repository = uri.partition("/")[0]
    digest = found["digest"] or ""
    tag = found["tag"] or ("" if digest else "latest")
    return Reference(found["location"] or "us", found["project"], repository, found["image"], tag, digest)
