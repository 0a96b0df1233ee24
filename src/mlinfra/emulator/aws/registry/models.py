"""Models: what a container needs to serve. CreateModel, DescribeModel, ListModels, DeleteModel.

A model is looked at when it is created, in the name of its execution role: the role must trust SageMaker, the image
must be there to pull and the model data there to read. Deleting a model touches nothing that runs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlinfra.emulator.aws.operations import Operation, named
from mlinfra.emulator.aws.paging import Listing
from mlinfra.emulator.aws.storage import split
from mlinfra.emulator.aws.wire import refusals
from mlinfra.emulator.calls import Refusal
from mlinfra.emulator.table import Duplicate, Table

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from mlinfra.emulator.aws.emulator import AwsEmulator
    from mlinfra.emulator.aws.operations import Request

KIND = "model"
_MISSING = 404
_LISTING = Listing("Models", "ModelName")
_LONGEST_ENVIRONMENT = 32 * 1024  # bytes of all keys and values of all containers, as CreateModel documents


@dataclass(frozen=True)
class Model:
    """One model. `containers` are its definitions with those of model packages in their places."""

    arn: str
    created: datetime
    body: dict[str, Any]
    containers: tuple[dict[str, Any], ...]

    @property
    def name(self) -> str:
        """Its name."""
        return str(self.body["ModelName"])

    def described(self) -> dict[str, Any]:
        """As DescribeModel tells it."""
        told = {name: value for name, value in self.body.items() if name != "Tags"}
        if "PrimaryContainer" in told:
            told["PrimaryContainer"] = {"Mode": "SingleModel", **told["PrimaryContainer"]}
        if "Containers" in told:
            told["Containers"] = [{"Mode": "SingleModel", **each} for each in told["Containers"]]
        return {"EnableNetworkIsolation": False, **told, "ModelArn": self.arn, "CreationTime": self.created}

    def summary(self) -> dict[str, Any]:
        """As ListModels tells it."""
        return {"ModelName": self.name, "ModelArn": self.arn, "CreationTime": self.created}


class Models:
    """The models of the account."""

    def __init__(self, emulator: AwsEmulator) -> None:
        self._emulator = emulator
        self._table: Table[Model] = Table(emulator.clock, emulator.settings.list_lag)

    def get(self, name: str) -> dict[str, Any]:
        """A model as CreateModel took it.

        Raises:
            Refusal: there is none of that name.
        """
        return self._found(name).body

    def containers(self, name: str) -> tuple[dict[str, Any], ...]:
        """A model's container definitions, with image and data of the model package where one is named.

        Raises:
            Refusal: there is none of that name.
        """
        return self._found(name).containers

    def create(self, request: Request) -> dict[str, Any]:
        """CreateModel."""
        body = request.body
        arn = self._emulator.arn(KIND, body["ModelName"])
        containers = self._containers(body)
        role = body.get("ExecutionRoleArn")
        if role is None:
            raise refusals.not_emulated("A model without ExecutionRoleArn (one for inference components)")
        self._emulator.pass_role(request, role)
        for container in containers:
            self._check_image(container, role)
            self._check_data(container, role)
        self._emulator.tags.check(body.get("Tags", ()))
        try:
            self._table.add(body["ModelName"], Model(arn, self._emulator.clock.now(), body, containers))
        except Duplicate:
            raise refusals.already_exists(KIND, arn) from None
        self._emulator.tags.put(arn, body.get("Tags", ()))
        return {"ModelArn": arn}

    def describe(self, request: Request) -> dict[str, Any]:
        """DescribeModel."""
        return self._found(request.body["ModelName"]).described()

    def listing(self, request: Request) -> dict[str, Any]:
        """ListModels."""
        return _LISTING.answer([model.summary() for model in self._table.listed()], request.body)

    def delete(self, request: Request) -> dict[str, Any]:
        """DeleteModel."""
        model = self._found(request.body["ModelName"])
        self._table.remove(model.name)
        self._emulator.tags.drop(model.arn)
        return {}

    def leftovers(self) -> list[str]:
        """ARNs of all that are there."""
        return [model.arn for model in self._table.values()]

    def _found(self, name: str) -> Model:
        model = self._table.get(name)
        if model is None:
            raise refusals.could_not_find(KIND, self._emulator.arn(KIND, name))
        return model

    def _containers(self, body: Mapping[str, Any]) -> tuple[dict[str, Any], ...]:
        if ("PrimaryContainer" in body) == bool(body.get("Containers")):
            raise refusals.validation("Exactly one of PrimaryContainer and Containers must be provided.")
        given = [body["PrimaryContainer"]] if "PrimaryContainer" in body else body["Containers"]
        texts = (text for each in given for pair in each.get("Environment", {}).items() for text in pair)
        if sum(len(text.encode()) for text in texts) > _LONGEST_ENVIRONMENT:
            raise refusals.validation("The environment variables of all containers must not exceed 32 KB.")
        return tuple(container for each in given for container in self._resolved(each))

    def _resolved(self, definition: Mapping[str, Any]) -> list[dict[str, Any]]:
        if "ModelPackageName" not in definition:
            if "Image" not in definition:
                raise refusals.validation("A container definition needs one of Image and ModelPackageName.")
            if "ModelDataUrl" in definition and "ModelDataSource" in definition:
                raise refusals.validation("Both ModelDataUrl and ModelDataSource are provided; only one is allowed.")
            return [dict(definition)]
        clashing = sorted({"Image", "ModelDataUrl", "ModelDataSource"} & definition.keys())
        if clashing:
            raise refusals.validation(f"{clashing[0]} cannot be provided together with ModelPackageName.")
        own = {name: value for name, value in definition.items() if name != "ModelPackageName"}
        return [
            {**own, **packaged, "Environment": {**packaged.get("Environment", {}), **own.get("Environment", {})}}
            for packaged in self._emulator.packages.deployable(definition["ModelPackageName"])
        ]

    def _check_image(self, container: Mapping[str, Any], role: str) -> None:
        """Refuse an image that cannot be pulled; one that nothing here stands for is refused when it is deployed."""
        try:
            self._emulator.registry.contents(container["Image"], role)
        except Refusal as exc:
            if exc.code != refusals.NOT_EMULATED:
                raise

    def _check_data(self, container: Mapping[str, Any], role: str) -> None:
        source = container.get("ModelDataSource", {}).get("S3DataSource", {})
        uri = source.get("S3Uri") or container.get("ModelDataUrl", "")
        if not uri:
            return
        if not uri.startswith("s3://"):
            raise refusals.not_emulated("Model data at an address that does not begin with s3://")
        try:
            there = bool(self._data(uri, role, prefix=source.get("S3DataType") == "S3Prefix"))
        except Refusal as exc:
            if exc.status == _MISSING:
                raise refusals.validation(f"Could not find model data at {uri}.") from None
            raise self._no_access(uri, role) from None
        if not there:
            raise refusals.validation(f"Could not find model data at {uri}.")

    def _data(self, uri: str, role: str, *, prefix: bool) -> bool:
        if prefix:
            return bool(self._emulator.storage.list(uri, role))
        return self._emulator.storage.exists(uri, role)

    def _no_access(self, uri: str, role: str) -> Refusal:
        bucket, _ = split(uri)
        return refusals.validation(
            f'Could not access model data at {uri}. Please ensure that the role "{role}" exists and that its trust '
            'relationship policy allows the action "sts:AssumeRole" for the service principal '
            '"sagemaker.amazonaws.com". Also ensure that the role has "s3:GetObject" permissions and that the '
            f"object is located in {self._emulator.region}, bucket {bucket}."
        )


_NAMED = named(KIND, "ModelName")
OPERATIONS = (
    Operation(
        "CreateModel",
        lambda emulator, request: emulator.models.create(request),
        _NAMED,
        (
            "VpcConfig is kept; whether subnets and security groups exist is not looked at",
            "a model without ExecutionRoleArn answers 'not emulated'",
        ),
    ),
    Operation("DescribeModel", lambda emulator, request: emulator.models.describe(request), _NAMED),
    Operation("ListModels", lambda emulator, request: emulator.models.listing(request)),
    Operation("DeleteModel", lambda emulator, request: emulator.models.delete(request), _NAMED),
)
