"""Pictures over HTTP from strangers' servers: bounded in bytes, time, redirects and addresses.

The addresses come out of a data set, so a request must not reach what only this machine can reach
(server-side request forgery): a name is resolved once, every address it has must be a public one,
and the connection goes to one of exactly these, while the Host header and the check of the
certificate keep the name. So a name that resolves to something else a moment later (DNS rebinding)
gains nothing. Each redirect is checked in the same way. Proxies of the environment are not used:
a proxy resolves names by itself. No cookie is kept and no connection is used twice.
"""

import asyncio
import ipaddress
import random
import re
import socket
import zlib
from asyncio import sleep
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from enum import StrEnum
from math import inf
from time import monotonic, time

import httpx2

from factcheck import __version__

_HEADERS = {
    "User-Agent": f"factcheck/{__version__} (downloads the pictures of a research data set)",
    # Without the formats that a browser would take and `pictures.decode` does not, such as AVIF.
    "Accept": "image/jpeg,image/png,image/webp,image/gif;q=0.8,*/*;q=0.1",
    "Accept-Encoding": "identity",
    "Connection": "close",
}
_HOST = re.compile(r"(?=.{1,254}$)[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*\.?|(?=[^:]*:)[0-9a-f:.]*")
_UNICAST = ipaddress.IPv6Network("2000::/3")
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_MOST_ADDRESSES = 4


class Reason(StrEnum):
    """Why a picture could not be had."""

    UNUSABLE_URL = "unusable URL"
    ADDRESS_REFUSED = "address refused"
    NO_HOST = "host not found"
    NO_CONNECTION = "no connection"
    BROKEN = "connection broke"
    TIMEOUT = "timed out"
    TOO_SLOW = "too slow"
    REDIRECTS = "too many redirects"
    GONE = "gone"
    BUSY = "too many requests"
    SERVER_ERROR = "server error"
    REFUSED = "refused by the server"
    TOO_LARGE = "too large"
    NOT_AN_IMAGE = "not an image"
    DAMAGED = "damaged image"


PERMANENT = frozenset(
    {
        Reason.UNUSABLE_URL,
        Reason.ADDRESS_REFUSED,
        Reason.REDIRECTS,
        Reason.GONE,
        Reason.TOO_LARGE,
        Reason.NOT_AN_IMAGE,
    }
)
"""Reasons that will most likely hold tomorrow too."""

# TOO_SLOW is not among them: each attempt would take the whole time limit again.
_TRIED_AGAIN = frozenset(
    {Reason.NO_CONNECTION, Reason.BROKEN, Reason.TIMEOUT, Reason.BUSY, Reason.SERVER_ERROR}
)
_OF_STATUS = {404: Reason.GONE, 410: Reason.GONE, 429: Reason.BUSY} | dict.fromkeys(
    (500, 502, 503, 504), Reason.SERVER_ERROR
)


class FetchError(Exception):
    """A picture could not be had.

    Attributes:
        reason: Why.
        status: HTTP status of the last answer, if that is what is wrong.
        wait: What the server asks to wait before it is asked for this again, in seconds.
    """

    def __init__(self, reason: Reason, status: int | None = None, wait: float = 0.0) -> None:
        super().__init__(reason if status is None else f"{reason} (status {status})")
        self.reason = reason
        self.status = status
        self.wait = wait


@dataclass(frozen=True)
class FetchSettings:
    """Bounds of what is fetched, and how politely.

    Attributes:
        concurrency: Most requests at a time.
        per_host: Most requests at a time to one host.
        pause: Least time between the starts of two requests to one host, in seconds.
        allow_private: Whether addresses that are not public may be reached.
        max_bytes: Largest picture, as it is and as it is unpacked.
        connect_timeout: For a connection and for its encryption, in seconds each.
        read_timeout: Longest silence of a server, in seconds.
        time_limit: For one attempt at a picture with its redirects, in seconds; waiting for a turn
            does not count.
        max_redirects: Most redirects in a row.
        attempts: Most attempts at a picture.
        backoff: Wait before the second attempt in seconds, give or take a half; it doubles with
            every further attempt.
        longest_wait: Most that a server may ask to wait (Retry-After), in seconds; who asks for
            more is not asked again.
        most_waiting: Most that a host is waited for in all, because it asked for it, in seconds;
            from then on it is as if it asked for too much.
    """

    concurrency: int = 16
    per_host: int = 2
    pause: float = 0.25
    allow_private: bool = False
    max_bytes: int = 32 * 2**20
    connect_timeout: float = 10.0
    read_timeout: float = 15.0
    time_limit: float = 60.0
    max_redirects: int = 5
    attempts: int = 3
    backoff: float = 1.0
    longest_wait: float = 60.0
    most_waiting: float = 600.0


