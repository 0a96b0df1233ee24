"""Which platforms a file may name: those of the kit, and whatever adapter is installed beside them."""

from collections.abc import Iterator
from importlib.metadata import entry_points
from typing import Final

from mlinfra.spec.findings import Finding
from mlinfra.spec.spec import Spec
from mlinfra.spec.words import advise

PLATFORMS: Final = ("local", "aws", "azure", "gcp")
ENTRY_POINTS: Final = "mlinfra.adapters"


def platform_findings(spec: Spec) -> Iterator[Finding]:
    """Every platform that no adapter serves. Adapters are looked up when a stranger's name is met, and only then."""
    named = [("overrides", name) for name in spec.overrides]
    named += [("machine", name) for name in getattr(spec, "machine", ())]
    if strangers := [loc for loc in named if loc[1] not in PLATFORMS]:
        known = sorted({*PLATFORMS, *(entry.name for entry in entry_points(group=ENTRY_POINTS))})
        for loc in strangers:
            if loc[1] not in known:
                todo = advise(loc[1], known, "install the adapter, or remove the key")
                yield Finding(loc, "no such platform", ", ".join(known), todo, loc[1], has_value=True, at_key=True)
