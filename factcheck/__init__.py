"""Checks a claim with its picture against a corpus of evidence.

    from factcheck import Claim, EvidenceIndex, FactChecker

    index = EvidenceIndex.open("news.index")
    verdict = FactChecker.load().check(Claim("...", image="photo.jpg"), index)

The nouns are imported at once; the classes that need torch are imported when they are first named.
"""

from typing import TYPE_CHECKING

from factcheck.records import Claim, Document, Evidence, Label, Passage, TextRelation, Verdict

if TYPE_CHECKING:
    from factcheck.encoders import Encoders
    from factcheck.pipeline import FactChecker
    from factcheck.retrieval import EvidenceIndex

__version__ = "0.1.0"

__all__ = [
    "Claim",
    "Document",
    "Encoders",
    "Evidence",
    "EvidenceIndex",
    "FactChecker",
    "Label",
    "Passage",
    "TextRelation",
    "Verdict",
]

_MODULE_OF = {
    "Encoders": "factcheck.encoders",
    "EvidenceIndex": "factcheck.retrieval",
    "FactChecker": "factcheck.pipeline",
}


def __getattr__(name: str) -> object:
    """Import a class that needs torch when it is first named."""
    from importlib import import_module

    if name not in _MODULE_OF:
        raise AttributeError(f"module 'factcheck' has no attribute {name!r}")
    value = vars(import_module(_MODULE_OF[name]))[name]
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
