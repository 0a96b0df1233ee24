"""The desk that every call of every protocol passes: counted, struck by faults, permitted, paced, done."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from mlinfra.emulator.calls import Call, Cut, Refusal
from mlinfra.emulator.ledger import CUT, OK
from mlinfra.spec.patch import merge

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from mlinfra.emulator.calls import Wording
    from mlinfra.emulator.clock import Clock
    from mlinfra.emulator.faults import Fault, When
    from mlinfra.emulator.faults import Faults as Script
    from mlinfra.emulator.ledger import Ledger
    from mlinfra.emulator.policy import Policy
    from mlinfra.emulator.quotas import Quotas

T = TypeVar("T")
FAULTY = "fault"  # the outcome of a call that met a fault of the emulator itself
_RETRY_AFTER = 1.0  # s, where a scripted throttling names none


class Desk:
    """Holds what decides about a call. `enforce` tells whether permissions are asked for at all."""

    def __init__(
        self,
        *,
        clock: Clock,
        faults: Script,
        quotas: Quotas,
        policy: Policy,
        ledger: Ledger,
        wording: Wording,
        enforce: bool = True,
    ) -> None:
        self.clock = clock
        self.faults = faults
        self.quotas = quotas
        self.policy = policy
        self.ledger = ledger
        self.wording = wording
        self.enforce = enforce

    def admit(self, call: Call, act: Callable[[], T], *, lie: Callable[[T | None, Any], T] | None = None) -> T:
        """Run a call: faults before, permission, quota, the act itself, faults after; whatever comes of it is noted.

        `lie` makes the false answer from the true one, None where nothing was done, and the rule's `reply`; without it
        answers are JSON and the reply is a merge patch.

        Raises:
            Refusal: the vendor's own error.
            Cut: the connection ends without an answer.
        """
        at = self.clock.now()
        outcome = FAULTY
        try:
            answer = self._run(call, act, lie or _patched)
            outcome = OK
        except Refusal as exc:
            outcome = exc.code
            raise
        except Cut:
            outcome = CUT
            raise
        finally:
            self.ledger.note(at, call, outcome)
        return answer

    def allow(self, call: Call, action: str, resource: str, context: Mapping[str, Any] | None = None) -> None:
        """Ask for a further permission in the caller's name, or in a role's: `replace(call, principal=role)`.

        Raises:
            Refusal: it is not there.
        """
        if not self.enforce:
            return
        decision = self.policy.decide(call.principal, action, resource, context or call.context)
        if not decision.allowed:
            raise self.wording.denied(call, action, resource)

    def _run(self, call: Call, act: Callable[[], T], lie: Callable[[T | None, Any], T]) -> T:
        struck = self.faults.striking(call)
        for fault in _of(struck, "before"):
            if fault.do == "lie":
                return lie(None, fault.reply)
            self._strike(call, fault)
        if call.action:
            for resource in call.resources or ("*",):
                self.allow(call, call.action, resource)
        wait = self.quotas.take(call)
        if wait:
            raise self.wording.throttled(call, wait)
        answer = act()
        for fault in _of(struck, "after"):
            if fault.do == "lie":
                answer = lie(answer, fault.reply)
            else:
                self._strike(call, fault)
        return answer

    def _strike(self, call: Call, fault: Fault) -> None:
        if fault.do == "delay":
            self.clock.sleep(fault.seconds)
        elif fault.do == "cut":
            raise Cut(f"{call.service}:{call.operation}")
        elif fault.do == "fail":
            raise self._error(call, fault)

    def _error(self, call: Call, fault: Fault) -> Refusal:
        if fault.code == "throttled":
            error = self.wording.throttled(call, fault.seconds or _RETRY_AFTER)
        elif fault.code in {"unavailable", "internal", "capacity", "quota"}:
            error = self.wording.broken(call, fault.code)  # type: ignore[arg-type]  # just compared with the words
        else:
            error = Refusal(fault.code, fault.message or "a scripted fault")
        error.message = fault.message or error.message
        error.status = fault.status or error.status
        return error


def _of(faults: Sequence[Fault], when: When) -> list[Fault]:
    return [fault for fault in faults if fault.when == when]


def _patched(answer: T | None, reply: Any) -> T:
    return merge(answer, reply)  # type: ignore[no-any-return]  # JSON in, JSON out
