"""A stack's configuration as a model: read whole, with every mistake told at once, before any resource is registered.

The namespace is `mlinfra` in every project, so that the same stack file works in a clone of the kit and in a project
of one's own. Structured values are YAML below their key: `mlinfra:tags: {team: risk}`.
"""

from __future__ import annotations

import hashlib
import json
import os
from difflib import get_close_matches
from importlib import import_module
from ipaddress import IPv4Network
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final, Literal, NamedTuple, TypeVar, get_args

import pulumi
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import PydanticCustomError

from mlinfra.environment import Stage, Tracking
from mlinfra.errors import Problem, SpecError, WrongAccount, shorten
from mlinfra.infra.stages import FIRM_IN_PROD, Profile, SettingChanges, profile
from mlinfra.spec.names import Name  # noqa: TC001  pydantic reads the annotation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from pydantic.fields import FieldInfo

NAMESPACE: Final = "mlinfra"
PLATFORMS: Final = ("aws", "azure", "gcp", "local")
_PACKAGES: Final = {"aws": "aws", "azure": "azure-native", "gcp": "gcp"}  # a platform's provider package
_ATTACHED: Final = "PULUMI_DEBUG_PROVIDERS"  # the engine's variable for providers that run already
_PREFIX: Final = f"{NAMESPACE}:"
_NAME: Final = "name"  # the one field that no key of the configuration fills
_AZURE_DEVOPS: Final = "azure-devops"
_ISSUERS: Final = {"github": "https://token.actions.githubusercontent.com", "gitlab": "https://gitlab.com"}
_DIGITS: Final = 6
_PATTERN: Final = "string_pattern_mismatch"  # pydantic's word
_OF_A_KEY: Final = "[key]"  # what pydantic puts behind a mapping's key that is itself wrong


class Part(BaseModel):
    """A closed, frozen part of a configuration. Every field has a description, which errors and the reference quote."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, defer_build=True)


class Rule(NamedTuple):
    """A condition over several fields, told with the others where the fields that it looks at are valid."""

    needs: tuple[str, ...]
    problems: Callable[[Any], Iterable[Problem]]


class Trust(Part):
    """A CI system's pipelines that may act in the environment, by OpenID Connect and without a kept secret."""

    system: Literal["github", "gitlab", "azure-devops"] = Field(description="Which system signs the tokens")
    subjects: Annotated[tuple[str, ...], Field(min_length=1)] = Field(
        description="Exact `sub` claims of the tokens: repo:acme/risk:environment:prod; no wildcard"
    )
    issuer: str = Field("", description="Address of the issuer where it is not the system's public one: https://…")
    audience: str = Field("", description="`aud` claim; empty for what the cloud asks for")

    @property
    def signed_by(self) -> str:
        """The issuer's address: the one named, else the system's public one."""
        return self.issuer or _ISSUERS[self.system]

    @property
    def public(self) -> bool:
        """Whether the system's public issuer signs."""
        known = _ISSUERS.get(self.system, "")
        return bool(known) and self.signed_by.rstrip("/") == known


def _native(tags: dict[str, str]) -> dict[str, str]:
    for key in tags:
        if key.lower().startswith(NAMESPACE):
            raise PydanticCustomError("tag", "tags that begin with mlinfra are the kit's", {"allowed": "another key"})
    return tags


class Configuration(Part):
    """What is the same on every platform."""

    RULES: ClassVar[tuple[Rule, ...]] = ()

    name: Name = Field(description="The stack's name, which is the environment's; no key of the configuration")
    platform: Literal["aws", "azure", "gcp", "local"] = Field(description="Where the environment is")
    stage: Stage = Field("dev", description="Security profile, protection and sizes: see the table of stages")
    emulated: bool = Field(default=False, description="An emulator on this machine answers for the cloud")
    tags: Annotated[dict[str, str], AfterValidator(_native)] = Field(
        default_factory=dict, description="Native tags on every resource, any case; none begins with mlinfra"
    )
    settings: SettingChanges = Field(
        default_factory=SettingChanges, description="Settings of the stage that this environment has otherwise"
    )
    approval: tuple[Stage, ...] = Field(("prod",), description="Stages in which deploy asks for an approved version")
    images: dict[str, str] = Field(
        default_factory=dict, description="Images that exist already: base, runner, serving, each by reference"
    )
    tracking: Tracking = Field(default_factory=Tracking, description="Experiment tracking: uri, kind, experiment")
    python_index: str = Field("", description="Package index for jobs; empty for the user's own setting")
    proxy: str = Field("", description="HTTP proxy that containers use")
    ca_bundle: str = Field("", description="Certificate bundle that containers trust")

    @property
    def profile(self) -> Profile:
        """The stage's decisions, with this configuration's changes."""
        return profile(self.stage, self.settings)

    @property
    def all_tags(self) -> dict[str, str]:
        """The native tags of every resource: the configuration's, and those by which the kit finds its own."""
        return {**self.tags, "mlinfra_environment": self.name, "mlinfra_stage": self.stage}


