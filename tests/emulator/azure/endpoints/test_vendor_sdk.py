"""The vendor's own clients work unmodified: the generated one, and `MLClient` on the kit's own model and server."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression

from mlinfra import save_model
from mlinfra.emulator.programs import KIT_SERVER
from mlinfra.emulator.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Hosting

    from mlinfra.emulator.azure import AzureEmulator
    from mlinfra.environment import AzureEnvironment

_HIGH_LEVEL = Path(__file__).with_name("vendor_endpoints.py")
_GENERATED = Path(__file__).with_name("vendor_client.py")


@pytest.mark.thorough
def test_the_generated_client_follows_operations_and_reads_what_is_told(
    hosting: Hosting, apart: Callable[..., None], tmp_path: Path
) -> None:
    answer = tmp_path / "answer.json"
    apart(_GENERATED, hosting.environment_version(), str(answer))
    assert json.loads(answer.read_text()) == {
        "made": "Succeeded",
        "defaults": [5.0, 30],
        "traffic": [{"blue": 100}],
        "capacity": 2,
        "skus": ["Default"],
        "logs": True,
        "keys": 32,
        "refused": [400, "UserError"],
        "left": [],
    }


class TestHighLevel:
    """`MLClient` in a process of its own."""

    @pytest.fixture
    @staticmethod
    def emulator_settings() -> Settings:
        return Settings(delays_scale=0.01)

    @pytest.mark.slow
    def test_the_vendors_high_level_client_hosts_a_model_of_the_kits(
        self, emulator: AzureEmulator, environment: AzureEnvironment, apart: Callable[..., None], tmp_path: Path
    ) -> None:
        rows = pd.DataFrame({"age": [20.0, 30.0, 40.0, 50.0], "income": [1.0, 2.0, 3.0, 4.0]})
        model = LogisticRegression().fit(rows, ["no", "no", "yes", "yes"])
        save_model(model, tmp_path / "package", example=rows)
        images = {name: f"{environment.registries['images']}/{name}:1" for name in ("kit", "broken")}
        emulator.containers.register(images["kit"], command=KIT_SERVER)
        emulator.containers.register(images["broken"], command=(sys.executable, "-c", "import time; time.sleep(600)"))
        answer = tmp_path / "answer.json"
        apart(_HIGH_LEVEL, images["kit"], images["broken"], str(tmp_path / "package"), str(answer))
        assert json.loads(answer.read_text()) == {
            "made": ["Succeeded", "system_assigned"],
            "blue": ["Succeeded", 1, 8],
            "mirrored": {"green": 20},
            "answer": ["yes", "no"],
            "logs": True,
            "keys": [True, False],
            "instances": 2,
            "traffic": {"blue": 100},
            "broken": "ResourceNotReady",
            "grey": "Failed",
            "refused": 400,
            "tokens": ["yes", "no"],
            "entra": ["yes", "no"],
            "left": [],
        }
        assert [name for name in emulator.leftovers() if "/models/" not in name] == []
