"""What goes wrong on purpose: a script of rules that fail, delay, cut or lie, before or after the effect."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from threading import Lock
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from mlinfra.emulator.patterns import matches
from mlinfra.errors import NotFound, Problem, SpecError
from mlinfra.spec.findings import Finding, dotted, wrong
from mlinfra.spec.load.compose import Document, compose
from mlinfra.spec.load.text import decode
from mlinfra.spec.problems import problem, spec_error
from mlinfra.spec.words import findings_in

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from mlinfra.emulator.calls import Call

When = Literal["before", "after"]
Deed = Literal["fail", "delay", "cut", "lie"]
TROUBLES = ("unavailable", "internal", "capacity", "quota", "throttled")


class Fault(BaseModel):
    """One rule. It strikes the nth matching call and those after it, `times` times in all."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    service: str = Field("*", description="The vendor's word for the service; * and ? are wildcards")
    operation: str = Field("*", description="The operation; * and ? are wildcards")
    principal: str = Field("*", description="Who calls; * and ? are wildcards")
    match: dict[str, Any] = Field(
        default_factory=dict, description="Members of the body by path, a.b.0.c, and their values; texts are patterns"
    )
    nth: int | None = Field(1, ge=1, description="The first matching call that it strikes; null is 1")
    every: int = Field(1, ge=1, description="From there on every call, every second, …")
    times: int | None = Field(1, ge=1, description="How many calls it strikes; null: without end")
    when: When = Field("before", description="before: without effect; after: the effect has happened")
    do: Deed = Field(
        description="fail: answer an error; delay; cut: close without an answer; lie: answer something else"
    )
    code: str = Field(
        "unavailable",
        description="fail: the vendor's error code, or one of " + ", ".join(TROUBLES) + ", worded as the cloud does",
    )
    status: int = Field(0, ge=0, le=599, description="fail: the HTTP status; 0 is 400, or what the cloud answers")
    message: str = Field("", description="fail: the error's text; empty for the cloud's own")
    seconds: float = Field(0.0, ge=0, description="delay: how long, in virtual seconds; throttled: Retry-After")
    reply: Any = Field(
        None, description="lie: before, the whole answer; after, a merge patch on the true one, null removes a member"
    )

    @model_validator(mode="after")
    def _whole(self) -> Fault:
        if self.do == "delay" and not self.seconds:
            raise wrong("a delay of no length", allowed="seconds above 0", todo="add `seconds`")
        if self.do == "lie" and not isinstance(self.reply, dict):
            raise wrong(
                "a lie without words", allowed="a mapping as `reply`, {} for an empty answer", todo="add `reply`"
            )
        return self

    def speaks_of(self, call: Call) -> bool:
        """Whether a call is one that this rule counts."""
        return (
            matches(self.service, call.service)
            and matches(self.operation, call.operation)
            and matches(self.principal, call.principal)
            and all(_same(wanted, member(call.body, path)) for path, wanted in self.match.items())
        )

    def strikes(self, number: int) -> bool:
        """Whether it strikes the matching call of that number, from 1."""
        since = number - (self.nth or 1)
        return since >= 0 and since % self.every == 0 and (self.times is None or since // self.every < self.times)


class Faults:
    """The script in force. Thread-safe."""

    def __init__(self, rules: Sequence[Fault | Mapping[str, Any]] = ()) -> None:
        self._lock = Lock()
        self._rules: list[tuple[Fault, int]] = []
        self.script(rules)

    def script(self, rules: Sequence[Fault | Mapping[str, Any]]) -> None:
        """Put a script in force, in the place of the one before; an empty one ends all faults.

        Raises:
            SpecError: a rule is not one; nothing was changed.
        """
        checked = read_rules(rules)
        with self._lock:
            self._rules = [(rule, 0) for rule in checked]

    def rules(self) -> list[tuple[Fault, int]]:
        """The rules in force, each with the number of calls that it has counted."""
        with self._lock:
            return list(self._rules)

    def striking(self, call: Call) -> list[Fault]:
        """Count a call, once, and return the rules that strike it, in the order of the script."""
        with self._lock:
            if not self._rules:
                return []
            counted = [(rule, count + rule.speaks_of(call)) for rule, count in self._rules]
            struck = [
                rule
                for (rule, count), (_, before) in zip(counted, self._rules, strict=True)
                if count > before and rule.strikes(count)
            ]
            self._rules = counted
            return struck


def read_rules(rules: Sequence[Any], document: Document | None = None) -> list[Fault]:
    """Rules from data; `document` is the file's, where they stand in one.

    Raises:
        SpecError: one is not a rule; names each with every problem.
    """
    read: list[Fault] = []
    findings: list[Finding] = []
    for number, rule in enumerate(rules):
        try:
            read.append(rule if isinstance(rule, Fault) else Fault.model_validate(rule))
        except ValidationError as exc:
            findings += [each._replace(loc=(number, *each.loc)) for each in findings_in(Fault, exc)]
    if findings:
        positions = document.positions if document else None
        subject = positions.file if positions else "the script of faults"
        raise spec_error(subject, [_named(each, problem(each, positions)) for each in findings])
    return read


def read_file(path: Path) -> tuple[Fault, ...]:
    """The rules of a YAML or JSON file: a list of them.

    Raises:
        NotFound: there is no such file.
        SpecError: it is not such a list; holds every problem with its line.
    """
    name = str(path)
    try:
        text = decode(path.read_bytes(), name)
    except OSError as exc:
        raise NotFound(
            "the script of faults cannot be read", given=f"{path}: {exc.strerror}", todo="correct the path"
        ) from exc
    if isinstance(text, Problem):
        raise spec_error(name, [text])
    documents, problems = compose(text, name)
    if problems:
        raise spec_error(name, problems)
    if len(documents) != 1 or not isinstance(documents[0].value, list):
        raise SpecError("not a script of faults", given=name, allowed="one list of rules", todo="write `- do: fail` …")
    return tuple(read_rules(documents[0].value, documents[0]))


def _named(finding: Finding, found: Problem) -> Problem:
    """The problem with the rule's number, from 1, in front."""
    rest = dotted(finding.loc[1:])
    return replace(found, path=f"rule {int(finding.loc[0]) + 1}" + (f", {rest}" if rest else ""))


def member(body: Any, path: str) -> Any:
    """The member of a body at a path such as `Channels.0.ChannelName`; None where there is none."""
    for part in path.split("."):
        if isinstance(body, Mapping):
            body = body.get(part)
        elif isinstance(body, (list, tuple)) and part.isdigit() and int(part) < len(body):
            body = body[int(part)]
        else:
            return None
    return body


def _same(wanted: Any, given: Any) -> bool:
    if isinstance(wanted, str) and isinstance(given, str):
        return matches(wanted, given)
    return bool(wanted == given) and type(wanted) is type(given)
