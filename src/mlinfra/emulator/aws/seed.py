"""What a stack would have created: buckets, roles with their policies, keys, log groups, images.

It is made from an environment's document, so that a stack's own document does; `made_up` writes one.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import TYPE_CHECKING, Any

from mlinfra.emulator.aws.identity import identities
from mlinfra.emulator.aws.storage import split
from mlinfra.emulator.aws.wire import motoside
from mlinfra.environment import AwsEnvironment
from mlinfra.errors import Problem, SpecError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlinfra.emulator.aws.emulator import AwsEmulator
    from mlinfra.emulator.aws.identity.authorize import Place
    from mlinfra.emulator.aws.identity.principals import Credentials

_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
_CLIENTS = (
    "sagemaker",
    "sagemaker-runtime",
    "s3",
    "logs",
    "cloudwatch",
    "application-autoscaling",
    "sts",
    "iam",
    "ecr",
    "kms",
    "events",
    "scheduler",
    "secretsmanager",
    "service-quotas",
)


class Seeded:
    """What has been seeded in one emulator."""

    def __init__(self, emulator: AwsEmulator) -> None:
        self._emulator = emulator
        self.identities: dict[str, str] = {}  # name -> ARN
        self.default_bucket = ""
        self._keys: dict[str, Credentials] = {}

    def create(self, environment: AwsEnvironment) -> AwsEnvironment:
        """Make what is not there yet; an identity keeps what it has from other environments.

        Returns the environment with the addresses filled in.

        Raises:
            SpecError: a store or an identity is none of this account's; nothing was made.
        """
        emulator = self._emulator
        _check(environment)
        stores = {name: store.uri for name, store in environment.stores.items()}
        for uri in stores.values():
            emulator.storage.create_bucket(split(uri)[0])
        if stores:
            self.default_bucket = split(stores.get("artefacts", next(iter(stores.values()))))[0]
        keys = tuple(self._key(name) for name in environment.keys.values())
        passed = tuple(environment.identities[name] for name in ("trainer", "server") if name in environment.identities)
        vaults = tuple(environment.vaults.values())
        grounds = identities.Grounds(emulator.place, stores, passed, keys, vaults)
        for name, arn in environment.identities.items():
            self._identity(name, arn, grounds, f"mlinfra-{environment.name}")
        if environment.observability.logs:
            emulator.logs.create_group(environment.observability.logs)
        for image in environment.images.values():
            self._image(image.uri, image.python)
        if "serving" in environment.images:
            emulator.endpoints.images.register(
                environment.images["serving"].uri, python=environment.images["serving"].python
            )
        emulator.principals.carry()
        return self._filled(environment)

    def credentials(self, identity: str) -> Credentials | None:
        """Keys of an identity, by name or ARN; the same ones every time. None: nobody of that name was seeded."""
        arn = self.identities.get(identity, identity)
        if arn not in self.identities.values():
            return None
        if arn not in self._keys:
            self._keys[arn] = self._emulator.principals.credentials(arn)
        return self._keys[arn]

    def _identity(self, name: str, arn: str, grounds: identities.Grounds, policy: str) -> None:
        iam = motoside.backend("iam", self._emulator.account, "aws")
        own = arn.rpartition("/")[2]
        document = json.dumps(identities.policy(name, grounds))
        if ":user/" in arn:
            if own not in iam.users:
                iam.create_user(self._emulator.region, own)
            iam.put_user_policy(own, policy, document)
        else:
            role = self._emulator.principals.role(arn)
            if role is None:
                self._role(own, arn, name)
            if role is None or not _of_a_stack(iam, own):
                iam.put_role_policy(own, policy, document)
        self.identities[name] = arn

    def _role(self, own: str, arn: str, identity: str) -> None:
        iam = motoside.backend("iam", self._emulator.account, "aws")
        path = arn.partition(":role")[2].removesuffix(own) or "/"
        iam.create_role(
            role_name=own,
            assume_role_policy_document=json.dumps(identities.trust(identity, self._emulator.place)),
            path=path,
            permissions_boundary=None,
            description="",
            tags=[],
            max_session_duration="3600",
        )

    def _key(self, name: str) -> str:
        """The ARN of a key by ARN, alias or id; made where it is not there."""
        known = motoside.key_arn(name, self._emulator.account, self._emulator.region)
        if known:
            return known
        kms = motoside.backend("kms", self._emulator.account, self._emulator.region)
        key = kms.create_key(None, "ENCRYPT_DECRYPT", "SYMMETRIC_DEFAULT", "made by the seed", [])
        if "alias/" in name:
            kms.create_alias(key.id, name[name.index("alias/") :])
        else:
            _rename(kms, key, name.rpartition("key/")[2])
        return str(key.arn)

    def _image(self, uri: str, python: str) -> None:
        """Put an image of the account's own registry there, as a manifest without layers, for whoever looks."""
        self._emulator.registry.register(uri, python)
        name, _, digest = uri.partition("/")[2].partition("@")
        repository, _, tag = name.partition(":")
        ecr = motoside.backend("ecr", self._emulator.account, self._emulator.region)
        if self._emulator.account not in uri or not repository:
            return
        if repository not in ecr.repositories:
            ecr.create_repository(repository, self._emulator.account, None, None, "IMMUTABLE", [])
        known = ecr.repositories[repository].images
        if not any((digest or tag) in {each.image_digest, *each.image_tags} for each in known):
            manifest = json.dumps(
                {"schemaVersion": 2, "mediaType": _MANIFEST, "config": {"digest": digest}, "layers": []}
            )
            ecr.put_image(repository, manifest, tag or None, _MANIFEST, digest or None)

    def _filled(self, environment: AwsEnvironment) -> AwsEnvironment:
        native = dict(environment.native)
        if "deployer" in self.identities:
            keys = self.credentials("deployer")
            native["credentials"] = keys.as_document() if keys else {}
        endpoints = dict.fromkeys(_CLIENTS, self._emulator.url)
        return environment.model_copy(update={"emulated": True, "endpoints": endpoints, "native": native})