def is_public(address: str) -> bool:
    """Whether an IP address is one of the public internet, as IANA's registries have it.

    An IPv6 address that stands for an IPv4 address (mapped, 6to4, NAT64) is judged by that.
    """
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv4Address):
        return ip.is_global and not ip.is_multicast
    embedded = ip.ipv4_mapped or ip.sixtofour
    if ip in _NAT64:
        embedded = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
    if embedded is not None:
        return is_public(str(embedded))
    return ip.is_global and ip in _UNICAST


def parse_url(url: str | httpx2.URL) -> httpx2.URL:
    """A URL that may be fetched.

    It is of http or https, holds no user name or password, which would be sent to whoever runs the
    host now, and its port is that of http or https or not below 1024, where mail and the like are.

    Raises:
        FetchError: It is not.
    """
    try:
        parsed = httpx2.URL(url)
    except (httpx2.InvalidURL, ValueError) as error:
        raise FetchError(Reason.UNUSABLE_URL) from error
    if (
        parsed.scheme not in ("http", "https")
        or parsed.userinfo
        or not _HOST.fullmatch(host_of(parsed))
        or (parsed.port not in (None, 80, 443) and not 1024 <= parsed.port <= 65535)
    ):
        raise FetchError(Reason.UNUSABLE_URL)
    return parsed


def host_of(url: httpx2.URL) -> str:
    """A URL's host in the form that names are looked up in."""
    return url.raw_host.decode("ascii")


class Fetcher:
    """Fetches pictures in one event loop.

    Args:
        settings: Within which bounds.
    """

    def __init__(self, settings: FetchSettings) -> None:
        self._settings = settings
        self._turns = _Turns(settings)
        # A connection kept for an address would be one for whatever other name has that address.
        self._transport = httpx2.AsyncHTTPTransport(
            limits=httpx2.Limits(max_connections=None, max_keepalive_connections=0)
        )
        read, connect = settings.read_timeout, settings.connect_timeout
        self._timeouts = {"connect": connect, "read": read, "write": read, "pool": None}

    async def aclose(self) -> None:
        """Close what is open."""
        await self._transport.aclose()

    async def fetch(self, url: str) -> bytes:
        """What is at a URL; whether it is a picture is not looked at.

        Raises:
            FetchError: It could not be had within the bounds.
        """
        settings = self._settings
        attempt = 1
        while True:
            try:
                return await self._attempt(parse_url(url))
            except FetchError as error:
                hopeless = error.reason not in _TRIED_AGAIN or error.wait > settings.longest_wait
                if hopeless or attempt >= settings.attempts:
                    raise
            await sleep(settings.backoff * 2 ** (attempt - 1) * random.uniform(0.5, 1.5))
            attempt += 1

    async def _attempt(self, url: httpx2.URL) -> bytes:
        left = self._settings.time_limit
        for _ in range(self._settings.max_redirects + 1):
            async with self._turns.turn(host_of(url)):
                start = monotonic()
                try:
                    async with asyncio.timeout(left):
                        found = await self._request(url)
                except TimeoutError as error:
                    raise FetchError(Reason.TOO_SLOW) from error
                left -= monotonic() - start
            if isinstance(found, bytes):
                return found
            url = found
        raise FetchError(Reason.REDIRECTS)

    async def _request(self, url: httpx2.URL) -> bytes | httpx2.URL:
        """The body of the answer, or where it redirects to."""
        addresses = await self._resolve(url)
        with _translated():
            response = await self._send(url, addresses)
            async with aclosing(response):
                if response.status_code in (301, 302, 303, 307, 308):
                    return _redirected(url, response)
                if response.status_code != 200:
                    raise self._refusal(url, response)
                return await self._read(response)

    async def _resolve(self, url: httpx2.URL) -> list[str]:
        loop = asyncio.get_running_loop()
        port = url.port or {"http": 80, "https": 443}[url.scheme]
        try:
            found = await loop.getaddrinfo(url.raw_host, port, type=socket.SOCK_STREAM)
        except socket.gaierror as error:
            later = error.errno == socket.EAI_AGAIN
            raise FetchError(Reason.NO_CONNECTION if later else Reason.NO_HOST) from error
        addresses = [str(address[0]) for *_, address in found]
        if not self._settings.allow_private and not all(map(is_public, addresses)):
            raise FetchError(Reason.ADDRESS_REFUSED)
        return addresses[:_MOST_ADDRESSES]

    async def _send(self, url: httpx2.URL, addresses: list[str]) -> httpx2.Response:
        headers = _HEADERS | {"Host": url.netloc.decode("ascii")}
        extensions = {"timeout": self._timeouts, "sni_hostname": host_of(url).rstrip(".")}
        failure: Exception = httpx2.ConnectError("the name has no address")
        for address in addresses:
            place = url.copy_with(host=address)
            request = httpx2.Request("GET", place, headers=headers, extensions=extensions)
            try:
                return await self._transport.handle_async_request(request)
            except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
                failure = error
        raise failure

    def _refusal(self, url: httpx2.URL, response: httpx2.Response) -> FetchError:
        status = response.status_code
        reason = _OF_STATUS.get(status, Reason.REFUSED)
        if reason not in _TRIED_AGAIN:
            # What is gone is not there later, and the host's other pictures need not wait for it.
            return FetchError(reason, status)
        wait = retry_after(response.headers.get("Retry-After", ""))
        if wait <= self._settings.longest_wait and not self._turns.hold(host_of(url), wait):
            wait = inf
        return FetchError(reason, status, wait)

    async def _read(self, response: httpx2.Response) -> bytes:
        most = self._settings.max_bytes
        length = response.headers.get("Content-Length", "")
        if length.isdecimal() and int(length) > most:
            raise FetchError(Reason.TOO_LARGE)
        encoding = response.headers.get("Content-Encoding", "").strip().lower()
        if encoding not in ("", "identity", "gzip", "x-gzip", "deflate"):
            raise FetchError(Reason.NOT_AN_IMAGE)
        # Some servers pack whatever they send, wanted or not; 47 takes gzip and zlib alike.
        unpack = None if encoding in ("", "identity") else zlib.decompressobj(wbits=47)
        data = bytearray()
        async with aclosing(response.aiter_raw()) as chunks:
            async for chunk in chunks:
                data += chunk if unpack is None else unpack.decompress(chunk, most + 1 - len(data))
                # What follows the end of packed data adds nothing to it, and is held all the same.
                if max(len(data), response.num_bytes_downloaded) > most:
                    raise FetchError(Reason.TOO_LARGE)
        if unpack is not None and not unpack.eof:
            raise FetchError(Reason.BROKEN)
        return bytes(data)


