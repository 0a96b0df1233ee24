"""The conformance suite: what every adapter must pass, ours or a stranger's.

    from mlinfra.testing import JobSuite, RenderSuite

    class TestRender(RenderSuite):
        @pytest.fixture
        def environment(self): return my_environment()

A subclass supplies the fixture `environment` and nothing else. A capability that an adapter declares absent is not
skipped: the suite asserts that asking for it is a CapabilityError which gives the declared reason.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlinfra.testing.endpoints import EndpointSuite
    from mlinfra.testing.jobs import JobSuite
    from mlinfra.testing.models import ModelSuite
    from mlinfra.testing.render import RenderSuite

__all__ = ["EndpointSuite", "JobSuite", "ModelSuite", "RenderSuite"]

_HOMES = {"EndpointSuite": "endpoints", "JobSuite": "jobs", "ModelSuite": "models", "RenderSuite": "render"}


def __getattr__(name: str) -> object:
    """Load the module that holds `name`."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
