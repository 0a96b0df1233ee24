"""Promotion: the same bytes in another environment, with where they came from and how well they did.

What was decided about them stays behind: an approval is a word about one environment.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlinfra.engine import audit
from mlinfra.engine.evaluations import carry
from mlinfra.engine.models import Origin, enter
from mlinfra.engine.packages import package_of
from mlinfra.engine.references import check_model
from mlinfra.engine.versions import handle, resolve
from mlinfra.errors import Denied

if TYPE_CHECKING:
    from mlinfra.contract.models import VersionObservation
    from mlinfra.engine.session import Session

_KIT = "mlinfra"  # how the kit's own tags begin


def copy(source: Session, reference: str, target: Session, *, name: str | None = None) -> VersionObservation:
    """Copy a version to another environment, under `name` or its own.

    Keeps digest, manifest, lineage, metrics and evaluations; not aliases, stage or approval. Every byte passes
    through this machine and is compared with the manifest; what lies in the target already is not sent. Safe to repeat
    and to kill.

    Raises:
        NotFound: there is no such version.
        CapabilityError: another tool registered it, and the kit cannot read it.
        IntegrityError: a byte is not the one that was registered; nothing was registered in the target.
    """
    model = check_model(name) if name else None
    version = resolve(source, reference)
    package = package_of(source, version)
    lineage = {**version.lineage, "copied_from": handle(source, version)}
    origin = Origin(lineage, version.metrics, _own_tags(version, source))
    copied = enter(target, model or version.model, package, origin, verb="copy")
    carry(source, version, target)
    try:
        audit.record(source, "copy_out", f"model/{version.name}", to=handle(target, copied))
    except Denied as exc:  # whoever promotes may be allowed to read here and nothing else
        source.say(f"not in the log of {source.environment.name}: {exc.what}")
    return copied


def _own_tags(version: VersionObservation, source: Session) -> dict[str, str]:
    """The tags that belong to the model, not to the environment it lay in or to the kit."""
    return {
        key: value
        for key, value in version.tags.items()
        if not key.startswith(_KIT) and source.environment.tags.get(key) != value
    }
