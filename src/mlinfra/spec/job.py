"""One training or processing run: code, command and inputs lead to outputs."""

from collections.abc import Collection, Iterator, Mapping
from types import MappingProxyType
from typing import Annotated, Any, ClassVar

from pydantic import Field

from mlinfra.spec import defaults
from mlinfra.spec.base import Check, Model
from mlinfra.spec.code import Code, Command, GitSource, Image, Python
from mlinfra.spec.data import Input, Metric, Output
from mlinfra.spec.findings import Finding, Loc
from mlinfra.spec.limits import ENTRIES, RETRIES
from mlinfra.spec.names import Key, MachineType, MetricName, Name, Platform, SecretName, Variable
from mlinfra.spec.quantities import Threshold
from mlinfra.spec.references import faults, has_reference
from mlinfra.spec.resources import Resources
from mlinfra.spec.scalars import Scalar, Text
from mlinfra.spec.spec import Spec
from mlinfra.spec.words import advise, listed

Value = Annotated[str, Text(r"[^\0]{0,32768}", "text without NUL", "value")]


class Retries(Model):
    """How often a failed run is tried again, by whose fault it was."""

    infrastructure: int = Field(
        default=defaults.INFRASTRUCTURE_RETRIES,
        ge=0,
        le=RETRIES,
        description="After lost machines or missing capacity.",
    )
    user: int = Field(default=defaults.USER_RETRIES, ge=0, le=RETRIES, description="After the script itself failed.")


class Register(Model):
    """Make a model version of an output when the job has succeeded."""

    output: Key = Field(description="The output that holds the model; its type is model.")
    name: Name = Field(description="The model's name in the registry.")
    when: Mapping[MetricName, Threshold] = Field(
        default_factory=dict,
        description="Only if these metrics keep their bounds. A metric that is missing keeps none.",
    )


def _one_command(job: "JobSpec") -> Iterator[Finding]:
    if job.command is None and job.shell is None:
        yield Finding((), "no command", "command or shell", "add `command: [python, train.py]`")
    elif job.command is not None and job.shell is not None:
        yield Finding(("shell",), "a second command", "command or shell", "remove one of them", at_key=True)


def _one_runtime(job: "JobSpec") -> Iterator[Finding]:
    if job.python is not None and job.image is not None:
        todo = "remove one of them (in an overlay: null)"
        yield Finding(("image",), "beside python", "python or image", todo, at_key=True)


def _references(job: "JobSpec") -> Iterator[Finding]:
    known: dict[str, Collection[str]] = {"inputs": job.inputs, "outputs": job.outputs, "params": job.params}
    for index, argument in enumerate(job.command or ()):
        for fault in faults(argument, known):
            yield Finding(("command", index), *fault, given=argument, has_value=True)


def _no_references(job: "JobSpec") -> Iterator[Finding]:
    texts: list[tuple[Loc, str]] = [(("env", name), value) for name, value in job.env.items()]
    texts += [(("shell",), job.shell)] if job.shell else []
    for loc, text in texts:
        if has_reference(text):
            todo = "use a variable: MLINFRA_PARAM_<NAME>, MLINFRA_INPUT_<NAME>, MLINFRA_OUTPUT_<NAME>"
            yield Finding(loc, "a reference outside command", "references in command alone", todo, text, has_value=True)


def _registration(job: "JobSpec") -> Iterator[Finding]:
    wish = job.register_
    if wish is None:
        return
    output = job.outputs.get(wish.output)
    if output is None:
        todo = advise(wish.output, job.outputs, f"add {wish.output} to outputs")
        yield Finding(("register", "output"), "no such output", listed(job.outputs), todo, wish.output, has_value=True)
    elif output.type != "model":
        todo = f"write `{wish.output}: {{type: model}}` in outputs"
        yield Finding(
            ("register", "output"), "not a model", "an output of type model", todo, wish.output, has_value=True
        )
    for metric in wish.when:
        if metric not in job.metrics:
            todo = advise(metric, job.metrics, f"add {metric} to metrics")
            loc = ("register", "when", metric)
            yield Finding(loc, "no such metric", listed(job.metrics), todo, metric, has_value=True, at_key=True)


