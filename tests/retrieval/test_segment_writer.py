"""Writing a segment: pictures that change while a build is interrupted, and dates."""

import os
import shutil
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from factcheck.encoders import Encoders
from factcheck.errors import InvalidInputError
from factcheck.records import Claim, Document
from factcheck.retrieval import EvidenceIndex, verify_index
from factcheck.settings import SearchSettings


class Counting(Encoders):
    """Encoders that note which pictures they are given."""

    def __init__(self, encoders: Encoders) -> None:
        super().__init__(encoders.text, encoders.image)
        self.asked: list[list[str]] = []

    def pictures(self, paths: Any, on_progress: Any = None) -> Any:
        """See `Encoders`."""
        self.asked.append([Path(path).name for path in paths])
        return super().pictures(paths, on_progress)


@pytest.fixture
def pictures(photographs: Path, tmp_path: Path) -> list[Path]:
    """Three pictures that may be changed."""
    names = ["00.jpg", "01.png", "02.jpg"]
    paths = [tmp_path / f"{i}.bin" for i in range(3)]
    for name, path in zip(names, paths, strict=True):
        shutil.copy(photographs / name, path)
    return paths


@pytest.fixture
def pictured(pictures: list[Path]) -> list[Document]:
    """A document for each of them."""
    return [
        Document(f"d{i}", f"A text about bridge {i}.", image=path)
        for i, path in enumerate(pictures)
    ]


def interrupted(documents: list[Document], folder: Path, encoders: Encoders) -> list[str]:
    """Build until all pictures are encoded, and no further; the warnings."""
    warnings: list[str] = []

    def stop(stage: str, done: int, total: int | None) -> None:
        if stage == "words":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        EvidenceIndex.build(
            documents, folder, encoders, key="k", on_progress=stop, on_warning=warnings.append
        )
    return warnings


def as_fresh(index: EvidenceIndex, documents: list[Document], encoders: Encoders) -> None:
    """An index is the one that a build from the beginning makes, to the pictures' vectors."""
    folder = index.folder.with_name("fresh")
    fresh = EvidenceIndex.build(documents, folder, encoders, on_warning=lambda _: None)
    assert index.sha256 == fresh.sha256
    assert index.manifest.images == fresh.manifest.images
    rows = range(fresh.manifest.images)
    assert np.allclose(index.image_vectors(rows), fresh.image_vectors(rows), atol=1e-3)
    assert np.allclose(index.image_tokens(rows), fresh.image_tokens(rows), atol=1e-2)
    assert verify_index(index.folder)[1] == []


def test_a_picture_that_was_put_in_place_is_read_when_a_build_goes_on(
    pictured: list[Document], pictures: list[Path], encoders: Encoders, tmp_path: Path
) -> None:
    kept = pictures[1].read_bytes()
    pictures[1].unlink()
    assert len(interrupted(pictured, tmp_path / "i", encoders)) == 1
    pictures[1].write_bytes(kept)
    warnings: list[str] = []
    counting = Counting(encoders)
    index = EvidenceIndex.build(
        pictured, tmp_path / "i", counting, key="k", on_warning=warnings.append
    )
    assert warnings == []
    assert index.manifest.images == 3
    # The one before it is not encoded again.
    assert counting.asked == [["1.bin"], ["1.bin", "2.bin"]]
    as_fresh(index, pictured, encoders)


def test_a_picture_that_was_changed_is_encoded_again_when_a_build_goes_on(
    pictured: list[Document],
    pictures: list[Path],
    photographs: Path,
    encoders: Encoders,
    tmp_path: Path,
) -> None:
    assert interrupted(pictured, tmp_path / "i", encoders) == []
    before = pictures[1].stat()
    shutil.copy(photographs / "03.png", pictures[1])
    os.utime(pictures[1], ns=(before.st_atime_ns, before.st_mtime_ns))
    counting = Counting(encoders)
    index = EvidenceIndex.build(pictured, tmp_path / "i", counting, key="k")
    assert counting.asked == [["1.bin", "2.bin"]]
    as_fresh(index, pictured, encoders)


def test_a_picture_that_was_taken_away_is_a_warning_when_a_build_goes_on(
    pictured: list[Document], pictures: list[Path], encoders: Encoders, tmp_path: Path
) -> None:
    assert interrupted(pictured, tmp_path / "i", encoders) == []
    pictures[0].unlink()
    warnings: list[str] = []
    index = EvidenceIndex.build(
        pictured, tmp_path / "i", encoders, key="k", on_warning=warnings.append
    )
    assert len(warnings) == 1
    assert index.manifest.images == 2
    as_fresh(index, pictured, encoders)


