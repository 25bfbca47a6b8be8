"""Pairs of texts with a known relation: what the text side of a composed data set is made of."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, Field

from factcheck.datasets.factify2 import read_factify2
from factcheck.datasets.json_lines import FilledText, read_json_lines
from factcheck.errors import InvalidInputError
from factcheck.records import TextRelation, text_relation_of

Unit = Literal["sentence", "passage", "document"]


@dataclass(frozen=True)
class TextRelationRow:
    """A claim and what an evidence text says of it.

    Attributes:
        id: Unique in all files that were read together.
        source: The data set it is from.
        claim: The claim.
        evidence: The evidence text, in one or more pieces; none of them empty.
        relation: What the evidence says of the claim.
        unit: What the evidence is: a sentence, a passage, or a whole article.
    """

    id: str
    source: str
    claim: str
    evidence: tuple[str, ...]
    relation: TextRelation
    unit: Unit

    @property
    def evidence_text(self) -> str:
        """The pieces as one text."""
        return " ".join(self.evidence)


def _relation(value: str) -> str:
    if value not in set(TextRelation):
        raise ValueError(f"is {value[:40]!r}, not one of {', '.join(TextRelation)}")
    return value


class _Line(BaseModel):
    id: FilledText
    source: FilledText
    claim: FilledText
    evidence: Annotated[list[FilledText], Field(min_length=1)]
    relation: Annotated[str, AfterValidator(_relation)]
    unit: Unit


FACTIFY2 = "factify2"
"""The `source` of rows that are read from tables in Factify 2's format."""


def read_text_relations(paths: Sequence[Path]) -> list[TextRelationRow]:
    """Read text pairs from JSON Lines files, also gzipped (`.gz`), and Factify 2's tables (`.csv`).

    Args:
        paths: The files. Each line of a JSON Lines file has `id`, `source`, `claim`, `evidence` (a
            list of strings), `relation` (support, insufficient, refute) and `unit` (sentence,
            passage, document). Of a table the texts and what its labels say of them are read.

    Returns:
        The rows in file order.

    Raises:
        MissingResourceError: A file does not exist or cannot be read.
        InvalidInputError: A line is wrong, two rows have the same id, as those of two tables of one
            name do, or there are no rows.
    """
    rows: list[TextRelationRow] = []
    places: dict[str, str] = {}

    def note(id: str, place: str) -> None:
        if id in places:
            raise InvalidInputError(f"{place}: the id {id[:80]!r} is already that of {places[id]}")
        places[id] = place

    for path in paths:
        if path.suffix == ".csv":
            for row in _read_table(path):
                note(row.id, f"{path}, row {row.id.rpartition('-')[2]}")
                rows.append(row)
            continue
        for number, line in read_json_lines(path, _Line):
            note(line.id, f"{path}, line {number}")
            rows.append(
                TextRelationRow(
                    line.id,
                    line.source,
                    line.claim,
                    tuple(line.evidence),
                    TextRelation(line.relation),
                    line.unit,
                )
            )
    if not rows:
        raise InvalidInputError(f"{', '.join(map(str, paths)) or 'no files'}: no text relations")
    return rows


def _read_table(path: Path) -> list[TextRelationRow]:
    rows = []
    for row in read_factify2(path.parent, path.stem):
        if row.label is None:
            raise InvalidInputError(
                f"{path}: row {row.index} has no Category, which is needed here"
            )
        rows.append(
            TextRelationRow(
                row.document.id,
                FACTIFY2,
                row.claim.text,
                (row.document.text,),
                text_relation_of(row.label),
                "document",
            )
        )
    return rows
