import asyncio
import os
import shutil
import socket
import subprocess
import time
import tracemalloc
from contextlib import aclosing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from itertools import pairwise
from urllib.parse import quote

import pytest

from factcheck.datasets import fetch as module
from factcheck.datasets.fetch import (
    Fetcher,
    FetchError,
    FetchSettings,
    Reason,
    is_public,
    parse_url,
    retry_after,
)
from tests.datasets.misbehaving_server import MEGABYTE, MisbehavingServer, bomb, picture

QUICK = FetchSettings(
    pause=0.0,
    allow_private=True,
    max_bytes=MEGABYTE,
    connect_timeout=2.0,
    read_timeout=3.0,
    time_limit=6.0,
    backoff=0.01,
)
IMPATIENT = replace(QUICK, read_timeout=0.15, time_limit=0.4)


@pytest.fixture
def server(monkeypatch):
    # Reading the certificates of this machine takes longer than most of the tests.
    monkeypatch.setenv("SSL_CERT_DIR", os.devnull)
    with MisbehavingServer() as running:
        yield running


@pytest.fixture
def names(monkeypatch):
    """Names with their addresses; a list is gone through, one answer for each question."""
    known: dict[str, str | list[str]] = {}
    asked: list[str] = []
    real = socket.getaddrinfo

    def resolve(host, port, *arguments, **options):
        name = host.decode() if isinstance(host, bytes) else host
        if name not in known:
            return real(host, port, *arguments, **options)
        asked.append(name)
        answer = known[name]
        answer = answer.pop(0) if isinstance(answer, list) else answer
        return [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))
            for address in answer.split()
        ]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    known["asked"] = asked
    return known


def get_all(urls, settings=QUICK):
    """What comes of several URLs fetched at the same time."""

    async def run():
        async with aclosing(Fetcher(settings)) as fetcher:
            return await asyncio.gather(*map(fetcher.fetch, urls), return_exceptions=True)

    return asyncio.run(run())


def get(url, settings=QUICK):
    (found,) = get_all([url], settings)
    if isinstance(found, BaseException):
        raise found
    return found


def fail(url, settings=QUICK):
    with pytest.raises(FetchError) as caught:
        get(url, settings)
    return caught.value


def test_a_picture_comes_as_it_is_and_the_client_says_who_it_is(server, monkeypatch):
    # Nothing listens there: a fetch through it would fail.
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("all_proxy", "http://127.0.0.1:9")
    assert get(server.url("/good/3")) == picture(3)
    assert server.headers["User-Agent"].startswith("factcheck/")
    assert server.headers["Accept-Encoding"] == "identity"
    assert server.headers["Host"] == f"127.0.0.1:{server.port}"


MISBEHAVIOUR = {
    "/status/404": (Reason.GONE, 404, 1),
    "/status/410": (Reason.GONE, 410, 1),
    "/status/403": (Reason.REFUSED, 403, 1),
    "/status/304": (Reason.REFUSED, 304, 1),
    "/nowhere": (Reason.REFUSED, 302, 1),
    "/status/429": (Reason.BUSY, 429, 3),
    "/status/500": (Reason.SERVER_ERROR, 500, 3),
    "/status/504": (Reason.SERVER_ERROR, 504, 3),
    "/truncated": (Reason.BROKEN, None, 3),
    "/garbage": (Reason.BROKEN, None, 3),
    "/reset": (Reason.BROKEN, None, 3),
    "/packed-half": (Reason.BROKEN, None, 3),
    "/packed-wrong": (Reason.BROKEN, None, 3),
    "/unknown-packing": (Reason.NOT_AN_IMAGE, None, 1),
    "/loop": (Reason.REDIRECTS, None, 6),
    "/huge-declared": (Reason.TOO_LARGE, None, 1),
    "/huge-undeclared": (Reason.TOO_LARGE, None, 1),
    "/chunks": (Reason.TOO_LARGE, None, 1),
    "/packed-tail": (Reason.TOO_LARGE, None, 1),
}


def test_misbehaviour_has_a_reason_and_ends(server):
    errors = get_all([server.url(path) for path in MISBEHAVIOUR])
    assert all(isinstance(error, FetchError) for error in errors)
    assert {
        path: (error.reason, error.status, server.hits[path])
        for path, error in zip(MISBEHAVIOUR, errors, strict=True)
    } == MISBEHAVIOUR
    # What does not end is cut off early; what was sent beyond the bound is in the sockets' buffers.
    assert max(server.sent.values()) < 40 * MEGABYTE


@pytest.mark.parametrize(
    ("path", "reason", "hits"),
    [
        ("/silence", Reason.TIMEOUT, 3),
        ("/drip", Reason.TOO_SLOW, 1),
        ("/drip-header", Reason.TOO_SLOW, 1),
    ],
)
def test_a_slow_server_is_cut_off(server, path, reason, hits):
    start = time.monotonic()
    assert fail(server.url(path), IMPATIENT).reason is reason
    # Left alone, each of them would take five seconds or more.
    assert time.monotonic() - start < 3
    assert server.hits[path] == hits


