"""Lists of domains, and hosts in addresses."""

import time
from pathlib import Path

import pytest

from factcheck.errors import InvalidInputError, MissingResourceError, UsageError
from factcheck.retrieval import SourcePolicy
from factcheck.retrieval.policy import host_of, read_domains


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://News.Example:8080/a?b=c", "news.example"),
        ("http://user:secret@example.org/", "example.org"),
        ("example.org/path", "example.org"),
        ("//example.org", "example.org"),
        ("https://bücher.example/", "xn--bcher-kva.example"),
        # The older IDNA took it for strasse.example, which belongs to somebody else.
        ("https://STRAßE.example/", "xn--strae-oqa.example"),
        ("https://xn--strae-oqa.example/", "xn--strae-oqa.example"),
        ("https://i\u2764.example/", "xn--i-7iq.example"),
        ("https://a_b.example/", "a_b.example"),
        ("https://example.org./", "example.org"),
        ("https://[::1]/", "::1"),
        ("https://[broken/", None),
        ("", None),
        (None, None),
        ("https:///path", "path"),
        ("file:///path", None),
        ("ftp://example.org/x", "example.org"),
        ("app+x.y://example.org/x", "example.org"),
        ("example.org:8080/x", "example.org"),
        ("example.org/fact?ref=https://x.example/", "example.org"),
        ("www.example.org/a//b", "www.example.org"),
        ("https://example.org\u3002/x", "example.org"),
        ("https://example\uff0eorg/", "example.org"),
        ("https://example.org.\u00ad/", "example.org"),
        ("https:/example.org/x", "example.org"),
        ("HTTPS:example.org/x", "example.org"),
        ("https:\\\\example.org\\x", "example.org"),
        ("https://example.org\\@other.example/", "example.org"),
        ("https://other.example@example.org/", "example.org"),
        ("https://example%2eorg/", "example.org"),
        ("https://\uff45xample.org/", "example.org"),
        ("https://exa\u00admple.org/", "example.org"),
        ("\x00 ht\ntps://exam\tple.org\x1f", "example.org"),
        (f"https://{'a' * 64}.\uff45xample.org/", f"{'a' * 64}.example.org"),
        (f"https://{'a.' * 127}example.org\u3002/", f"{'a.' * 127}example.org"),
    ],
)
def test_a_host_is_read_as_browsers_do(url: str | None, host: str | None) -> None:
    assert host_of(url) == host


@pytest.mark.parametrize(
    "host",
    [
        "".join(chr(0x4E00 + i) for i in range(8000)),
        "\u00fc." * 12_000,
        "a\u0301\u0323" + "\u0301\u0323" * 12_000,
        "%e2%80%a4" * 4000,
        "a" + " " * 36_000,
        "@" * 36_000,
        "https:" * 6000,
    ],
)
def test_no_address_takes_long(host: str) -> None:
    start = time.perf_counter()
    assert host_of(f"https://{host}.org/") is not None
    assert time.perf_counter() - start < 1


@pytest.mark.parametrize("day", ["20200102", "2020-W01-4", "2020-01-02"])
def test_a_day_is_written_as_dates_in_an_index_are(day: str) -> None:
    assert SourcePolicy(day).as_of == SourcePolicy.of(day).as_of == "2020-01-02"
    assert SourcePolicy(day) == SourcePolicy("2020-01-02")


@pytest.mark.parametrize("day", ["", "May", "2020-13-01", "2020-01-02T00:00", "x" * 100, 2020])
def test_what_is_no_day_is_refused(day: str) -> None:
    with pytest.raises(UsageError, match=r"^as_of: .{2,40} is not a date as YYYY-MM-DD"):
        SourcePolicy(day)


def test_www_is_no_part_of_a_domain_unless_nothing_else_is(tmp_path: Path) -> None:
    path = tmp_path / "list.txt"
    path.write_text("www.com\nwww.a.example\nhttps:/www.b.example\n")
    assert read_domains(path) == {"www.com", "a.example", "b.example"}
    assert not SourcePolicy.of(block=path).blocks("other.com")
    assert SourcePolicy.of(block=path).blocks("x.www.com")


def test_a_list_has_domains_comments_and_subdomains(tmp_path: Path) -> None:
    path = tmp_path / "list.txt"
    path.write_text("# ours\nwww.Example.org\n\nfacts.example.net # a part\nhttps://c.example/\n")
    policy = SourcePolicy.of(block=path)
    assert policy.blocked == {"example.org", "facts.example.net", "c.example"}
    assert policy.blocked_name == "list.txt"
    for host in ("example.org", "www.example.org", "a.b.example.org", "facts.example.net"):
        assert policy.blocks(host)
    for host in ("example.net", "notexample.org", "org", "example.org.evil.com"):
        assert not policy.blocks(host)
    assert policy.blocked_sha256 != SourcePolicy.of(block="fact-checkers").blocked_sha256


