"""Logging in to registries by what a platform's client gives."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from mlinfra.contract.adapter import RegistryClient, RegistryLogin
from mlinfra.errors import CapabilityError, Denied, KitFault
from mlinfra.images.login import Credentials, anonymous, platform_credentials, platform_source
from mlinfra.images.transport import Transport
from mlinfra_aws.client import AwsClient

if TYPE_CHECKING:
    from collections.abc import Callable

DOCKER = Credentials("docker", "stored")


class Client:
    """A platform's client that knows one registry."""

    def __init__(self, answer: Callable[[], RegistryLogin]) -> None:
        self._answer = answer
        self.asked: list[str] = []

    def registry_login(self, registry: str) -> RegistryLogin | None:
        self.asked.append(registry)
        return self._answer() if registry.startswith("ours.") else None


def docker(_host: str) -> Credentials:
    return DOCKER


def denied() -> RegistryLogin:
    raise Denied("not you")


@pytest.mark.parametrize(
    ("login", "user", "password"),
    [
        (RegistryLogin("ecr", "QVdTOnNlY3JldA=="), "AWS", "secret"),
        (RegistryLogin("google", "ya29"), "oauth2accesstoken", "ya29"),
        (RegistryLogin("basic", "secret", user="me"), "me", "secret"),
    ],
)
def test_each_platforms_word_becomes_a_user_and_a_password(login: RegistryLogin, user: str, password: str) -> None:
    assert platform_credentials(login, "ours.io", Transport()) == Credentials(user, password)
    assert password not in repr(login)


def test_azures_word_is_exchanged_at_the_registry(served: Any) -> None:
    served.store.identity = "refresh"
    found = platform_credentials(RegistryLogin("azure", "aad", tenant="t"), served.host, Transport())

    assert found == Credentials(identity="refresh")
    assert [path for _, path, _ in served.store.log] == ["/oauth2/exchange"]


def test_a_scheme_that_nobody_knows_is_the_adapters_fault() -> None:
    with pytest.raises(KitFault, match="magic"):
        platform_credentials(RegistryLogin("magic", "x"), "ours.io", Transport())


def test_the_platform_is_asked_for_its_own_registries_and_docker_for_others() -> None:
    client, made = Client(lambda: RegistryLogin("basic", "secret", user="me")), []
    source = platform_source(lambda: made.append(1) or client, docker, Transport())

    assert made == []
    assert source("ours.io") == Credentials("me", "secret")
    assert source("docker.io") is DOCKER
    assert made == [1]
    assert client.asked == ["ours.io", "docker.io"]


def test_a_client_without_registries_leaves_all_to_docker() -> None:
    assert platform_source(object, docker, Transport())("ours.io") is DOCKER


def test_where_the_platform_denies_docker_may_know_better() -> None:
    assert platform_source(lambda: Client(denied), docker, Transport())("ours.io") is DOCKER
    with pytest.raises(Denied, match="not you"):
        platform_source(lambda: Client(denied), anonymous, Transport())("ours.io")


def test_a_platform_whose_sdk_is_missing_is_no_reason_to_stop() -> None:
    def missing() -> object:
        raise CapabilityError("the SDK is not installed")

    assert platform_source(missing, anonymous, Transport())("docker.io") is None


def test_awss_client_is_one_with_registries() -> None:
    assert issubclass(AwsClient, RegistryClient)