def _clashes(job: "JobSpec") -> Iterator[Finding]:
    for name in job.env.keys() & job.secrets.keys():
        yield Finding(("secrets", name), "set by env too", "one of the two", "remove it from env", name, at_key=True)
    for section in ("inputs", "outputs", "params"):
        taken: dict[str, str] = {}
        for name in getattr(job, section):
            variable = name.upper().replace("-", "_")
            if variable in taken:
                what = f"the same variable as {taken[variable]}: MLINFRA_{section[:-1].upper()}_{variable}"
                allowed = "names that differ in more than case, - and _"
                yield Finding((section, name), what, allowed, "rename one of them", name, has_value=True, at_key=True)
            taken.setdefault(variable, name)


class JobSpec(Spec):
    """One training or processing run."""

    kind: ClassVar[str] = "job"
    CHECKS: ClassVar[tuple[Check, ...]] = (
        *Spec.CHECKS,
        Check(("command", "shell"), _one_command),
        Check(("python", "image"), _one_runtime),
        Check(("command", "inputs", "outputs", "params"), _references),
        Check(("shell", "env"), _no_references),
        Check(("register", "outputs", "metrics"), _registration),
        Check(("env", "secrets", "inputs", "outputs", "params"), _clashes),
    )

    STAND_INS: ClassVar[Mapping[str, Any]] = MappingProxyType(
        {"inputs": ".", "outputs": {"type": "model"}, "params": 0, "metrics": {}}
    )

    code: Code = Field(
        default=defaults.CODE,
        description=(
            "The folder that goes into the bundle, or {git: URL, ref: SHA}. Inputs, outputs, what git ignores or "
            ".mlinfraignore names, .git, .env* and key files stay out."
        ),
    )
    command: Command | None = Field(
        default=None,
        description=(
            "The program and its arguments. A text is split as a shell would, but none runs. "
            "${{inputs.NAME}}, ${{outputs.NAME}} and ${{params.NAME}} are filled in when the job runs."
        ),
    )
    shell: Annotated[Value, Field(min_length=1)] | None = Field(
        default=None, description="A command line for a shell, instead of command. Parameters reach it as variables."
    )
    python: Python | None = Field(default=None, description="The interpreter and packages. Excludes image.")
    image: Image | None = Field(default=None, description="A container image that has all it needs. Excludes python.")
    inputs: Mapping[Key, Input] = Field(
        default_factory=dict, max_length=ENTRIES, description="What the job reads, by name."
    )
    outputs: Mapping[Key, Output] = Field(
        default_factory=dict, max_length=ENTRIES, description="The folders that the job fills, by name."
    )
    params: Mapping[Key, Scalar] = Field(
        default_factory=dict,
        max_length=ENTRIES,
        description="Parameters of the run: texts, numbers, true or false. Any text is harmless.",
    )
    metrics: Mapping[MetricName, Metric] = Field(
        default_factory=dict, max_length=ENTRIES, description="The numbers that the job reports."
    )
    register_: Register | None = Field(
        default=None, alias="register", description="Make a model version of an output when the job has succeeded."
    )
    resources: Resources = Field(default_factory=Resources, description="What the job needs at least.")
    machine: Mapping[Platform, MachineType] = Field(
        default_factory=dict, description="The exact machine type by platform, where the choice must be exact."
    )
    retries: Retries = Field(default_factory=Retries, description="How often a failed run is tried again.")
    checkpoint: bool = Field(
        default=False,
        description=(
            "The script keeps its progress in the folder MLINFRA_CHECKPOINT, and goes on from there when it is "
            "run again."
        ),
    )
    env: Mapping[Variable, Value] = Field(
        default_factory=dict, max_length=ENTRIES, description="Variables of the script's environment."
    )
    secrets: Mapping[Variable, SecretName] = Field(
        default_factory=dict,
        max_length=ENTRIES,
        description="Variables filled from the environment's vault by the job's identity: variable to secret's name.",
    )

    def local_paths(self) -> list[tuple[Loc, str]]:
        """Code, requirements and local inputs."""
        found: list[tuple[Loc, str]] = []
        if not isinstance(self.code, GitSource):
            found.append((("code",), self.code))
        if self.python and self.python.requirements:
            found.append((("python", "requirements"), self.python.requirements))
        found += [(("inputs", name, "uri"), data.uri) for name, data in self.inputs.items() if data.is_local]
        return found
