"""An endpoint that an Azure stack owns whole, on the real engine: it answers, is replaced without a gap, and goes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from mlinfra.emulator.azure import AzureEmulator
from mlinfra.emulator.programs import KIT_SERVER
from mlinfra.engine.deploy import deploy
from mlinfra.engine.endpoints import find, invoke
from mlinfra.engine.folders import Folders
from mlinfra.engine.session import Session, open_session
from mlinfra.environment import Image, parse
from mlinfra.errors import Denied
from mlinfra.spec import EndpointSpec
from mlinfra.testing.models import registered

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from conftest import Site

    from mlinfra.infra.automation.run import Outcome

NAME = "slopes"
DIGESTS = {"old": "a" * 64, "new": "b" * 64}


def steps(outcome: Outcome, *names: str) -> list[tuple[str, str]]:
    """What was done with some resources, in its order; what stays is left out."""
    found = ((each["step"], each["name"].removeprefix("azure-dev-slopes-")) for each in outcome.resources)
    return [(step, name) for step, name in found if name in names and step not in {"same", "refresh", "replace"}]


def answer(session: Session) -> Any:
    told = invoke(session, NAME, rows=[{"x": 1.0}])
    return json.loads(told.body), told.deployment


@pytest.mark.slow
def test_an_endpoint_owned_whole_answers_is_replaced_without_a_gap_and_goes(
    site: Callable[[str, str], Site], tmp_path: Path
):
    it = site("azure", "dev")
    emulator = it.emulator
    assert isinstance(emulator, AzureEmulator)
    environment = emulator.seed(parse(it.up().environment))
    images = {each: f"{environment.registries['images']}/serving@sha256:{DIGESTS[each]}" for each in DIGESTS}
    for uri in images.values():
        emulator.containers.register(uri, "3.11", command=KIT_SERVER)
    serving = {**environment.images, "serving": Image(uri=images["old"], python="3.11")}
    environment = environment.model_copy(update={"images": serving})
    folders = Folders(tmp_path / "state", tmp_path / "project")
    with open_session(environment, folders=folders, say=lambda _: None) as session:
        model = registered(session, tmp_path, slope=2.0)

        def whole(image: str, **more: Any) -> dict[str, Any]:
            return {NAME: {"image": images[image], "model": model.name, **more}}

        it.clone.configure(whole_endpoints=whole("old"))
        assert set(it.up().changed) == {"create"}
        first, old = answer(session)
        assert first == {"predictions": [2.0]}
        it.quiet()
        it.quiet(refresh=True)
        with pytest.raises(Denied, match="a stack owns this endpoint whole"):
            deploy(session, EndpointSpec(name=NAME, model=model.name))

        it.clone.configure(whole_endpoints=whole("new"))
        assert steps(it.up(), "image", "main-deployment", "traffic") == [
            ("create-replacement", "image"),
            ("create-replacement", "main-deployment"),
            ("update", "traffic"),
            ("delete-replaced", "main-deployment"),
            ("delete-replaced", "image"),
        ]
        second, new = answer(session)
        assert (second, new != old) == (first, True)
        it.quiet(refresh=True)

        it.clone.configure(whole_endpoints=whole("new", scale={"max": 2}))
        assert it.up().changed == {"create": 1}
        it.quiet(refresh=True)
        observed = find(session, NAME)
        assert observed is not None
        assert observed.traffic == {new: 100}

    it.clone.configure(whole_endpoints={})
    assert set(it.up().changed) == {"delete"}
    assert not it.orphans()  # the deployment has gone with its endpoint
    it.destroy()
    assert it.providers.state.all() == []
