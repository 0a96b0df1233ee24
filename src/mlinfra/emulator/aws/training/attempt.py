"""One attempt at a training job: data in, containers, lines and checkpoints while they run, results out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlinfra.emulator.aws.training import logs as joblogs
from mlinfra.emulator.aws.training import outputs as training_outputs
from mlinfra.emulator.aws.training.channels import Channel, Item, manifested, prefixed, shared
from mlinfra.emulator.aws.training.checkpoints import Checkpoints
from mlinfra.emulator.aws.training.container import ML, Containers, network_can_be_cut
from mlinfra.emulator.aws.training.faults import AlgorithmError, ClientError
from mlinfra.emulator.aws.training.nodes import variables, write_config
from mlinfra.emulator.aws.training.states import GRACE
from mlinfra.emulator.aws.training.store import RoleStore
from mlinfra.emulator.calls import Refusal
from mlinfra.emulator.jobs.hosted import longest
from mlinfra.emulator.jobs.pump import Line, LogPump
from mlinfra.errors import CapabilityError

if TYPE_CHECKING:
    from pathlib import Path

    from mlinfra.emulator.aws.emulator import AwsEmulator
    from mlinfra.emulator.aws.registry.images import Contents
    from mlinfra.emulator.aws.training.container import Room
    from mlinfra.emulator.aws.training.job import TrainingJob
    from mlinfra.emulator.aws.training.logs import Measured
    from mlinfra.emulator.aws.training.nodes import Node

_CHECKPOINTS = "/opt/ml/checkpoints"  # where CheckpointConfig's LocalPath says nothing else
_MANIFEST = "ManifestFile"


class Attempt:
    """Uses a room of its own; `clear` gives it back. `containers` are what it has on the host."""

    def __init__(self, emulator: AwsEmulator, job: TrainingJob, image: Contents, nodes: list[Node], room: Room) -> None:
        self._emulator = emulator
        self._job = job
        self._image = image
        self._nodes = nodes
        self._archive_path = room.folder / "archive.tar.gz"
        self._store = RoleStore(emulator.storage, job.role)
        self.containers = Containers(emulator.host, room, nodes)
        config = job.request.get("CheckpointConfig", {})
        self._checkpoint_path = config.get("LocalPath", _CHECKPOINTS).rstrip("/") if config else ""
        self._checkpoints = [
            Checkpoints(self._store, config["S3Uri"], self.containers.inside(node, self._checkpoint_path))
            for node in (nodes if config else ())
        ]
        self._streams: list[str] = []
        self._address = ""
        self._pump = LogPump(self.containers.lines, self._log, emulator.clock.ahead)
        self._definitions = joblogs.Definitions(job.request["AlgorithmSpecification"].get("MetricDefinitions", ()))
        mode = job.request["AlgorithmSpecification"]["TrainingInputMode"]
        self._channels = [Channel.of(each, mode) for each in job.request.get("InputDataConfig", ())]

    def bring_data(self) -> None:
        """Put documents, channels and checkpoints in their places. JobFault where something is not to be had."""
        hyperparameters = self._job.request.get("HyperParameters", {})
        for node in self._nodes:
            config = self.containers.ml(node) / "input/config"
            write_config(config, node, self._nodes, hyperparameters, self._channels)
        for channel in self._channels:
            self._bring(channel)
        for checkpoints in self._checkpoints:
            checkpoints.bring()

    def start(self) -> None:
        """Queue the containers. ClientError where this machine cannot run them."""
        request = self._job.request
        algorithm = request["AlgorithmSpecification"]
        isolated = request["EnableNetworkIsolation"]
        speed = self._emulator.clock.speed
        outside = self._checkpoint_path and not self._checkpoint_path.startswith(f"{ML}/")
        try:
            self.containers.start(
                [*algorithm.get("ContainerEntrypoint", ()), *algorithm.get("ContainerArguments", ())],
                {
                    **variables(self._job.name, self._job.arn, self._emulator.region),
                    **({} if isolated else self._credentials()),
                    **request.get("Environment", {}),
                },
                self._image.interpreter(),
                longest=longest(self._job.limits["MaxRuntimeInSeconds"], speed),
                grace=GRACE / speed,
                mounted=[self._checkpoint_path] if outside else [],
                without_network=isolated and len(self._nodes) == 1 and network_can_be_cut(),
            )
        except CapabilityError as exc:
            raise ClientError(f"The container cannot run on this emulator's machine: {exc.what}") from exc
        began = self._emulator.clock.now()
        self._streams = [joblogs.stream_name(self._job.name, node.host, began) for node in self._nodes]

    def carry(self, *, last: bool = False) -> None:
        """Carry new lines to the logs and new checkpoints to S3."""
        self._pump.pump()
        for checkpoints in self._checkpoints:
            checkpoints.carry(last=last)

    def check(self) -> None:
        """Raise AlgorithmError where the containers ended badly."""
        code = self.containers.exit_code()
        if code:
            words = training_outputs.failure(self.containers.everywhere("output/failure"))
            raise AlgorithmError(words, code)

    def upload(self, *, model: bool) -> None:
        """Store what was left: the data for the output, and the model if it is wanted. Nothing left, nothing stored."""
        data = training_outputs.gathered(self.containers.everywhere("output/data"))
        left = training_outputs.gathered(self.containers.everywhere("model")) if model else {}
        if self._job.model.endswith("/"):  # CompressionType NONE: model and data as files, says the developer guide
            self._put_each(left, self._job.model)
            self._put_each(data, f"{self._job.output}/data/")
        else:
            self._archive(left, self._job.model)
            self._archive(data, f"{self._job.output}/output.tar.gz")

    def clear(self) -> None:
        """Leave neither processes nor files behind, and tell the role's keys no more."""
        self._emulator.container_credentials.take_back(self._address)
        self.containers.clear()

    def _bring(self, channel: Channel) -> None:
        items = self._items(channel)
        groups = [node.group for node in self._nodes]
        for node, hand in zip(self._nodes, shared(channel, items, groups), strict=True):
            folder = self.containers.ml(node) / "input/data" / channel.name
            if not channel.groups or node.group in channel.groups:
                folder.mkdir(parents=True, exist_ok=True)
            for item in hand:
                self._store.fetch(item, folder)

    def _items(self, channel: Channel) -> list[Item]:
        if channel.kind == _MANIFEST:
            return manifested(self._store.read(channel.uri))
        return prefixed(channel.uri, self._store.listed(channel.uri))

    def _put_each(self, files: dict[str, Path], prefix: str) -> None:
        for name, path in files.items():
            if path.is_file():
                self._store.put(f"{prefix}{name}", path)

    def _archive(self, files: dict[str, Path], uri: str) -> None:
        if files:
            training_outputs.pack(files, self._archive_path)
            self._store.put(uri, self._archive_path)

    def _credentials(self) -> dict[str, str]:
        """Where the keys of the execution role are told, and where to use them."""
        if not self._address:
            self._address = self._emulator.container_credentials.address(self._job.role)
        return {"AWS_CONTAINER_CREDENTIALS_FULL_URI": self._address, "AWS_ENDPOINT_URL": self._emulator.url}

    def _log(self, rank: int, lines: list[Line]) -> None:
        for line in lines:
            for measured in self._definitions.found(line.text, line.at):
                self._measure(measured)
        events = joblogs.events(lines)
        if not events:
            return
        try:
            self._emulator.logs.put(joblogs.GROUP, self._streams[rank], events, self._job.role)
        except Refusal:  # a role that may not write logs trains without them
            return

    def _measure(self, measured: Measured) -> None:
        with self._job.lock:
            self._job.metrics[measured.name] = measured
        dimensions = {"TrainingJobName": self._job.name}
        self._emulator.cloudwatch.put(joblogs.NAMESPACE, measured.name, dimensions, measured.value, at=measured.at)
