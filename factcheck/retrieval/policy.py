"""Which documents a search may use: nothing that came later, nothing from a list of domains.

A verdict on a claim of last May is worth nothing when it rests on what was known in June, and one
that is to be independent of fact-checkers may not quote them. Both are kept from being found, and
the verdict says so.
"""

import hashlib
import re
import unicodedata
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Literal, Self
from urllib.parse import unquote

import idna

from factcheck.errors import InvalidInputError, MissingResourceError, UsageError
from factcheck.retrieval.mirrors import as_browsers_read, hosts_within, name_within

FACT_CHECKERS = "fact-checkers"
"""Name of the list of domains that the package carries."""

_FACT_CHECKERS_FILE = Path(__file__).parent / "fact_check_domains.txt"
_MAX_BYTES = 2**20
_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")
# Browsers take any number of slashes, and none, after the schemes that they know hosts of.
_SCHEME = re.compile(r"(?:https?|wss?|ftp):/*|(?:[a-z][a-z0-9+.-]*:)?//", re.IGNORECASE)
# What makes an address one of a part of what a host has.
_NARROWER = re.compile(r"[/\\?@:\s]")
_DOT = re.compile("[.\u3002\uff0e\uff61]")
_JOINERS = re.compile("[\u200c\u200d]")
_LONGEST_HOST = 253
_LONGEST_LABEL = 63

Undated = Literal["drop", "keep"]
"""What becomes of a document without a date when only earlier ones may be used."""


@dataclass(frozen=True)
class SourcePolicy:
    """Which documents a search may use.

    Attributes:
        as_of: The last day of publication, as YYYY-MM-DD whatever way of ISO 8601 it was given in;
            None for any.
        undated: What becomes of documents without a date where there is such a day.
        blocked: Domains that are kept out, with all their subdomains, and with those copies of
            their pages in archives, translations and caches whose addresses name the original
            (`mirrors`). A document without an address, or whose address has no host that a browser
            would find, is from none of them and stays; a host that is no name by the rules is
            compared as it is written.
        blocked_name: What their list is called.
    """

    as_of: str | None = None
    undated: Undated = "drop"
    blocked: frozenset[str] = frozenset()
    blocked_name: str | None = None

    def __post_init__(self) -> None:
        """Write the day as dates in an index are.

        Raises:
            UsageError: It is none.
        """
        if self.as_of is None:
            return
        try:
            day = date.fromisoformat(self.as_of).isoformat()
        except (TypeError, ValueError):
            shown = repr(self.as_of)[:40]
            raise UsageError(f"as_of: {shown} is not a date as YYYY-MM-DD") from None
        object.__setattr__(self, "as_of", day)

    @property
    def allows_all(self) -> bool:
        """Whether nothing is kept out."""
        return self.as_of is None and not self.blocked

    @property
    def blocked_sha256(self) -> str | None:
        """Hash of the blocked domains; None without any."""
        if not self.blocked:
            return None
        return hashlib.sha256("\n".join(sorted(self.blocked)).encode()).hexdigest()

    def blocks(self, host: str) -> bool:
        """Whether a host name is one of the blocked domains or lies below one.

        So is one of a translation or a cache that is made of such a name (`mirrors`).
        """
        site = host_of(name_within(host))
        return self._lists(host) or (site is not None and self._lists(site))

    def blocks_address(self, url: str | None) -> bool:
        """Whether an address is of a blocked domain, or of an archive's copy of a page of one."""
        return any(map(self._lists, hosts_within(url, host_of)))

    def _lists(self, host: str) -> bool:
        labels = host.split(".")
        return any(".".join(labels[i:]) in self.blocked for i in range(len(labels)))

    @classmethod
    def of(
        cls, as_of: str | None = None, undated: Undated = "drop", block: str | Path | None = None
    ) -> Self:
        """A policy as the command line names it.

        Args:
            as_of: The last day of publication.
            undated: What becomes of documents without a date.
            block: `fact-checkers` for the list in the package, or a file of domains.

        Raises:
            UsageError: The day is none.
            MissingResourceError: The file cannot be read.
            InvalidInputError: It is no list of domains.
        """
        if block is None:
            return cls(as_of, undated)
        return cls(as_of, undated, read_domains(block), Path(block).name)


def host_of(url: str | None) -> str | None:
    """The host name in an address, lower-case and in ASCII; None where there is none.

    It is the host that a browser would go to, however the address is written: who may not be quoted
    must not get in by an odd one.
    """
    if not url:
        return None
    text = as_browsers_read(url)
    scheme = _SCHEME.match(text)
    authority = re.split("[/?#]", text[scheme.end() if scheme else 0 :], maxsplit=1)[0]
    host = authority.rpartition("@")[2]
    if host.startswith("["):
        address, closed, _ = host[1:].partition("]")
        return (address.lower() or None) if closed else None
    return _ascii(unquote(host.partition(":")[0])) or None


def read_domains(block: str | Path) -> frozenset[str]:
    """Read a list of domains.

    Args:
        block: `fact-checkers` for the list in the package, or a text file with a domain a line;
            what follows a `#` is a comment. A scheme before a domain and a slash behind it are
            passed over. The address of a part of a site is refused: all of the site would be kept
            out.

    Raises:
        MissingResourceError: The file cannot be read.
        InvalidInputError: A line is no domain, or there are none.
    """
    path = _FACT_CHECKERS_FILE if str(block) == FACT_CHECKERS else Path(block)
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_BYTES + 1)
        if len(data) > _MAX_BYTES:
            raise InvalidInputError(f"{path}: longer than the {_MAX_BYTES:,} bytes allowed")
        lines = data.decode("utf-8-sig").splitlines()
    except OSError as error:
        raise MissingResourceError(f"{path}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise InvalidInputError(f"{path}: not UTF-8") from error
    domains = set()
    for number, line in enumerate(lines, start=1):
        entry = line.partition("#")[0].strip()
        if not entry:
            continue
        scheme = _SCHEME.match(entry)
        name = entry[scheme.end() if scheme else 0 :].removesuffix("/")
        domain = host_of(name) or ""
        if _NARROWER.search(name) or not all(_LABEL.fullmatch(n) for n in domain.split(".")):
            raise InvalidInputError(f"{path}, line {number}: {entry[:80]!r} is not a domain")
        # www.com is a domain itself, and com would be far more than was meant.
        domains.add(domain.removeprefix("www.") if domain.count(".") > 1 else domain)
    if not domains:
        raise InvalidInputError(f"{path}: the list has no domains")
    return frozenset(domains)


def _ascii(host: str) -> str:
    host = host.lower()
    # Punycode takes time that grows with the square of a label, and no name is longer than this.
    if len(host) <= _LONGEST_HOST:
        host = unicodedata.normalize("NFKC", host).lower()
        labels = [_ascii_label(label) for label in _DOT.split(host)]
    else:
        labels = _DOT.split(host)
    return ".".join(labels).rstrip(".")


def _ascii_label(label: str) -> str:
    if len(label) > _LONGEST_LABEL:
        return label
    if (plain := _JOINERS.sub("", label)).isascii():
        # They join letters of other scripts, and no browser goes to such a name.
        label = plain
    try:
        # As browsers do it (UTS #46), for whom straße.de is no other spelling of strasse.de.
        label = idna.uts46_remap(label, std3_rules=False)
    except idna.IDNAError:
        # What is no name by the rules can still be compared as it is.
        return label
    return label if label.isascii() else f"xn--{label.encode('punycode').decode()}"