def retry_after(value: str) -> float:
    """Seconds that a Retry-After header (RFC 9110, 10.2.3) asks to wait; 0 if it says nothing."""
    try:
        wait = (
            float(value) if value.isdecimal() else parsedate_to_datetime(value).timestamp() - time()
        )
    except (ValueError, OverflowError):
        return 0.0
    return max(wait, 0.0)


def _redirected(url: httpx2.URL, response: httpx2.Response) -> httpx2.URL:
    location = response.headers.get("Location")
    if location is None:
        raise FetchError(Reason.REFUSED, response.status_code)
    try:
        return parse_url(url.join(location))
    except (httpx2.InvalidURL, ValueError) as error:
        raise FetchError(Reason.UNUSABLE_URL) from error


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except httpx2.TimeoutException as error:
        raise FetchError(Reason.TIMEOUT) from error
    except httpx2.ConnectError as error:
        raise FetchError(Reason.NO_CONNECTION) from error
    except (httpx2.TransportError, OSError, zlib.error) as error:
        # OSError: what the encryption finds wrong once it is set up.
        raise FetchError(Reason.BROKEN) from error


class _Host:
    def __init__(self, slots: int) -> None:
        self.slots = asyncio.Semaphore(slots)
        self.starting = asyncio.Lock()
        self.ready = 0.0
        self.held = 0.0


class _Turns:
    """Hands out turns to make a request, so that no host is pressed."""

    def __init__(self, settings: FetchSettings) -> None:
        self._settings = settings
        self._free = asyncio.Semaphore(settings.concurrency)
        self._hosts: dict[str, _Host] = {}

    @asynccontextmanager
    async def turn(self, name: str) -> AsyncIterator[None]:
        host = self._host(name)
        async with host.slots:
            # One at a time: two that find the pause over could else wait for `_free` together, and
            # then start together.
            async with host.starting:
                while (wait := host.ready - monotonic()) > 0:
                    await sleep(wait)
                await self._free.acquire()
                host.ready = max(host.ready, monotonic() + self._settings.pause)
            try:
                yield
            finally:
                self._free.release()

    def hold(self, name: str, seconds: float) -> bool:
        """Let no request to a host start for a while; False if it was held for too long already."""
        host, now = self._host(name), monotonic()
        longer = max(0.0, now + seconds - max(host.ready, now))
        if host.held + longer > self._settings.most_waiting:
            return False
        host.held += longer
        host.ready = max(host.ready, now + seconds)
        return True

    def _host(self, name: str) -> _Host:
        if name not in self._hosts:
            self._hosts[name] = _Host(self._settings.per_host)
        return self._hosts[name]
