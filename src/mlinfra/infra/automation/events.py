"""What the engine tells while it works, as lines for people and as counts; errors are kept for the end."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from pulumi.automation.events import EngineEvent

# The engine's words for a step -> what people read while it goes on, and when it is done.
STEPS: Final = {
    "create": ("creating", "created"),
    "update": ("updating", "updated"),
    "delete": ("deleting", "deleted"),
    "create-replacement": ("creating a replacement of", "replacement created"),
    "delete-replaced": ("deleting the replaced", "replaced one deleted"),
    "import": ("importing", "imported"),
    "import-replacement": ("importing a replacement of", "replacement imported"),
    "read": ("reading", "read"),
    "refresh": ("", ""),
    "same": ("", ""),
}
# Steps of a plan that take something away which holds what cannot be made again.
DESTRUCTIVE: Final = ("delete", "delete-replaced", "replace", "discard-replaced")
_UNTOLD: Final = ("pulumi:pulumi:Stack", "pulumi:providers:")  # the engine's own bookkeeping
_ERRORS: Final = ("error", "info#err")  # the second is what a program or plugin writes to stderr


@dataclass
class Told:
    """What a run has told so far."""

    say: Callable[[str], None]
    planned: bool = False  # a preview: nothing is done yet
    errors: list[str] = field(default_factory=list)
    written: list[str] = field(default_factory=list)  # to stderr, by programs and plugins
    steps: Counter[str] = field(default_factory=Counter)
    resources: list[dict[str, str]] = field(default_factory=list)

    def hear(self, event: EngineEvent) -> None:
        """Take one event."""
        if event.diagnostic_event:
            self._diagnose(event.diagnostic_event)
        elif event.resource_pre_event:
            self._step(event.resource_pre_event.metadata, begun=True)
        elif event.res_outputs_event:
            self._step(event.res_outputs_event.metadata, begun=False)
        elif event.res_op_failed_event:
            self.say(f"failed: {_name(event.res_op_failed_event.metadata)}")

    @property
    def destructive(self) -> list[str]:
        """The resources that a plan would take away, sorted."""
        return sorted(each["name"] for each in self.resources if each["step"] in DESTRUCTIVE)

    def _diagnose(self, diagnostic: Any) -> None:
        if diagnostic.severity == "error":
            self.errors.append(_text(diagnostic.message))
        elif diagnostic.severity in _ERRORS:
            self.written.append(_text(diagnostic.message))
        elif diagnostic.severity == "warning" and not diagnostic.ephemeral:
            self.say(f"warning: {_text(diagnostic.message)}")

    def _step(self, metadata: Any, *, begun: bool) -> None:
        step = str(getattr(metadata.op, "value", metadata.op))
        if metadata.type.startswith(_UNTOLD):
            return
        if begun:
            self.steps[step] += 1
            self.resources.append({"step": step, "type": metadata.type, "name": _name(metadata), "urn": metadata.urn})
        going, done = STEPS.get(step, (step, f"{step}: done"))
        if begun and self.planned and going:
            self.say(f"would be {done}: {_name(metadata)} ({metadata.type})")
        elif not self.planned and going:
            self.say(f"{going} {_name(metadata)} ({metadata.type})" if begun else f"{done}: {_name(metadata)}")


def _name(metadata: Any) -> str:
    return str(metadata.urn).rpartition("::")[2]


def _text(message: str) -> str:
    """The message without the marks by which the engine colours it."""
    for mark in ("<{%reset%}>", "<{%fg 1%}>", "<{%fg 3%}>", "<{%bold%}>"):
        message = message.replace(mark, "")
    return message.strip()