def test_a_picture_that_still_cannot_be_read_holds_nothing_up(
    pictured: list[Document], pictures: list[Path], encoders: Encoders, tmp_path: Path
) -> None:
    pictures[0].unlink()
    assert "0.bin" in interrupted(pictured, tmp_path / "i", encoders)[0]
    # Why it cannot be read is told as it is now.
    pictures[0].write_bytes(b"no picture")
    warnings: list[str] = []
    counting = Counting(encoders)
    index = EvidenceIndex.build(
        pictured, tmp_path / "i", counting, key="k", on_warning=warnings.append
    )
    assert len(warnings) == 1
    assert "0.bin: not an image" in warnings[0]
    assert counting.asked == [["0.bin"]]
    as_fresh(index, pictured, encoders)


def test_pictures_of_segments_that_were_finished_are_looked_at_too(
    pictured: list[Document],
    pictures: list[Path],
    photographs: Path,
    encoders: Encoders,
    tmp_path: Path,
) -> None:
    kept = pictures[0].read_bytes()
    pictures[0].unlink()
    undated = [Document(f"e{i}", f"A text about tower {i}.") for i in range(3)]
    # Two segments are finished, and the build is interrupted in the third.
    several = [*pictured, *undated, Document("f", "A text about a mill.", image=pictures[2])]

    def build(**options: Any) -> EvidenceIndex:
        return EvidenceIndex.build(
            several, tmp_path / "i", encoders, key="k", segment_passages=2, **options
        )

    def stop_at(segment: int) -> Any:
        seen: list[str] = []

        def stop(stage: str, done: int, total: int | None) -> None:
            seen.extend([stage] if stage == "words" and done == 0 else [])
            if len(seen) == segment:
                raise KeyboardInterrupt

        return stop

    with pytest.raises(KeyboardInterrupt):
        build(on_progress=stop_at(3), on_warning=lambda _: None)
    pictures[0].write_bytes(kept)
    shutil.copy(photographs / "03.png", pictures[1])
    pictures[2].unlink()
    # All three are put in anew, in more than one segment, and that is interrupted too.
    with pytest.raises(KeyboardInterrupt):
        build(on_progress=stop_at(2), on_warning=lambda _: None)
    shutil.copy(photographs / "02.jpg", pictures[0])
    warnings: list[str] = []
    index = build(on_warning=warnings.append)
    assert index.manifest.documents == 7
    assert index.document("d2").image is None
    assert index.document("d0").image == str(pictures[0])
    assert [one for one in warnings if "'f'" in one]
    fresh = EvidenceIndex.build(several, tmp_path / "g", encoders, on_warning=lambda _: None)
    assert (index.sha256, index.manifest.images) == (fresh.sha256, fresh.manifest.images)
    plain = SearchSettings(channels=("dense",), rerank=0)
    for document in several:
        # Neither hash tells which vectors lie with which document.
        (hit,) = index.search(Claim(document.text), 1, plain)
        assert hit.document_id == document.id
        own = encoders.texts([document.text])[0]
        assert index.passage_vectors([hit.row])[0] @ own == pytest.approx(1, abs=2e-3)
        rows, others = ([row for row, _ in i.images_of([document.id])] for i in (index, fresh))
        assert np.allclose(index.image_vectors(rows), fresh.image_vectors(others), atol=1e-3)
    assert verify_index(index.folder)[1] == []
    named = {segment.name for segment in index.manifest.segments}
    assert {path.name for path in (index.folder / "segments").iterdir()} == named


@pytest.mark.parametrize(
    "day", ["2024", "20240501", "2024-02-30", "2024-05-01T10:00", "May 1, 2024", " 2024-05-01", "٢"]
)
def test_a_date_that_is_none_is_refused_by_document(
    day: str, encoders: Encoders, tmp_path: Path
) -> None:
    documents = [Document("a", "Text.", date="2024-02-29"), Document("b", "Else.", date=day)]
    with pytest.raises(InvalidInputError, match=r"document 2 \('b'\): its date, .*not YYYY-MM-DD"):
        EvidenceIndex.build(documents, tmp_path / "i", encoders)
    assert list(tmp_path.iterdir()) == []


def test_a_date_that_is_no_text_is_refused(encoders: Encoders, tmp_path: Path) -> None:
    day: Any = date(2024, 5, 1)
    with pytest.raises(InvalidInputError, match=r"document 1 \('a'\): its date"):
        EvidenceIndex.build([Document("a", "Text.", date=day)], tmp_path / "i", encoders)


def test_a_blank_date_counts_as_none(encoders: Encoders, tmp_path: Path) -> None:
    undated = [Document("a", "Text."), Document("b", "Else.", date="2024-05-01")]
    blank = [replace(undated[0], date=" "), undated[1]]
    index = EvidenceIndex.build(blank, tmp_path / "blank", encoders)
    assert index.document("a").date is None
    with EvidenceIndex.build(undated, tmp_path / "undated", encoders) as other:
        assert index.sha256 == other.sha256