class CloudConfiguration(Configuration):
    """What is the same on every cloud. What exists and is to be used goes under the cloud's own `adopt`."""

    region: str = Field(description="The cloud's region")
    account: str = Field(description="Account, subscription or project; credentials of another one are refused")
    budget: int | None = Field(None, ge=0, description="Monthly budget in the account's currency; 0 for none")
    notify: tuple[Annotated[str, Field(pattern=r"^[^@\s]+@[^@\s]+\.[^@\s]+$")], ...] = Field(
        (), description="Mail addresses told of alarms and budgets"
    )
    trusts: tuple[Trust, ...] = Field((), description="CI systems whose pipelines may act here")

    @property
    def native_id(self) -> str:
        """What sets this environment apart from every other: the environment's own id."""
        raise NotImplementedError

    @property
    def suffix(self) -> str:
        """Six hex digits of the environment's id, as `Environment.suffix` has them."""
        return digits(self.native_id)

    @property
    def known_signers(self) -> frozenset[str]:
        """The CI systems whose issuer the cloud knows already."""
        return frozenset()

    @property
    def told(self) -> bool:
        """Whether an alarm reaches somebody."""
        return bool(self.notify)

    @property
    def monthly_budget(self) -> int:
        """The budget asked for, else the stage's; 0 for none."""
        return self.profile.budget if self.budget is None else self.budget


def _firm_settings(configuration: Configuration) -> Iterable[Problem]:
    """Prod keeps its encryption, its private network, its protection and its alarms."""
    if configuration.stage != "prod" or configuration.emulated:
        return
    for name in FIRM_IN_PROD:
        if getattr(configuration.settings, name) is False:
            yield Problem("prod does not give this up", f"settings.{name}", given="false", allowed="true")


def _named_subjects(configuration: CloudConfiguration) -> Iterable[Problem]:
    """A trust that a wildcard opens is no trust."""
    for place, trust in enumerate(configuration.trusts):
        for subject in trust.subjects:
            if "*" in subject or "?" in subject:
                yield Problem(
                    "a trust names its pipelines",
                    f"trusts.{place}.subjects",
                    given=subject,
                    allowed="a whole `sub` claim without * and ?",
                )


def _named_issuers(configuration: CloudConfiguration) -> Iterable[Problem]:
    """Azure DevOps has an issuer for every organisation, so that there is no public one to fall back on."""
    for place, trust in enumerate(configuration.trusts):
        if trust.system == _AZURE_DEVOPS and not trust.issuer and trust.system not in configuration.known_signers:
            yield Problem(
                "an organisation of Azure DevOps has an issuer of its own",
                f"trusts.{place}.issuer",
                allowed="https://vstoken.dev.azure.com/<organisation id>",
            )


def _somebody_told(configuration: CloudConfiguration) -> Iterable[Problem]:
    """An alarm that nobody hears is none."""
    if configuration.stage != "prod" or configuration.emulated or not configuration.profile.alarms:
        return
    if not configuration.told:
        yield Problem(
            "prod's alarms tell nobody",
            "notify",
            given="[]",
            allowed="one mail address or more; on AWS an adopted topic will do",
            todo="pulumi config set --path 'mlinfra:notify[0]' NAME@EXAMPLE",
        )


def one_network(*apart: str) -> Rule:
    """The rule that a network is made or adopted. `apart` are keys of `network` that mean something either way."""

    def problems(configuration: Any) -> Iterable[Problem]:
        network = configuration.network
        changed = network.model_dump(exclude=set(apart)) != type(network)().model_dump(exclude=set(apart))
        if configuration.adopt.network and changed:
            yield Problem(
                "a network is made or adopted, not both",
                "network.cidr",
                given=network.cidr,
                allowed="one of mlinfra:network and mlinfra:adopt.network",
            )

    return Rule(("adopt", "network"), problems)