def test_what_is_packed_is_not_unpacked_beyond_the_bound(server):
    bomb()
    tracemalloc.start()
    try:
        assert fail(server.url("/bomb")).reason is Reason.TOO_LARGE
        assert tracemalloc.get_traced_memory()[1] < 8 * MEGABYTE
    finally:
        tracemalloc.stop()


def test_patience_is_rewarded(server):
    hits = {"/twice/503": 3, "/twice/500": 3, "/wait/0": 2, "/packed": 1}
    assert get_all([server.url(path) for path in hits]) == [picture()] * 4
    assert server.hits == hits


def test_five_redirects_are_followed(server):
    assert get(server.url("/hop/5")) == picture(7)


def test_one_redirect_too_many(server):
    assert fail(server.url("/hop/6")).reason is Reason.REDIRECTS
    assert server.hits["/good/7"] == 0


def test_the_waits_between_attempts_double_and_vary(server, monkeypatch):
    waits = []

    async def note(seconds):
        waits.append(seconds)

    monkeypatch.setattr(module, "sleep", note)
    settings = replace(QUICK, backoff=8.0, attempts=5)
    fail(server.url("/status/500"), settings)
    assert server.hits["/status/500"] == 5
    assert all(0.5 <= wait / full <= 1.5 for wait, full in zip(waits, (8, 16, 32, 64), strict=True))
    fail(server.url("/status/502"), settings)
    assert waits[:4] != waits[4:]


class Clock:
    """Time that passes by nothing but sleeping."""

    def __init__(self, monkeypatch):
        self.now, self.slept = 1000.0, []
        monkeypatch.setattr(module, "monotonic", lambda: self.now)
        monkeypatch.setattr(module, "sleep", self.sleep)

    async def sleep(self, seconds):
        self.slept.append(seconds)
        self.now += seconds


def test_a_server_is_given_the_time_that_it_asks_for(server, monkeypatch):
    clock = Clock(monkeypatch)
    assert get(server.url("/wait/40"), replace(QUICK, longest_wait=40.0)) == picture()
    assert sum(clock.slept) == pytest.approx(40.0)


def test_a_server_that_asks_for_too_much_time_is_not_asked_again(server, monkeypatch):
    clock = Clock(monkeypatch)
    error = fail(server.url("/wait/41"), replace(QUICK, longest_wait=40.0))
    assert (error.reason, error.wait, clock.slept) == (Reason.BUSY, 41.0, [])
    assert server.hits["/wait/41"] == 1


def test_a_host_is_waited_for_only_so_long_in_all(server, monkeypatch):
    clock = Clock(monkeypatch)
    settings = replace(QUICK, per_host=1, attempts=9, most_waiting=100.0)
    errors = get_all([server.url(f"/busy/30?{i}") for i in range(4)], settings)
    assert [error.reason for error in errors] == [Reason.BUSY] * 4
    # Four times 30 would be more; each of the others is asked for once more, and then no longer.
    assert sum(wait for wait in clock.slept if wait > 1) == pytest.approx(90.0, abs=0.1)
    assert server.hits["/busy/30"] == 3 + 4


@pytest.mark.parametrize("status", [403, 404])
def test_only_who_may_be_asked_again_is_waited_for(server, monkeypatch, status):
    clock = Clock(monkeypatch)
    errors = get_all([server.url(f"/later/{status}?{i}") for i in range(3)])
    assert [(error.status, error.wait) for error in errors] == [(status, 0.0)] * 3
    assert clock.slept == []


def test_retry_after_is_seconds_or_a_date():
    soon = datetime.now(UTC) + timedelta(seconds=90)
    assert retry_after("120") == 120.0
    assert retry_after(format_datetime(soon, usegmt=True)) == pytest.approx(90, abs=2)
    assert retry_after(format_datetime(soon - timedelta(hours=1), usegmt=True)) == 0.0
    assert retry_after("9" * 5000) == float("inf")
    for nonsense in ("", "soon", "-5", "²", "Mon, 01 Jan 0001 00:00:00 -0000", "1.5"):
        assert retry_after(nonsense) == 0.0


@pytest.mark.parametrize(
    "address",
    """0.0.0.0 10.1.2.3 100.64.0.1 127.0.0.1 127.8.9.10 169.254.169.254 172.16.0.1 192.0.2.1
    192.168.1.1 198.18.0.1 224.0.0.1 239.1.1.1 240.0.0.1 255.255.255.255 :: ::1 fe80::1 fe80::1%eth0
    fc00::1 fec0::1 ff02::1 2001:db8::1 ::ffff:10.0.0.1 ::ffff:127.0.0.1 ::127.0.0.1
    64:ff9b::127.0.0.1 64:ff9b::10.0.0.1 64:ff9b:1::8.8.8.8 2002:7f00:1:: 2002:a00:1::1
    2001:0:1:2::3""".split(),
)
def test_addresses_that_are_not_public(address):
    assert not is_public(address)


