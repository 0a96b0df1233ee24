"""A model server for the tests: says who it is; can be slow, fail, hang, die, or never get ready."""

import argparse
import http.server
import json
import os
import socketserver
import sys
import time

parser = argparse.ArgumentParser()
parser.add_argument("--port", type=int)
parser.add_argument("--name", default="")
parser.add_argument("--status", type=int, default=200)
parser.add_argument("--delay", type=float, default=0.0, help="seconds before each answer")
parser.add_argument("--start", type=float, default=0.0, help="seconds before it listens")
parser.add_argument("--exit", type=int, help="end with this code before listening")
parser.add_argument("--unready", action="store_true", help="never answer 200 to a health check")
parser.add_argument("--deaf", action="store_true", help="stop answering anything after the first prediction")
options = parser.parse_args()
state = {"deaf": False}
BIG = 64  # MiB


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_):
        pass

    def do_GET(self):
        while state["deaf"]:
            time.sleep(60)
        self.answer(503 if options.unready else 200, {})

    def do_HEAD(self):
        self.answer(200, {})

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        time.sleep(options.delay)
        if self.path == "/die":
            os._exit(9)
        if self.path == "/hang-up":
            self.close_connection = True
            return
        if self.path == "/half":
            self.half()
            return
        if self.path == "/chunks":
            self.chunks()
            return
        if self.path == "/until-close":
            self.until_close()
            return
        if self.path == "/big":
            self.big()
            return
        if self.path == "/nonsense":
            self.wfile.write(b"this is no HTTP\r\n\r\n")
            return
        state["deaf"] = options.deaf
        told = {"name": options.name, "pid": os.getpid(), "size": len(body), "path": self.path}
        self.answer(options.status, {**told, "headers": dict(self.headers.items())})

    def answer(self, status, document):
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.send_header("x-own", "kept")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def half(self):
        self.send_response(200)
        self.send_header("content-length", "100")
        self.end_headers()
        self.wfile.write(b"half")
        self.close_connection = True

    def chunks(self):
        self.send_response(200)
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        for part in (b"one", b"two", b""):
            self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))

    def big(self):
        block = b"x" * (1 << 20)
        self.send_response(200)
        self.send_header("content-length", str(BIG << 20))
        self.end_headers()
        for _ in range(BIG):
            self.wfile.write(block)

    def until_close(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"all of it")
        self.close_connection = True


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True
    request_queue_size = 256


if options.exit is not None:
    sys.stdout.write("cannot load the model\n")
    sys.exit(options.exit)
time.sleep(options.start)
sys.stdout.write(f"serving {options.name}\n")
sys.stdout.flush()
Server(("127.0.0.1", options.port), Handler).serve_forever()