def address_range(example: str, *, largest: int, smallest: int, what: str) -> AfterValidator:
    """The check of a range of addresses whose prefix is so long; `what` could not have another."""

    def check(text: str) -> str:
        try:
            network = IPv4Network(text)
        except ValueError as exc:
            raise PydanticCustomError("cidr", "not a range of addresses", {"allowed": example}) from exc
        if not largest <= network.prefixlen <= smallest:
            told = {"allowed": f"/{largest} to /{smallest}", "what": what}
            raise PydanticCustomError("cidr", "a range that no {what} can have", told)
        return text

    return AfterValidator(check)


Configuration.RULES = (Rule(("stage", "settings", "emulated"), _firm_settings),)
CloudConfiguration.RULES = (
    *Configuration.RULES,
    Rule(("trusts",), _named_subjects),
    Rule(("trusts", "adopt"), _named_issuers),
    Rule(("stage", "settings", "emulated", "notify", "adopt"), _somebody_told),
)

Model = TypeVar("Model", bound=Configuration)


def digits(*parts: str) -> str:
    """Six hex digits that are the same for the same parts: by these, names tell apart what has no short name."""
    return hashlib.sha256("|".join(parts).encode()).hexdigest()[:_DIGITS]


def of_platform(platform: str) -> type[Configuration]:
    """The model of a platform's configuration."""
    module = import_module(f"mlinfra.infra.{platform}.configuration")
    found: type[Configuration] = getattr(module, f"{platform.capitalize()}Configuration")
    return found


def from_stack(model: type[Model]) -> Model:
    """The running stack's configuration. Call it before anything is registered.

    Raises:
        SpecError: holds every problem, each with key, value given and what is allowed.
        WrongAccount: an emulated stack, and the engine would ask the real cloud.
    """
    found = read(model, stack_values(), stack=pulumi.get_stack(), secret=_secret_keys())
    if found.emulated and found.platform in _PACKAGES:
        _check_attached(found)
    return found


def _check_attached(configuration: Configuration) -> None:
    """The engine goes to the real cloud for every provider that is not attached to it."""
    attached = os.environ.get(_ATTACHED, "")
    package = _PACKAGES[configuration.platform]
    if package not in {each.partition(":")[0] for each in attached.split(",")}:
        raise WrongAccount(
            "an emulated stack is kept from the real cloud, and no stand-in provider is attached",
            given=f"{_ATTACHED}={attached}",
            allowed=f"{_ATTACHED}={package}:PORT",
            todo=f"`mlinfra env up|preview|destroy {configuration.name}` attaches it",
        )


def stack_values() -> dict[str, Any]:
    """The running stack's keys in our namespace, without it; structured values are decoded."""
    given = {**pulumi.runtime.config.get_config_env(), **pulumi.runtime.config.CONFIG.get()}
    return {key.removeprefix(_PREFIX): _decoded(text) for key, text in given.items() if key.startswith(_PREFIX)}


def _secret_keys() -> frozenset[str]:
    ours = (key for key in pulumi.runtime.config.get_config_env() if key.startswith(_PREFIX))
    return frozenset(key.removeprefix(_PREFIX) for key in ours if pulumi.runtime.config.is_config_secret(key))


def read(model: type[Model], values: Mapping[str, Any], *, stack: str, secret: frozenset[str] = frozenset()) -> Model:
    """The configuration that `values` describe, keys without their namespace, for the stack of that name.

    The environment holds no secret, so a key among `secret` is refused, and its value is not repeated.

    Pure. Text is taken for numbers and truth values where such are asked for, as Pulumi hands everything over as text.

    Raises:
        SpecError: holds every problem, each with key, value given and what is allowed.
    """
    problems = [_own_name(values[_NAME])] if _NAME in values else []
    problems += [_secret(key) for key in sorted(secret)]
    given = {**{key: value for key, value in values.items() if key not in secret}, _NAME: stack}
    found, wrong, spoilt = _attempt(model, given)
    problems += [_problem(model, error) for error in wrong if error["loc"][0] not in secret]
    problems += _broken_rules(found, spoilt) if found is not None else []
    if problems or found is None:
        raise _refusal(stack, problems)
    return found


def _attempt(model: type[Model], given: Mapping[str, Any]) -> tuple[Model | None, list[Any], set[str]]:
    """The configuration, or what is left of it without its wrong keys; the errors; the wrong keys."""
    try:
        return model.model_validate(given), [], set()
    except ValidationError as exc:
        errors: list[Any] = exc.errors(include_url=False)
    spoilt = {str(error["loc"][0]) for error in errors}
    try:
        rest = model.model_validate({key: value for key, value in given.items() if key not in spoilt})
    except ValidationError:
        rest = None  # a required key is among the wrong ones
    return rest, errors, spoilt