@pytest.mark.parametrize(
    "address",
    "8.8.8.8 93.184.215.14 2606:4700::1111 ::ffff:8.8.8.8 64:ff9b::8.8.8.8 2002:808:808::1".split(),
)
def test_addresses_that_are_public(address):
    assert is_public(address)


def test_loopback_is_refused_by_default_however_it_is_spelt(server):
    hosts = "127.0.0.1 localhost 2130706433 0x7f.1 127.1 [::1] [::ffff:7f00:1] 0".split()
    settings = replace(QUICK, allow_private=False)
    errors = get_all([server.url("/good/0", host) for host in hosts], settings)
    assert [error.reason for error in errors] == [Reason.ADDRESS_REFUSED] * len(hosts)
    assert not server.hits


def test_a_name_with_any_address_that_is_not_public_is_refused(server, names):
    names["mixed.test"] = "8.8.8.8 127.0.0.1"
    settings = replace(QUICK, allow_private=False)
    assert fail(server.url("/good/0", "mixed.test"), settings).reason is Reason.ADDRESS_REFUSED


@pytest.fixture
def one_public(monkeypatch):
    """Let 127.0.0.1 pass for the one public address there is."""
    monkeypatch.setattr(module, "is_public", lambda address: address == "127.0.0.1")
    return replace(QUICK, allow_private=False)


def test_every_redirect_is_checked(server, one_public):
    with MisbehavingServer("127.0.0.2", server.port) as inner:
        for scheme in ("http", "ftp", "file"):
            target = inner.url("/good/1", "127.0.0.2", scheme)
            reason = Reason.ADDRESS_REFUSED if scheme == "http" else Reason.UNUSABLE_URL
            assert fail(server.url(f"/to/{quote(target, '')}"), one_public).reason is reason
        assert not inner.hits
        target = server.url("/good/1")
        assert get(server.url(f"/to/{quote(target, '')}"), one_public) == picture(1)


def test_the_connection_goes_to_the_address_that_was_checked(server, names, one_public):
    with MisbehavingServer("127.0.0.2", server.port) as inner:
        names["rebound.test"] = ["127.0.0.1", "127.0.0.2"]
        assert get(server.url("/good/1", "rebound.test"), one_public) == picture(1)
        assert names["asked"] == ["rebound.test"]
        assert server.hosts == [f"rebound.test:{server.port}"]
        # The next question gets the other answer, which is refused.
        error = fail(server.url("/good/1", "rebound.test"), one_public)
        assert error.reason is Reason.ADDRESS_REFUSED
        assert not inner.hits


def test_the_next_address_is_tried_when_one_does_not_answer(server, names):
    names["two.test"] = "127.0.0.3 127.0.0.1"
    assert get(server.url("/good/2", "two.test")) == picture(2)
    names["none.test"] = "127.0.0.3 127.0.0.4"
    assert fail(server.url("/good/2", "none.test")).reason is Reason.NO_CONNECTION


def test_a_name_that_is_not_known(server, monkeypatch):
    def refuse(code):
        def resolve(*_, **__):
            asked.append(code)
            raise socket.gaierror(code, "no")

        monkeypatch.setattr(socket, "getaddrinfo", resolve)

    asked = []
    refuse(socket.EAI_NONAME)
    assert fail("http://nobody.test/x").reason is Reason.NO_HOST
    refuse(socket.EAI_AGAIN)
    assert fail("http://nobody.test/x").reason is Reason.NO_CONNECTION
    assert asked == [socket.EAI_NONAME] + 3 * [socket.EAI_AGAIN]


@pytest.mark.parametrize(
    "url",
    [
        "",
        "picture.jpg",
        "//example.org/a.jpg",
        "ftp://example.org/a.jpg",
        "file:///etc/passwd",
        "data:image/png;base64,AAAA",
        "http://",
        "http:///a.jpg",
        "http://user:word@example.org/a.jpg",
        "http://user@example.org/a.jpg",
        "http://example.org:25/a.jpg",
        "http://example.org:0/a.jpg",
        "http://example.org:99999/a.jpg",
        "http://example.org:x/a.jpg",
        "http://a b.org/",
        "http://.example.org/",
        "http://example..org/",
        f"http://{'a' * 64}.org/",
        "http://[::1/",
        "http://[fe80::1%25eth0]/",
        "http://300.1.1.1/",
        "http://example.org/\r\nX: y",
        "http://\udc80.org/",
    ],
)
def test_urls_that_may_not_be_fetched(url):
    with pytest.raises(FetchError) as caught:
        parse_url(url)
    assert caught.value.reason is Reason.UNUSABLE_URL


