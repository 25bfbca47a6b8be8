"""Where else in an index a picture was seen."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from news import COMET, HARBOUR, LIBRARY

from factcheck import Claim, Document, EvidenceIndex, FactChecker, elsewhere
from factcheck.encoders import Encoders
from factcheck.fusion.calibration import Calibration
from factcheck.fusion.inputs import FusionInputs
from factcheck.fusion.run import RelationProbabilities
from factcheck.records import (
    Evidence,
    Label,
)
from factcheck.retrieval import SourcePolicy
from factcheck.settings import SearchSettings


def test_a_picture_seen_elsewhere_does_not_enter_the_label(
    checker: FactChecker, encoders: Encoders, photographs: Path, tmp_path: Path
) -> None:
    """The claim's picture belongs to a document about something else that is not cited."""
    fillers = [
        Document(f"storm-{i}", f"A storm closed the harbour of Port Bell on day {i}.")
        for i in range(checker.checkpoint.config.head.passages)
    ]
    other = Document("comet", COMET, image=photographs / "03.png")
    index = EvidenceIndex.build([*fillers, other], tmp_path / "i", encoders)
    claim = Claim("A storm closed the harbour of Port Bell.", photographs / "03.png")
    verdict = checker.check(claim, index)
    assert "comet" not in {cited.passage.document_id for cited in verdict.evidence.passages}
    assert verdict.image_relation is None
    assert verdict.evidence.image is None
    assert verdict.probabilities[Label.SUPPORT_MULTIMODAL] == 0


def test_where_else_a_picture_was_seen_is_told_oldest_first(
    checker: FactChecker,
    encoders: Encoders,
    photographs: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    days = ["2010-03-04", None, "2008-01-01", "2012-01-01", "2009-01-01", "2011-01-01", None]
    picture = photographs / "03.png"
    documents = [
        Document(f"copy-{i}", f"{LIBRARY} So paper {i} writes.", image=picture, date=day)
        for i, day in enumerate(days)
    ]
    documents += [
        Document(f"other-{i}", f"{COMET} {i}", image=photographs / f"0{i}.jpg") for i in (0, 2, 4)
    ]
    documents.append(Document("harbour", HARBOUR, image=picture, date="2001-01-01"))
    index = EvidenceIndex.build(documents, tmp_path / "i", encoders)
    claim = Claim("A storm closed the harbour of Port Bell.", picture)
    compared: list[int] = []
    asked = elsewhere.calibrated

    def relation(
        calibration: Calibration, text: np.ndarray, image: np.ndarray, inputs: FusionInputs
    ) -> RelationProbabilities:
        """What a head that was trained would say; of a fresh one it means nothing."""
        compared.append(len(inputs))
        grids = inputs.grids[inputs.evidence_image_rows]
        same = [np.allclose(grid, inputs.grids[0], atol=1e-2) for grid in grids]
        said = asked(calibration, text, image, inputs)
        return replace(said, image=np.where(same, 0.999, 0.99))

    monkeypatch.setattr(elsewhere, "calibrated", relation)

    def found(policy: SourcePolicy | None = None) -> tuple[list[str], int]:
        dense = SearchSettings(rerank=0, channels=("dense",))
        evidence = checker.check(claim, index, search=dense, policy=policy).evidence
        assert evidence.image is not None
        assert evidence.image.document_id == "harbour"
        assert {image.same_picture for image in evidence.elsewhere} <= {0.999, 0.99}
        assert Evidence.from_dict(evidence.to_dict()) == evidence
        return [image.document_id for image in evidence.elsewhere], evidence.more_elsewhere

    oldest = ["copy-2", "copy-4", "copy-0", "copy-5", "copy-3"]
    assert found() == ([*oldest, "copy-1", "copy-6"], 0)
    assert compared.pop() == 10
    assert found(SourcePolicy("2009-12-31")) == (oldest[:2], 0)
    monkeypatch.setattr(elsewhere, "LISTED", 2)
    assert found() == (oldest[:2], 5)
    # Of four re-posts that may be compared one is the leading document's own.
    monkeypatch.setattr(elsewhere, "_REPOSTS_COMPARED", 4)
    monkeypatch.setattr(elsewhere, "_COMPARED", 5)
    assert found() == (oldest[:2], 5)
    assert compared.pop() == 4
    monkeypatch.setattr(elsewhere, "_SAME_PICTURE", 0.9999)
    assert found() == ([], 0)
    # These pictures show too little to be compared point by point: the probability decides.
    monkeypatch.setattr(elsewhere, "_SAME_PICTURE", 0.95)
    monkeypatch.setattr(elsewhere, "LISTED", 20)
    monkeypatch.setattr(elsewhere, "_COMPARED", 40)
    monkeypatch.setattr(elsewhere, "_REPOSTS_COMPARED", 24)
    everything = [*oldest, "copy-1", "copy-6", "other-0", "other-2", "other-4"]
    assert (sorted(found()[0]), found()[1]) == (sorted(everything), 0)
    # Of those that there was no time for, the fingerprint does.
    monkeypatch.setattr(elsewhere, "_MATCHED", 2)
    assert len(found()[0]) == 9
    monkeypatch.setattr(elsewhere, "_MATCHED", 0)
    assert found() == ([*oldest, "copy-1", "copy-6"], 0)
