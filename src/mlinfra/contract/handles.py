"""`<environment>/<kind>/<id>`: how a resource is named on the command line and between machines."""

from __future__ import annotations

from dataclasses import dataclass

from mlinfra.errors import UsageError

KINDS = ("job", "model", "endpoint")


@dataclass(frozen=True)
class Handle:
    """A resource in an environment. `id` is the platform's own id, or a model's `name:version`."""

    environment: str
    kind: str
    id: str

    def __str__(self) -> str:
        return f"{self.environment}/{self.kind}/{self.id}"

    @classmethod
    def parse(cls, text: str) -> Handle:
        """The handle that `str` wrote.

        Raises:
            UsageError: the text is no handle.
        """
        environment, _, rest = text.partition("/")
        kind, _, resource = rest.partition("/")
        if environment and kind in KINDS and resource:
            return cls(environment, kind, resource)
        raise UsageError(
            "not a handle",
            given=text,
            allowed=f"<environment>/<{'|'.join(KINDS)}>/<id>",
            todo="copy it from the output of the command that made the resource",
        )
