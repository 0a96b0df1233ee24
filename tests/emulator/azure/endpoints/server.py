"""A container's server that does as its environment says, to see what the emulator makes of it.

HEALTH: status of the readiness route. ALIVE: status of the liveness route. MOST: how many servers get ready. STATUS:
status of every answer. ANSWER: its body. KIND: its content type. SECONDS: how long it takes. LIFE: ends after so many
seconds. TELL_TOKEN: a token of its identity is told. Else it answers with what it was told, and with the texts below
AZUREML_MODEL_DIR.
"""

import json
import os
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlencode
from urllib.request import ProxyHandler, Request, build_opener


def files() -> dict:
    """The texts below AZUREML_MODEL_DIR."""
    root = Path(os.environ.get("AZUREML_MODEL_DIR", "/nowhere"))
    return {str(each.relative_to(root)): each.read_text() for each in sorted(root.rglob("*")) if each.is_file()}


def token() -> str:
    """A token of the container's identity."""
    query = urlencode({"api-version": "2017-09-01", "resource": "https://storage.azure.com"})
    asked = Request(f"{os.environ['MSI_ENDPOINT']}?{query}", headers={"secret": os.environ["MSI_SECRET"]})  # noqa: S310  the emulator's
    return json.load(build_opener(ProxyHandler({})).open(asked))["access_token"]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 1 << 16
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        if self.path == "/live":
            self._answer(int(os.environ.get("ALIVE", "200")), b"")
            return
        good = self.path == "/ready" and int(os.environ.get("MOST", "99")) >= NUMBER
        self._answer(int(os.environ.get("HEALTH", "200")) if good else 404, b"")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        time.sleep(float(os.environ.get("SECONDS", "0")))
        if "ANSWER" in os.environ:
            self._answer(int(os.environ.get("STATUS", "200")), os.environ["ANSWER"].encode())
            return
        told = {
            "name": os.environ.get("NAME", ""),
            "path": self.path,
            "process": os.getpid(),
            "files": FILES,
            "variables": {name: value for name, value in os.environ.items() if name.startswith(("AZUREML_", "MINE_"))},
            "token": token() if "TELL_TOKEN" in os.environ else "",
            "body": body.decode("utf-8", "replace")[:1000],
            "headers": {name.lower(): value for name, value in self.headers.items()},
        }
        self._answer(int(os.environ.get("STATUS", "200")), json.dumps(told).encode())

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("content-type", os.environ.get("KIND", "application/json"))
        self.send_header("x-mine", "from the model")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_args: object) -> None:
        """Only what is said below."""


sys.stdout.write(f"a server of {os.environ.get('NAME', 'no name')} begins\n")
sys.stdout.flush()
FILES = files()
(Path(os.environ["TMPDIR"]) / f"{os.getpid()}.started").touch()
NUMBER = len(list(Path(os.environ["TMPDIR"]).glob("*.started")))
if "LIFE" in os.environ:
    threading.Timer(float(os.environ["LIFE"]), os._exit, [3]).start()
ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