def _of_a_stack(iam: Any, role: str) -> bool:
    """Whether a stack made the role, and gave it what it may do."""
    tags, _ = iam.list_role_tags(role, None)
    return any(tag["Key"] == "mlinfra_environment" for tag in tags)


def _check(environment: AwsEnvironment) -> None:
    mine = re.compile(rf"arn:aws:iam::{environment.account}:(role|user)/([\w+=,.@/-]+/)?[\w+=,.@-]+")
    problems = [
        Problem("not a bucket or a prefix in one", f"stores.{name}.uri", given=store.uri, allowed="s3://bucket/prefix")
        for name, store in environment.stores.items()
        if not re.fullmatch(r"s3://[a-z0-9][a-z0-9.-]+(/.*)?", store.uri)
    ]
    problems += [
        Problem("not a role or user of the account", f"identities.{name}", given=arn, allowed=mine.pattern)
        for name, arn in environment.identities.items()
        if not mine.fullmatch(arn)
    ]
    if problems:
        raise SpecError("an environment that no stack could have made", problems=problems)


def made_up(place: Place, name: str, changes: Mapping[str, Any]) -> AwsEnvironment:
    """An environment that nobody described: one bucket for artefacts and data, one for approvals, four roles."""
    bucket = f"mlinfra-{name}-{place.account}"
    roles = ("deployer", "trainer", "server", "approver")
    registry = f"{place.account}.dkr.ecr.{place.region}.amazonaws.com/mlinfra"
    document: dict[str, Any] = {
        "platform": "aws",
        "name": name,
        "region": place.region,
        "account": place.account,
        "emulated": True,
        "stores": {
            "artefacts": {"uri": f"s3://{bucket}/artefacts"},
            "data": {"uri": f"s3://{bucket}/data"},
            "captures": {"uri": f"s3://{bucket}/captures"},
            "approvals": {"uri": f"s3://{bucket}/approvals"},
        },
        "identities": {role: f"arn:aws:iam::{place.account}:role/mlinfra-{role}" for role in roles},
        "images": {
            kind: {"uri": f"{registry}/{kind}@sha256:{hashlib.sha256(kind.encode()).hexdigest()}", "python": "3.11"}
            for kind in ("base", "serving")
        },
        "registries": {"images": registry},
        "vaults": {"main": f"mlinfra/{name}/"},
    }
    return AwsEnvironment.model_validate({**document, **changes})


def _rename(kms: Any, key: Any, wanted: str) -> None:
    """Give a key the id that an environment names."""
    del kms.keys[key.id]
    key.arn = str(key.arn).replace(key.id, wanted)
    key.id = wanted
    kms.keys[wanted] = key