@pytest.mark.parametrize(
    ("url", "blocked"),
    [
        ("https://web.archive.org/web/20200102030405/https://www.checks.example/x", True),
        ("web.archive.org/web/2020*/checks.example/x", True),
        (" https:\\\\web.archive.org\\web\\2020im_\\http://checks.example:80", True),
        ("https://archive.ph/2020.01.02-030405/https://checks.example/x", True),
        ("https://archive.ph/AbCdE", False),
        ("https://www-checks-example.translate.goog/x?_x_tr_sl=en", True),
        ("https://checks-example.cdn.ampproject.org/c/s/checks.example/x", True),
        ("https://a--b-example.translate.goog/", True),
        ("https://a-b-example.translate.goog/", False),
        ("https://www.google.com/amp/s/checks.example/x", True),
        ("https://translate.google.com/translate?hl=en&u=https%3A%2F%2Fchecks.example%2Fx", True),
        ("https://translate.google.com/translate?hl=en&u=www.checks.example/x", True),
        ("https://translate.google.com/translate?u=checks.example", True),
        ("https://translate.google.com/translate?hl=en&text=checks.example", False),
        ("https://webcache.googleusercontent.com/search?q=cache:checks.example/x+dam", True),
        (
            "http://webcache.googleusercontent.com/search?hl=en&q=cache:A_b-1Q2w3E4:"
            "www.checks.example/x+dam+burst&cd=1",
            True,
        ),
        ("https://archive.ph/newest/checks.example/x", True),
        ("https://archive.today/20200102030405/checks.example", True),
        ("https://archive.is/2020.01.02-030405/www.checks.example/x", True),
        ("https://archive.fo/o/AbCdE/checks.example/x", True),
        ("https://archive.ph/newest/other.example/checks.example", False),
        ("https://translate.google.com/translate?u=checks.example&hl=en", True),
        ("https://translate.google.com/translate?u=https://checks.example&sl=en", True),
        ("https://translate.google.com/translate?u=https%3A%2F%2Fchecks.example&client=x", True),
        ("https://webcache.googleusercontent.com/search?q=cache:https://checks.example+dam", True),
        ("https://che\u200ccks.example/x", True),
        ("https://translate.google.de/translate?u=checks.example&hl=en", True),
        ("https://www.google.co.uk/amp/s/checks.example/x", True),
        ("https://google.de/amp/s/www.checks.example/x", True),
        ("https://www.bing.com/amp/s/checks.example/x", True),
        ("https://google.checks.example.org/amp/s/checks.example/x", False),
        ("https://www.google.com/search?q=checks.example", False),
        ("https://arquivo.pt/wayback/20200102030405/https://checks.example/x", True),
        ("https://arquivo.pt/wayback/20200102030405mp_/checks.example/x", True),
        ("https://wayback.archive-it.org/1234/20200102030405/http://checks.example/", True),
        ("https://wayback.archive-it.org/all/20200102030405/checks.example/", True),
        ("https://webarchive.nationalarchives.gov.uk/ukgwa/20200102030405/checks.example", True),
        ("https://megalodon.jp/2020-0102-0304-05/https://checks.example:443/x", True),
        ("https://megalodon.jp/2020-0102-0304-05/checks.example/x", True),
        ("https://archive.wikiwix.com/cache/?url=https%3A%2F%2Fchecks.example%2Fx", True),
        ("https://translate.yandex.com/translate?url=checks.example&lang=en-ru", True),
        ("https://translate.googleusercontent.com/translate_c?u=https://checks.example", True),
        ("https://webcache.googleusercontent.com/search?q=cache:checks.example+dam", True),
        ("https://web.archive.org/web/2020/https://checks-example.translate.goog/", True),
        (
            "https://web.archive.org/web/2020/https://other.example/?ref=https://checks.example",
            False,
        ),
        ("https://web.archive.org/web/2020/https://other.example/", False),
        ("https://other.example/web/2020/https://checks.example/", False),
        ("https://checks-example.other.example/", False),
        (f"https://{'a' * 90}.translate.goog/", False),
        ("https://web.archive.org/web/1/" * 2000, False),
        (None, False),
    ],
)
def test_a_copy_of_a_page_is_of_the_site_that_its_address_names(
    url: str | None, blocked: bool
) -> None:
    policy = SourcePolicy(blocked=frozenset({"checks.example", "a-b.example"}))
    start = time.perf_counter()
    assert policy.blocks_address(url) == blocked
    assert time.perf_counter() - start < 1


def test_the_list_of_the_package_is_one() -> None:
    domains = read_domains("fact-checkers")
    assert len(domains) > 50
    assert {"snopes.com", "politifact.com", "fullfact.org", "factcheck.afp.com"} <= domains
    assert not SourcePolicy.of(block="fact-checkers").blocks("afp.com")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"a.example\nnot a domain\n", "line 2: 'not a domain' is not a domain"),
        (b"https://a.example/fact-check/\n", "line 1: 'https://a.example/fact-check/' is not a"),
        (b"a.example/news/checks\n", "line 1: 'a.example/news/checks' is not a domain"),
        (b"\na.example:8080\n", "line 2: 'a.example:8080' is not a domain"),
        (b"https://me@a.example\n", "line 1: 'https://me@a.example' is not a domain"),
        (b"a.example?id=1\n", "is not a domain"),
        (b"# nothing\n", "has no domains"),
        (b"\xff\xfe", "not UTF-8"),
        (b"x" * (2**20 + 1), "longer than"),
    ],
)
def test_what_is_no_list_is_refused(data: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "list.txt"
    path.write_bytes(data)
    with pytest.raises(InvalidInputError, match=message):
        read_domains(path)
    with pytest.raises(MissingResourceError, match="cannot be read"):
        read_domains(tmp_path / "none.txt")


def test_a_name_in_another_script_is_seen_within_the_host_of_a_translation() -> None:
    host = f"xn--{'straße-example'.encode('punycode').decode()}.translate.goog"
    policy = SourcePolicy(blocked=frozenset({"xn--strae-oqa.example"}))
    assert policy.blocks_address(f"https://{host}/x")
