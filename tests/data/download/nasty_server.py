"""An HTTP server on the loopback interface, in this process, with configurable faults."""

from __future__ import annotations

import hashlib
import random
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

CHUNK = 4096


@dataclass
class Server:
    """The served files and the server's faults; both may be changed while it runs."""

    files: dict[str, bytes]
    url: str = ""
    ranges: bool = True
    """Whether it supports Range."""
    if_range: bool = True
    """Whether it supports If-Range."""
    etag: bool = True
    etag_suffix: str = ""
    modified: str = ""
    head: bool = True
    """Whether it supports HEAD."""
    wrong_lengths: dict[str, int] = field(default_factory=dict)
    """By method, a wrong Content-Length to send."""
    announced: bool = True
    """Whether responses to GET have a Content-Length."""
    endless: bool = False
    """Whether each body continues with zeros until the client closes the connection."""
    drop_after: int | None = None
    """Bytes of each body after which the connection is dropped."""
    pause: float = 0.0
    """Seconds between two chunks."""
    drip: float = 0.0
    """Seconds to wait after each byte, also of the headers."""
    drip_after: int | None = None
    """Bytes of each body after which the rest is sent byte by byte."""
    responses: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    """Status and headers of the next responses to GET, sent instead of the file."""
    before: Callable[[Server, str], None] = lambda server, method: None
    """Called before each response."""
    requests: list[tuple[str, str, int]] = field(default_factory=list)
    """Method, Range and status of each request."""

    def tag(self, name: str) -> str:
        return f'"{hashlib.md5(self.files[name]).hexdigest()}{self.etag_suffix}"'

    def statuses(self, method: str = "GET") -> list[int]:
        return [status for used, _, status in self.requests if used == method]


class Dripping:
    """A connection's output; byte by byte while ``state.drip`` is set."""

    def __init__(self, file: Any, state: Server) -> None:
        self.file, self.state = file, state

    def write(self, data: bytes) -> None:
        if not self.state.drip:
            self.file.write(data)
            return
        for value in data:
            self.file.write(bytes([value]))
            time.sleep(self.state.drip)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.file, name)


class Handler(BaseHTTPRequestHandler):
    """Responds according to the server's settings."""

    protocol_version = "HTTP/1.1"
    state: Server

    def setup(self) -> None:
        super().setup()
        self.wfile: Any = Dripping(self.wfile, self.state)

    def log_message(self, *_: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self.serve_file("HEAD")

    def do_GET(self) -> None:
        self.serve_file("GET")

    def serve_file(self, method: str) -> None:
        state, name = self.state, self.path.rpartition("/")[2]
        state.before(state, method)
        if method == "HEAD" and not state.head:
            return self.respond(method, 405, {})
        if method == "GET" and state.responses:
            return self.respond(method, *state.responses.pop(0))
        if name not in state.files:
            return self.respond(method, 404, {})
        data, headers = state.files[name], {}
        if state.etag:
            headers["ETag"] = state.tag(name)
        if state.modified:
            headers["Last-Modified"] = state.modified
        status, start = self.range_of(name, headers)
        if status == 416:
            return self.respond(method, 416, {"Content-Range": f"bytes */{len(data)}"})
        if status == 206:
            headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
        self.respond(method, status, headers, data[start:])
        return None

    def range_of(self, name: str, validators: dict[str, str]) -> tuple[int, int]:
        requested = re.fullmatch(r"bytes=(\d+)-\d*", self.headers.get("Range", ""))
        condition = self.headers.get("If-Range")
        if not requested or not self.state.ranges:
            return 200, 0
        if condition and self.state.if_range and condition not in validators.values():
            return 200, 0
        start = int(requested[1])
        return (206, start) if start < len(self.state.files[name]) else (416, 0)

    def respond(self, method: str, status: int, headers: dict[str, str], body: bytes = b"") -> None:
        state = self.state
        state.requests.append((method, self.headers.get("Range", ""), status))
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        length = len(body) if status == 206 else state.wrong_lengths.get(method, len(body))
        if 300 <= status < 400:
            length = 0
        if state.announced or method == "HEAD":
            self.send_header("Content-Length", str(length))
        else:
            self.close_connection = True
        self.end_headers()
        if method == "GET":
            with suppress(OSError):
                self.send(body, length)

    def send(self, body: bytes, length: int) -> None:
        state = self.state
        last = len(body) if state.drop_after is None else min(state.drop_after, len(body))
        for start in range(0, last, CHUNK):
            if state.drip_after is not None and start >= state.drip_after:
                state.drip = 0.03
            self.wfile.write(body[start : min(start + CHUNK, last)])
            if state.pause:
                time.sleep(state.pause)
        while state.endless:
            self.wfile.write(bytes(CHUNK))
        if last != length:
            self.close_connection = True


class Listener(ThreadingHTTPServer):
    """Ignores errors of clients that disconnect."""

    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        pass


@contextmanager
def serving(
    files: dict[str, bytes], nasty_seed: int | None = None, **settings: object
) -> Iterator[Server]:
    """Serve files by name, whatever the folder in the URL, on a port that the system chooses.

    With ``nasty_seed`` each response has a fault, chosen at random.
    """
    state = Server(files, **settings)  # type: ignore[arg-type]
    if nasty_seed is not None:
        state.before = random_faults(nasty_seed)
    handler = type("Handling", (Handler,), {"state": state})
    with Listener(("127.0.0.1", 0), handler) as listener:
        state.url = f"http://127.0.0.1:{listener.server_address[1]}/datasets"
        thread = threading.Thread(target=listener.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield state
        finally:
            listener.shutdown()
            thread.join()


def random_faults(seed: int) -> Callable[[Server, str], None]:
    """Return a `Server.before` that gives each response a random fault, but no wrong content."""
    rng = random.Random(seed)
    lock = threading.Lock()

    def change(server: Server, method: str) -> None:
        with lock:
            server.drop_after = rng.choice([None, 0, 1, 5_000, 40_000, 100_000])
            server.ranges = rng.random() < 0.85
            server.pause = rng.choice([0.0, 0.0, 0.002, 0.01])
            if method == "GET" and rng.random() < 0.2:
                server.responses.append((503, {"Retry-After": "0"}))

    return change
