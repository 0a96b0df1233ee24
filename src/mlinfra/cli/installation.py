"""Whether this is the only `mlinfra` here: another tool of that name wants the same import and the same command."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

from mlinfra.errors import CapabilityError

OURS = "mlinfra-kit"
OTHER = "mlinfra"


def refuse_the_other() -> None:
    """Nothing, where this kit has the name for itself.

    Raises:
        CapabilityError: both are installed, and files of one have replaced files of the other.
    """
    try:
        other = version(OTHER)
    except PackageNotFoundError:
        return
    raise CapabilityError(
        f"the distribution {OTHER}, another tool, is installed beside {OURS}: both have the same import name",
        given=f"{OTHER} {other}",
        allowed=f"{OURS} alone",
        todo=f"pip uninstall {OTHER} {OURS}, then pip install {OURS}; or an environment for each",
    )