def _secret(key: str) -> Problem:
    return Problem(
        "the configuration holds no secret",
        f"{_PREFIX}{key}",
        given="(not shown)",
        allowed="the name of a secret in the environment's vault",
        todo=f"pulumi config set --plaintext {_PREFIX}{key} VALUE",
    )


def _own_name(given: Any) -> Problem:
    return Problem(
        "the environment bears the stack's name", f"{_PREFIX}name", given=shorten(given), allowed="no such key"
    )


def _broken_rules(found: Configuration, spoilt: set[str]) -> list[Problem]:
    rules = [rule for rule in found.RULES if spoilt.isdisjoint(rule.needs)]
    return [_with_namespace(problem) for rule in rules for problem in rule.problems(found)]


def _with_namespace(problem: Problem) -> Problem:
    return Problem(**{**vars(problem), "path": f"{_PREFIX}{problem.path}"})


def _refusal(stack: str, problems: list[Problem]) -> SpecError:
    count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
    return SpecError(f"{count} in the configuration of stack {stack}; nothing was registered", problems=problems)


def _problem(model: type[Configuration], error: Any) -> Problem:
    loc: tuple[str | int, ...] = error["loc"]
    path = f"{_PREFIX}{'.'.join(str(part) for part in loc if part != _OF_A_KEY)}"
    context = error.get("ctx", {})
    if loc == (_NAME,):
        return Problem(
            "no environment can have the stack's name",
            "stack",
            given=str(error["input"]),
            allowed=str(context.get("allowed", "")),
        )
    if error["type"] == "extra_forbidden":
        return _unknown_key(model, loc, path)
    info = _field(model, loc)
    told = _described if error["type"] == _PATTERN else _allowed
    allowed = str(context.get("allowed") or (told(info) if info else ""))
    if error["type"] == "missing":
        return Problem("is missing", path, allowed=allowed)
    what = str(error["msg"]).removeprefix("Input should be ").removeprefix("Value error, ")
    what = what if what == error["msg"] else f"must be {what}"
    return Problem(what, path, given=_shown(error["input"]), allowed=allowed)


def _unknown_key(model: type[Configuration], loc: tuple[str | int, ...], path: str) -> Problem:
    keys = sorted(name for name in _keys(model, loc[:-1]) if name != _NAME)
    nearest = get_close_matches(str(loc[-1]), keys, n=1)
    todo = f"did you mean {nearest[0]}?" if nearest else ""
    return Problem("there is no such key", path, given=str(loc[-1]), allowed=", ".join(keys), todo=todo)


def _keys(model: type[BaseModel], loc: tuple[str | int, ...]) -> Iterable[str]:
    if not loc:
        return model.model_fields
    info = _field(model, loc)
    inner = _inner_model(info.annotation) if info else None
    return inner.model_fields if inner else ()


def _field(model: type[BaseModel], loc: tuple[str | int, ...]) -> FieldInfo | None:
    """The innermost field that a place in the document names."""
    found: FieldInfo | None = None
    inner: type[BaseModel] | None = model
    for part in loc:
        if inner is not None and isinstance(part, str) and part in inner.model_fields:
            found = inner.model_fields[part]
            inner = _inner_model(found.annotation)
    return found


def _inner_model(annotation: Any) -> type[BaseModel] | None:
    """The model that a field holds, itself or in a list, a mapping or as one of several."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((inner for inner in map(_inner_model, get_args(annotation)) if inner), None)


def _allowed(info: FieldInfo) -> str:
    words = [word for word in _literals(info.annotation) if isinstance(word, str)]
    return ", ".join(words) if words else _described(info)


def _described(info: FieldInfo) -> str:
    """The words of a mapping's keys say nothing of a value that has the wrong form; the description does."""
    return info.description or ""


def _literals(annotation: Any) -> tuple[Any, ...]:
    if getattr(annotation, "__origin__", None) is Literal:
        return get_args(annotation)
    return tuple(word for inner in get_args(annotation) for word in _literals(inner))


def _shown(value: Any) -> str:
    return shorten(value if isinstance(value, str) else json.dumps(value, default=repr)) or '""'


def _decoded(text: Any) -> Any:
    """Objects and lists come as JSON; everything else as text, which the model reads."""
    if isinstance(text, str) and text[:1] in {"{", "["}:
        try:
            return json.loads(text)
        except ValueError:
            return text
    return text
