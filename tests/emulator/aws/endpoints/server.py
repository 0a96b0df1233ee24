"""A container's server that does as its environment says, to see what the emulator makes of it.

PING: status of the health check. STATUS: status of every answer. SECONDS: how long an answer takes. LIFE: ends after
so many seconds. STUBBORN: does not end when told to. Answers tell what the server was told. Standard library alone.
"""

import json
import os
import signal
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

MODEL = Path("/opt/ml/model")


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 1 << 16
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        self._answer(int(os.environ.get("PING", "200")), b"")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        time.sleep(float(os.environ.get("SECONDS", "0")))
        told = {
            "model": (MODEL / "name.txt").read_text() if (MODEL / "name.txt").exists() else "",
            "files": sorted(str(path.relative_to(MODEL)) for path in MODEL.rglob("*") if path.is_file()),
            "arguments": sys.argv[1:],
            "process": os.getpid(),
            "variables": {name: value for name, value in os.environ.items() if name.startswith("AWS_")},
            "body": body.decode("utf-8", "replace")[:1000],
            "headers": {name.lower(): value for name, value in self.headers.items()},
        }
        self._answer(int(os.environ.get("STATUS", "200")), json.dumps(told).encode())

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        if "x-amzn-sagemaker-custom-attributes" in self.headers:
            self.send_header("x-amzn-sagemaker-custom-attributes", "answered")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_args: object) -> None:
        """Only what `main` says."""


def main() -> None:
    sys.stdout.write(f"a server of {os.environ.get('NAME', 'no name')} begins\n")
    sys.stdout.flush()
    if "STUBBORN" in os.environ:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if "LIFE" in os.environ:
        threading.Timer(float(os.environ["LIFE"]), os._exit, [3]).start()
    ThreadingHTTPServer(("127.0.0.1", int(os.environ["SAGEMAKER_BIND_TO_PORT"])), Handler).serve_forever()


if __name__ == "__main__":
    main()
