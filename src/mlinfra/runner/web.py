"""HTTP with what a job needs: streaming, retries where they can help, and tokens that never follow a redirect away."""

from __future__ import annotations

import errno
import http.client
import random
import ssl
import time
from pathlib import Path
from typing import IO, TYPE_CHECKING, TypeVar
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, ProxyHandler, Request, build_opener

from mlinfra.runner.addresses import without_secrets
from mlinfra.runner.problem import DENIED, MISSING, TEMPORARY, WRONG, RunnerError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Refusal = Callable[[int, bytes], "RunnerError | None"]

Answer = TypeVar("Answer")

ATTEMPTS = 6
_FIRST_PAUSE = 0.5  # s, doubled each time
_LONGEST_PAUSE = 30.0  # s
_PATIENCE = 60  # s without a byte
_CHUNK = 1 << 20  # bytes
_RETRIED = {408, 429, *range(500, 600)}
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_MEANING = {401: DENIED, 403: DENIED, 404: MISSING, 410: MISSING}

pause = time.sleep


class _Again(Exception):
    """A failure that may pass. `after` is the pause in seconds that the other side asked for."""

    def __init__(self, what: str, after: float | None = None) -> None:
        super().__init__(what)
        self.after = after


class _OwnTokens(HTTPRedirectHandler):
    """Leaves the token behind when a redirect goes to another host or loses its encryption."""

    def redirect_request(  # noqa: PLR0917  the shape is the base class's
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: http.client.HTTPMessage, newurl: str
    ) -> Request | None:
        """The request that follows a redirect."""
        after = super().redirect_request(req, fp, code, msg, headers, newurl)
        if after is not None and urlsplit(newurl)[:2] != urlsplit(req.full_url)[:2]:
            after.remove_header("Authorization")
        return after


def download(url: str, target: Path, headers: Mapping[str, str] | None = None) -> None:
    """Stream what is at `url` into a file that appears whole or not at all; a file cut short is fetched again.

    Raises RunnerError with the meaning of the status, TEMPORARY when several attempts failed.
    """
    _repeatedly(url, lambda: _download_once(url, target, headers or {}))


def send(  # noqa: PLR0917  method, address, content, as HTTP lists them
    method: str,
    url: str,
    body: bytes | Path | None = None,
    headers: Mapping[str, str] | None = None,
    timeout: float = _PATIENCE,
    attempts: int = ATTEMPTS,
    refusal: Refusal | None = None,
) -> bytes:
    """Send bytes or a file, streamed; give the answer's body. Only for requests that are safe to repeat.

    Raises as `download` does, or what `refusal` makes of a status and its body; TEMPORARY is tried again.
    """
    return _repeatedly(url, lambda: _send_once(method, url, body, headers or {}, timeout), attempts, refusal)


def bearer(token: str) -> dict[str, str]:
    """The header that shows a token."""
    return {"Authorization": f"Bearer {token}"}


def _repeatedly(
    url: str, action: Callable[[], Answer], attempts: int = ATTEMPTS, refusal: Refusal | None = None
) -> Answer:
    failure = _Again("not tried")
    for attempt in range(attempts):
        answer = _told_apart(url, action, refusal)
        if not isinstance(answer, _Again):
            return answer
        failure = answer
        if attempt == attempts - 1:
            break
        wait = _FIRST_PAUSE * 2**attempt * random.uniform(0.5, 1.0)  # noqa: S311  spreads load, guards nothing
        pause(min(_LONGEST_PAUSE, wait if answer.after is None else answer.after))
    raise RunnerError(f"{without_secrets(url)}: {failure}, {attempts} times", TEMPORARY) from failure


def _told_apart(url: str, action: Callable[[], Answer], refusal: Refusal | None) -> Answer | _Again:
    """Run the action, and tell a failure that may pass, which is returned, from one that will not."""
    try:
        return action()
    except _Again as exc:
        return exc
    except HTTPError as exc:
        return _refused(url, exc, refusal)
    except URLError as exc:
        if isinstance(exc.reason, ssl.SSLCertVerificationError):
            raise RunnerError(f"{without_secrets(url)}: {exc.reason}", WRONG) from exc
        return _Again(str(exc.reason))
    except (http.client.HTTPException, OSError) as exc:
        if getattr(exc, "errno", None) in _FULL:
            raise RunnerError(f"the disk is full: {exc}", TEMPORARY) from exc
        return _Again(str(exc) or type(exc).__name__)
    except ValueError as exc:  # an address that is none
        raise RunnerError(f"{without_secrets(url)}: {exc}", WRONG) from exc


def _refused(url: str, exc: HTTPError, refusal: Refusal | None) -> _Again:
    """A status that may pass; raises what another one means."""
    meant = refusal(exc.code, exc.read(_CHUNK)) if refusal else None
    exc.close()
    said, code = f"{exc.code} {exc.reason}", TEMPORARY if exc.code in _RETRIED else _MEANING.get(exc.code, WRONG)
    problem = meant or RunnerError(f"{without_secrets(url)}: {said}", code)
    if problem.exit_code != TEMPORARY:
        raise problem from exc
    return _Again(str(meant) if meant else said, _seconds(exc.headers.get("Retry-After")))


def _download_once(url: str, target: Path, headers: Mapping[str, str]) -> None:
    draft = target.with_name(f".{target.name}.part")
    try:
        with _open(Request(url, headers=dict(headers)), _PATIENCE) as answer, draft.open("wb") as file:  # noqa: S310  the table of schemes in `fetch` let it through
            written = 0
            for chunk in iter(lambda: answer.read(_CHUNK), b""):
                written += file.write(chunk)
            promised = answer.headers.get("Content-Length")
        if promised is not None and written != int(promised):
            raise _Again(f"cut off after {written} of {promised} bytes")
        draft.replace(target)
    finally:
        if draft.exists():
            draft.unlink()


def _send_once(method: str, url: str, body: bytes | Path | None, headers: Mapping[str, str], timeout: float) -> bytes:
    request = Request(url, method=method, headers=dict(headers))  # noqa: S310  called with the addresses of stores alone
    if not isinstance(body, Path):
        request.data = body
        with _open(request, timeout) as answer:
            return answer.read()
    with body.open("rb") as file:
        request.data = file
        request.add_header("Content-Length", str(body.stat().st_size))
        with _open(request, timeout) as answer:
            return answer.read()


def _open(request: Request, timeout: float) -> http.client.HTTPResponse:
    host = urlsplit(request.full_url).hostname or ""
    near = host in {"localhost", "metadata.google.internal"} or host.startswith(("127.", "169.254."))
    handlers = [_OwnTokens(), *([ProxyHandler({})] if near else [])]
    return build_opener(*handlers).open(request, timeout=timeout)  # type: ignore[no-any-return]  # an http(s) address gives this


def _seconds(text: str | None) -> float | None:
    return float(text) if text and text.isdigit() else None
