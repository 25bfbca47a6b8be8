"""Addresses that carry another's: archives of the web, translations and caches of pages.

A page of a fact-checker is the same page in an archive. Who may not be quoted must not get in by
one, so the site that a copy is of counts beside the one that keeps it. Known are those copies whose
own address says what they are of: a short one (`archive.ph/AbCdE`) does not.
"""

import re
from collections.abc import Callable
from contextlib import suppress
from urllib.parse import unquote

# The site's name is a part of the host's: its dots are hyphens there, and its hyphens two.
_BY_NAME = (".translate.goog", ".cdn.ampproject.org")

# The page's address stands behind the host's name.
_ARCHIVES = (
    *("archive.today", "archive.ph", "archive.is", "archive.li", "archive.md", "archive.vn"),
    *("archive.fo", "megalodon.jp", "www.megalodon.jp", "archive.wikiwix.com"),
)
_WEB_ARCHIVES = (
    *("web.archive.org", "archive.org", "www.archive.org", "wayback.archive.org"),
    *("web-beta.archive.org", "wayback.archive-it.org", "arquivo.pt", "www.webarchive.org.uk"),
    "webarchive.nationalarchives.gov.uk",
)
_AMP = ("cdn.ampproject.org", "bing.com", "www.bing.com")
_TRANSLATORS = (
    *("webcache.googleusercontent.com", "translate.googleusercontent.com"),
    *("translate.yandex.com", "translate.yandex.ru", "www.microsofttranslator.com"),
)
_BY_ADDRESS = frozenset((*_ARCHIVES, *_WEB_ARCHIVES, *_AMP, *_TRANSLATORS))
# Google has names in every country.
_GOOGLE = re.compile(r"(?:www\.|translate\.)?google\.[a-z]{2,3}(?:\.[a-z]{2})?")

# Browsers do not read control characters and spaces around an address, and lines within it.
_AROUND = "".join(map(chr, range(33)))
_WITHIN = re.compile(r"[\t\n\r]")

_HOST = re.compile(r"(?:[a-z][a-z0-9+.-]*:)?/*[^/?#]*", re.IGNORECASE)
_ADDRESS = re.compile(r"https?:/", re.IGNORECASE)
# Their addresses may do without a scheme: /web/20200102030405/example.org/page, /amp/s/example.org,
# /newest/example.org, translate?u=example.org, search?q=cache:AbCdEfGhIjK:example.org+words.
_WITHOUT_SCHEME = (
    re.compile(r"(?:/web|/wayback|/[0-9]+|/all|/ukgwa)?/[0-9][0-9]{3}[^/]*/"),
    re.compile(r"/(?:newest|oldest|o/[A-Za-z0-9]+)/"),
    re.compile(r"/web/[^/]*/"),
    re.compile(r"/(?:amp|[ciav])/(?:s/)?"),
    re.compile(r"[^?]*\?(?:.*&)?(?:u=|url=|a=|q=cache:(?:[\w-]{8,16}:)?)"),
)
_NEXT = re.compile("[+& ]")

# An archive of a translation of an archive is looked through; a tower of them is somebody's game.
_DEEPEST = 4
_LONGEST = 8192
_LONGEST_LABEL = 63


def as_browsers_read(url: str) -> str:
    """An address as browsers take it apart: without what they pass over, slashes all one way."""
    return _WITHIN.sub("", url.strip().strip(_AROUND)).replace("\\", "/")


def carries_addresses(host: str) -> bool:
    """Whether pages of a host may be copies of others, named behind the host in their addresses."""
    return host in _BY_ADDRESS or _GOOGLE.fullmatch(host) is not None


def name_within(host: str) -> str | None:
    """The site's name that the host of a translation or a cache is made of; None for any other."""
    for ending in _BY_NAME:
        label = host.removesuffix(ending)
        if label != host and label and "." not in label:
            # What is no name by the rules is compared as it is written.
            if len(label) <= _LONGEST_LABEL:
                with suppress(UnicodeError):
                    label = _readable(label)
            return label.replace("--", "\0").replace("-", ".").replace("\0", "-")
    return None


def _readable(label: str) -> str:
    """A label of a host in Unicode, where it is one."""
    coded = label.removeprefix("xn--")
    return label if coded == label else coded.encode().decode("punycode")


def hosts_within(url: str | None, host_of: Callable[[str | None], str | None]) -> list[str]:
    """The host in an address, and where that of a copy says so those of what it is a copy of.

    Args:
        url: The address.
        host_of: Reads the host of one.

    Returns:
        Hosts, the address's own first; none for what is no address.
    """
    hosts: list[str] = []
    rest = as_browsers_read((url or "")[:_LONGEST])
    for depth in range(_DEEPEST):
        # What else an archive or a translator is asked for may follow the page at once.
        host = host_of(_NEXT.split(rest, maxsplit=1)[0] if depth else rest)
        if host is None:
            break
        hosts.append(host)
        if (named := name_within(host)) is not None and (site := host_of(named)) is not None:
            hosts.append(site)
        if not carries_addresses(host):
            break
        rest = _behind(rest)
    return hosts


def _behind(url: str) -> str:
    """The address that stands behind the host of an archive's, empty without one."""
    # As the value of a parameter it is encoded.
    path = unquote(_HOST.sub("", url, count=1))
    if (found := _ADDRESS.search(path)) is not None:
        return path[found.start() :]
    for before in _WITHOUT_SCHEME:
        if (start := before.match(path)) is not None:
            return path[start.end() :]
    return ""
