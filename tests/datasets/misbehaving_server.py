"""A real HTTP server on loopback that does what servers of strangers do."""

import gzip
import socket
import ssl
import threading
import time
import zlib
from collections import Counter, defaultdict
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from urllib.parse import unquote, urlsplit

import numpy as np
from PIL import Image

MEGABYTE = 2**20


@cache
def picture(number: int = 0, kind: str = "JPEG") -> bytes:
    """A picture unlike that of any other number."""
    noise = np.random.default_rng(number).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    image = Image.fromarray(noise)
    packed = BytesIO()
    if kind == "MPO":
        image.save(packed, kind, save_all=True, append_images=[image])
    else:
        image.save(packed, kind)
    return packed.getvalue()


@cache
def bomb() -> bytes:
    """64 MB, packed."""
    packer = zlib.compressobj(1, wbits=31)
    return b"".join([*(packer.compress(bytes(MEGABYTE)) for _ in range(64)), packer.flush()])


class MisbehavingServer(ThreadingHTTPServer):
    """Serves the paths below on a port of its own.

    Attributes:
        hits: Number of requests by path.
        hosts: The Host headers, in the order in which they came.
        headers: The headers of the last request.
        most: Most requests at a time, by host without port.
        starts: When requests began, by host without port, in seconds.
        sent: Bytes of the body that went out, by path.
        on_request: Called with the path of every request.
    """

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, address: str = "127.0.0.1", port: int = 0) -> None:
        super().__init__((address, port), _Handler)
        self.hits: Counter[str] = Counter()
        self.hosts: list[str] = []
        self.headers: dict[str, str] = {}
        self.most: Counter[str] = Counter()
        self.starts: dict[str, list[float]] = defaultdict(list)
        self.sent: Counter[str] = Counter()
        self.on_request = lambda path: None
        self.stopping = threading.Event()
        self.lock = threading.Lock()
        self.now: Counter[str] = Counter()
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02})

    @property
    def port(self) -> int:
        return self.server_address[1]

    def url(self, path: str, host: str = "127.0.0.1", scheme: str = "http") -> str:
        return f"{scheme}://{host}:{self.port}{path}"

    def encrypt(self, certificate: Path) -> list[str | None]:
        """Speak TLS; returns the list that the names asked for will be in."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        names: list[str | None] = []
        context.sni_callback = lambda _, name, __: names.append(name)
        self.socket = context.wrap_socket(self.socket, server_side=True)
        return names

    def handle_error(self, request, client_address):
        """Clients go away here all the time; the standard error of tests is no place for that."""

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self.stopping.set()
        self.shutdown()
        self._thread.join()
        self.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: MisbehavingServer

    def log_message(self, *_):
        pass

    def do_GET(self):
        server, path = self.server, urlsplit(self.path).path
        host = self.headers["Host"].rpartition(":")[0]
        with server.lock:
            server.hits[path] += 1
            server.hosts.append(self.headers["Host"])
            server.headers = dict(self.headers)
            server.now[host] += 1
            server.most[host] = max(server.most[host], server.now[host])
            server.starts[host].append(time.monotonic())
        server.on_request(path)
        try:
            name, _, argument = path.strip("/").partition("/")
            getattr(self, f"serve_{name.replace('-', '_')}")(argument)
        finally:
            with server.lock:
                server.now[host] -= 1

    def answer(self, body=b"", status=200, kind="image/jpeg", length=True, **headers):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        if length:
            self.send_header("Content-Length", str(len(body) if length is True else length))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.put(body)
        self.close_connection = True

    def put(self, data):
        self.wfile.write(data)
        self.server.sent[urlsplit(self.path).path] += len(data)

    def serve_good(self, number):
        self.answer(picture(int(number or 0)))

    def serve_kind(self, kind):
        self.answer(picture(0, kind), kind="application/octet-stream")

    def serve_lingering(self, number):
        self.server.stopping.wait(0.05)
        self.answer(picture(int(number)))

    def serve_drip(self, _):
        self.answer(length=1000)
        self.drip(b"x")

    def serve_drip_header(self, _):
        self.wfile.write(b"HTTP/1.1 200 OK\r\nX-Long: ")
        self.drip(b"x")

    def drip(self, piece, most=500):
        for _ in range(most):
            if self.server.stopping.wait(0.02):
                return
            self.put(piece)

    def serve_silence(self, _):
        self.server.stopping.wait(5)

    def serve_truncated(self, _):
        self.answer(picture()[:500], length=len(picture()))

    def serve_truncated_unsaid(self, _):
        self.answer(picture()[:500], length=False)

    def serve_short_length(self, _):
        self.answer(picture(), length=500)

    def serve_garbage(self, _):
        self.wfile.write(b"\x00\xff" * 100 + b"\r\n\r\n")
        self.close_connection = True

    def serve_reset(self, _):
        self.connection.setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00"
        )
        self.connection.close()

    def serve_loop(self, _):
        self.answer(status=302, Location="/loop")

    def serve_hop(self, left):
        to = f"/hop/{int(left) - 1}" if int(left) > 1 else "/good/7"
        self.answer(status=301, Location=to)

    def serve_to(self, target):
        self.answer(status=307, Location=unquote(target))

    def serve_nowhere(self, _):
        self.answer(status=302)

    def serve_html(self, _):
        self.answer(b"<html>This picture has moved.</html>", kind="text/html")

    def serve_html_as_jpeg(self, _):
        self.answer(b"<html>This picture has moved.</html>")

    def serve_empty(self, _):
        self.answer()

    def serve_status(self, status):
        self.answer(b"no", status=int(status), kind="text/plain")

    def serve_wait(self, seconds):
        """Too many requests the first time, fine from then on."""
        if self.server.hits[urlsplit(self.path).path] > 1:
            self.answer(picture())
        else:
            self.answer(status=429, Retry_After=unquote(seconds))

    def serve_busy(self, seconds):
        """Too many requests, for ever."""
        self.answer(status=429, Retry_After=seconds)

    def serve_later(self, status):
        """A refusal that asks to wait a minute."""
        self.answer(status=int(status), Retry_After="60")

    def serve_twice(self, status):
        """Fails twice, fine from then on."""
        if self.server.hits[urlsplit(self.path).path] > 2:
            self.answer(picture())
        else:
            self.answer(status=int(status))

    def serve_huge_declared(self, _):
        self.answer(length=10**10)
        self.server.stopping.wait(5)

    def serve_huge_undeclared(self, _):
        self.answer(length=False)
        self.flood()

    def flood(self, piece=bytes(64 * 1024), most=200 * MEGABYTE):
        for _ in range(most // len(piece)):
            self.put(piece)

    def serve_chunks(self, _):
        self.answer(length=False, Transfer_Encoding="chunked")
        self.flood(b"10000\r\n" + bytes(64 * 1024) + b"\r\n")

    def serve_bomb(self, _):
        self.answer(bomb(), Content_Encoding="gzip")

    def serve_packed(self, _):
        self.answer(gzip.compress(picture()), Content_Encoding="gzip")

    def serve_packed_half(self, _):
        self.answer(gzip.compress(picture())[:500], Content_Encoding="gzip")

    def serve_packed_wrong(self, _):
        self.answer(picture(), Content_Encoding="gzip")

    def serve_packed_tail(self, _):
        """What is packed is small and ends; what follows does not."""
        self.answer(gzip.compress(picture()), length=False, Content_Encoding="gzip")
        self.flood()

    def serve_unknown_packing(self, _):
        self.answer(picture(), Content_Encoding="br")
