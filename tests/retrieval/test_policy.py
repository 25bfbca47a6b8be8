"""Lists of domains, and hosts in addresses."""

from pathlib import Path

import pytest

from factcheck.errors import InvalidInputError, MissingResourceError
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
        ("https://example.org./", "example.org"),
        ("https://[::1]/", "::1"),
        ("https://[broken/", None),
        ("", None),
        (None, None),
        ("https:///path", None),
    ],
)
def test_a_host_is_read_as_browsers_do(url: str | None, host: str | None) -> None:
    assert host_of(url) == host


def test_a_list_has_domains_comments_and_subdomains(tmp_path: Path) -> None:
    path = tmp_path / "list.txt"
    path.write_text("# ours\nwww.Example.org\n\nfacts.example.net # a part\nhttps://c.example/x\n")
    policy = SourcePolicy.of(block=path)
    assert policy.blocked == {"example.org", "facts.example.net", "c.example"}
    assert policy.blocked_name == "list.txt"
    for host in ("example.org", "www.example.org", "a.b.example.org", "facts.example.net"):
        assert policy.blocks(host)
    for host in ("example.net", "notexample.org", "org", "example.org.evil.com"):
        assert not policy.blocks(host)
    assert policy.blocked_sha256 != SourcePolicy.of(block="fact-checkers").blocked_sha256


def test_the_list_of_the_package_is_one() -> None:
    domains = read_domains("fact-checkers")
    assert len(domains) > 50
    assert {"snopes.com", "politifact.com", "fullfact.org", "factcheck.afp.com"} <= domains
    assert not SourcePolicy.of(block="fact-checkers").blocks("afp.com")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"a.example\nnot a domain\n", "line 2: 'not a domain' is not a domain"),
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