@pytest.mark.parametrize(
    ("url", "host", "path"),
    [
        ("HTTPS://Example.ORG:443/ä b.jpg?x=1#y", b"example.org", b"/%C3%A4%20b.jpg?x=1"),
        ("http://bücher.example:8080", b"xn--bcher-kva.example", b"/"),
        ("http://a_b.example.org./x%20y", b"a_b.example.org.", b"/x%20y"),
        ("http://[2606:4700::1]/x", b"2606:4700::1", b"/x"),
    ],
)
def test_urls_that_may_be_fetched(url, host, path):
    parsed = parse_url(url)
    assert (parsed.raw_host, parsed.raw_path) == (host, path)


def test_a_host_is_not_pressed_and_others_do_not_wait_for_it(server, names):
    names |= {"a.test": "127.0.0.1", "b.test": "127.0.0.1"}
    urls = [server.url(f"/lingering/{i}", f"{host}.test") for host in "ab" for i in range(6)]
    found = get_all(urls, replace(QUICK, per_host=2, concurrency=16))
    assert found == [picture(i) for _ in "ab" for i in range(6)]
    assert (server.most["a.test"], server.most["b.test"]) == (2, 2)
    # Had one host waited for the other, its first request would have come after the other's last.
    assert server.starts["b.test"][0] < server.starts["a.test"][-1]


def test_all_hosts_together_are_bounded(server, names):
    names |= {f"h{i}.test": "127.0.0.1" for i in range(8)}
    most, lock = [0, 0], server.lock

    def count(_):
        with lock:
            most[0] = max(most[0], server.now.total())

    server.on_request = count
    urls = [server.url(f"/lingering/{i}", f"h{i}.test") for i in range(8)]
    get_all(urls, replace(QUICK, concurrency=3))
    assert most[0] == 3


def test_requests_to_a_host_start_with_a_pause_between(server):
    urls = [server.url(f"/good/{i}") for i in range(5)]
    get_all(urls, replace(QUICK, pause=0.06, per_host=5))
    starts = sorted(server.starts["127.0.0.1"])
    gaps = [after - before for before, after in pairwise(starts)]
    assert len(gaps) == 4
    assert sum(gaps) >= 4 * 0.06 - 0.02
    assert min(gaps) > 0.02


def test_the_pause_holds_where_requests_also_wait_for_other_hosts(server, names):
    names |= {"a.test": "127.0.0.1", "b.test": "127.0.0.1"}
    paths = [("/lingering/0", "b.test"), ("/good/1", "a.test"), ("/good/2", "a.test")]
    get_all([server.url(*path) for path in paths], replace(QUICK, concurrency=1, pause=0.2))
    first, second = server.starts["a.test"]
    assert first > server.starts["b.test"][0]
    assert second - first > 0.15


def test_waiting_for_a_turn_is_not_held_against_a_picture(server):
    urls = [server.url(f"/lingering/{i}") for i in range(8)]
    found = get_all(urls, replace(QUICK, per_host=1, time_limit=0.3))
    assert found == [picture(i) for i in range(8)]


def test_the_time_limit_is_one_for_all_redirects(server):
    """Each redirect takes a little time, and all of them too much."""
    server.on_request = lambda _: server.stopping.wait(0.1)
    assert fail(server.url("/hop/5"), replace(QUICK, time_limit=0.35)).reason is Reason.TOO_SLOW
    assert 2 <= server.hits.total() <= 4


def test_a_certificate_is_checked_for_the_name_and_not_for_the_address(
    names, tmp_path, monkeypatch
):
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("there is no openssl to make a certificate with")
    certificate = tmp_path / "certificate.pem"
    command = f"""{openssl} req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2
    -subj /CN=pictures.test -addext subjectAltName=DNS:pictures.test -keyout {certificate}.key
    -out {certificate}"""
    subprocess.run(command.split(), check=True, capture_output=True)
    both = tmp_path / "both.pem"
    both.write_bytes(certificate.read_bytes() + (tmp_path / "certificate.pem.key").read_bytes())
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    names |= {"pictures.test": "127.0.0.1", "other.test": "127.0.0.1"}
    server = MisbehavingServer()
    asked = server.encrypt(both)
    with server:
        assert get(server.url("/good/4", "pictures.test", "https")) == picture(4)
        for host in ("other.test", "127.0.0.1"):
            error = fail(server.url("/good/4", host, "https"), replace(QUICK, attempts=1))
            assert error.reason is Reason.NO_CONNECTION
    assert asked == ["pictures.test", "other.test", None]
    assert server.hits.total() == 1
