"""Settings come from the command line, a manifest in the environment, or the platform; the earlier wins."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mlinfra.errors import SpecError
from mlinfra.serving.settings import Settings, read_settings


def manifest(section: Any, cut: int = 10_000) -> dict[str, str]:
    text = json.dumps({"version": 1, "serving": section})
    parts = [text[start : start + cut] for start in range(0, len(text), cut)]
    return {f"MLINFRA_MANIFEST_{number}": part for number, part in enumerate(parts)}


def test_the_command_line_comes_before_the_manifest_and_that_before_the_platform() -> None:
    env = {**manifest({"port": 7000, "name": "a"}), "AIP_HTTP_PORT": "6000", "AIP_STORAGE_URI": "/m"}

    assert read_settings([], {"AIP_HTTP_PORT": "6000"}).port == 6000
    assert read_settings([], env).port == 7000
    settings = read_settings(["--port", "8000"], env)
    assert (settings.port, settings.name, settings.model) == (8000, "a", "/m")


def test_a_manifest_may_be_cut_into_many_variables() -> None:
    section = {"capture": "/data", "capture_exclude": ["a", "b"], "capture_sample": 1, "queue_seconds": 2}
    settings = read_settings([], manifest(section, cut=7))

    assert (settings.capture, settings.capture_exclude) == ("/data", ("a", "b"))
    assert (settings.capture_sample, settings.queue_seconds) == (1.0, 2.0)


@pytest.mark.parametrize(
    ("section", "words"),
    [
        ({"prot": 1}, "unknown server setting"),
        ({"port": "8080"}, "wrong type for port"),
        ({"port": True}, "wrong type for port"),
        ({"capture_sample": 1.5}, "share"),
        ({"capture_sample": -0.1}, "share"),
        ({"workers": 0}, "at least one"),
        ({"capture_exclude": "income"}, "wrong type"),
        ({"health_route": "health"}, "slash"),
        ([], "not a JSON object"),
    ],
)
def test_a_wrong_setting_is_named(section: Any, words: str) -> None:
    with pytest.raises(SpecError, match=words):
        read_settings([], manifest(section))


@pytest.mark.parametrize("text", ["{", "[]", "7", "nothing"])
def test_a_manifest_that_is_no_json_object_is_refused(text: str) -> None:
    with pytest.raises(SpecError, match="not a JSON object"):
        read_settings([], {"MLINFRA_MANIFEST_0": text})


def test_a_port_in_words_is_refused() -> None:
    with pytest.raises(SpecError, match="AIP_HTTP_PORT"):
        read_settings([], {"AIP_HTTP_PORT": "http"})


def test_a_laptop_listens_on_loopback_and_a_container_everywhere() -> None:
    assert read_settings([], {}).host == "127.0.0.1"
    assert read_settings(["serve"], {}).host == "0.0.0.0"  # noqa: S104  a container's own network
    assert read_settings([], {"AIP_HTTP_PORT": "8080"}).host == "0.0.0.0"  # noqa: S104  as above
    assert read_settings([], {"AZUREML_MODEL_DIR": "/m"}).host == "0.0.0.0"  # noqa: S104  as above
    assert read_settings(["--host", "::1"], {"AIP_HTTP_PORT": "1"}).host == "::1"


def test_sagemaker_passes_serve_and_keeps_its_model_in_one_place() -> None:
    settings = read_settings(["serve"], {})

    assert (settings.model, settings.port) == ("/opt/ml/model", 8080)


def test_sagemakers_variables_for_many_models_and_pipelines() -> None:
    variables = {"SAGEMAKER_MULTI_MODEL": "true", "SAGEMAKER_BIND_TO_PORT": "9000"}
    settings = read_settings(["serve"], variables)

    assert (settings.models, settings.model, settings.port) == ("/opt/ml/models", "", 9000)
    assert read_settings(["serve"], {"SAGEMAKER_MULTI_MODEL": "false"}).models == ""


def test_an_image_of_the_kit_listens_everywhere() -> None:
    assert read_settings([], {"MLINFRA_IN_CONTAINER": "1"}).host == "0.0.0.0"  # noqa: S104  as above


def test_every_setting_has_an_option() -> None:
    arguments = ["--capture-exclude=a", "--capture-exclude=b", "--queue-seconds=0.5", "--body-limit=5", "--host=h"]
    settings = read_settings(arguments, {})

    assert settings == Settings(host="h", capture_exclude=("a", "b"), queue_seconds=0.5, body_limit=5)


@pytest.mark.parametrize("arguments", [["--prot", "1"], ["--port", "x"], ["start"]])
def test_a_wrong_command_line_ends_the_program(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        read_settings(arguments, {})
    assert caught.value.code == 2
