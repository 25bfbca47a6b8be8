"""`factcheck check`."""

import gzip
import json
import re
from pathlib import Path

import pytest

from factcheck import Verdict
from tests.cli.conftest import Command, write_lines

CLAIM = "The old bridge was closed on Monday."


@pytest.fixture
def given(index: Path, checkpoint_folder: Path) -> list[object]:
    return ["--index", index, "--checkpoint", checkpoint_folder]


def test_a_claim_as_json(command: Command, given: list[object], photographs: Path) -> None:
    found = command("check", CLAIM, "--image", photographs / "00.jpg", *given, "--json")
    assert found.code == 0
    assert found.err == ""
    assert found.envelope["command"] == "check"
    assert found.envelope["warnings"] == []
    verdict = Verdict.from_dict(found.envelope["result"])
    assert verdict.evidence.passages[0].passage.document_id == "bridge"
    assert verdict.evidence.image is not None
    assert verdict.index is not None


def test_a_claim_for_a_person(
    command: Command, given: list[object], photographs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "80")
    found = command("check", CLAIM, "--image", photographs / "00.jpg", *given)
    assert found.code == 0
    assert "\x1b" not in found.out
    assert max(map(len, found.out.splitlines())) <= 80
    words = " ".join(found.out.split())
    for expected in (
        CLAIM,
        "The evidence",
        "Support_Multimodal",
        "Insufficient_Text",
        "same picture",
        "1. Old bridge closed for repairs [bridge], characters 0-",
        "https://example.org/bridge",
        "2024-03-04",
        "00.jpg",
        " s, model ",
        ", index ",
    ):
        assert expected in words


def test_a_claim_without_a_picture(command: Command, given: list[object]) -> None:
    found = command("check", CLAIM, *given)
    assert found.code == 0
    assert "no two pictures to compare" in found.out


@pytest.mark.parametrize("name", ["claims.jsonl", "claims.jsonl.gz"])
def test_a_file_of_claims(
    command: Command, given: list[object], tmp_path: Path, photographs: Path, name: str
) -> None:
    rows = [{"claim": CLAIM, "image": str(photographs / "00.jpg")}, {"text": "Maps are shown."}]
    path = write_lines(tmp_path / "claims.jsonl", rows)
    if name.endswith(".gz"):
        (tmp_path / name).write_bytes(gzip.compress(path.read_bytes()))
    found = command("check", tmp_path / name, *given, "--json")
    assert found.code == 0
    verdicts = [Verdict.from_dict(verdict) for verdict in found.envelope["result"]]
    assert [verdict.image_relation is None for verdict in verdicts] == [False, True]
    assert verdicts[1].evidence.passages[0].passage.document_id == "museum"
    shown = command("check", tmp_path / name, *given)
    assert shown.out.index(CLAIM) < shown.out.index("Maps are shown.")


def test_a_claim_from_standard_input(command: Command, given: list[object]) -> None:
    found = command("check", "-", *given, "--json", stdin=f"{CLAIM}\n".encode())
    assert found.envelope["result"] == command("check", CLAIM, *given, "--json").envelope["result"]


def test_claims_from_standard_input(
    command: Command,
    given: list[object],
    photographs: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(photographs)
    lines = json.dumps({"claim": CLAIM, "image": "00.jpg"}) + "\n"
    found = command("check", "-", *given, "--json", stdin=lines.encode())
    assert found.envelope["warnings"] == []
    assert found.envelope["result"][0]["image_relation"] is not None


def test_a_bad_line_in_standard_input(command: Command, given: list[object]) -> None:
    found = command("check", "-", *given, stdin=b'{"claim": "Fine."}\n{"claim": 7}\n')
    assert found.code == 5
    assert found.err.startswith("factcheck: standard input, line 2: ")
    assert found.out == ""


def test_a_bad_picture_in_a_batch_is_a_warning(
    command: Command, given: list[object], tmp_path: Path
) -> None:
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    path = write_lines(tmp_path / "claims.jsonl", [{"claim": CLAIM, "image": "broken.jpg"}])
    found = command("check", path, *given, "--json")
    assert found.code == 0
    assert len(found.envelope["result"]) == 1
    (warning,) = found.envelope["warnings"]
    assert "broken.jpg" in warning
    assert warning in found.err
    shown = command("check", path, *given)
    assert shown.code == 0
    assert "broken.jpg" in shown.err
    strict = command("check", path, *given, "--strict")
    assert strict.code == 5
    assert "broken.jpg" in strict.err


def test_a_missing_picture_in_a_batch(
    command: Command, given: list[object], tmp_path: Path
) -> None:
    rows = [{"claim": CLAIM}, {"claim": CLAIM, "image": "nope.jpg"}]
    path = write_lines(tmp_path / "claims.jsonl", rows)
    for options in ((), ("--json",)):
        found = command("check", path, *given, "--strict", *options)
        assert (found.code, found.out) == (4, "")
        assert found.err.startswith(f"factcheck: claim 2: {tmp_path / 'nope.jpg'}: ")


def test_a_bad_claim_in_a_batch_is_named_before_any_work(
    command: Command, given: list[object], tmp_path: Path
) -> None:
    rows = [{"claim": CLAIM}, {"claim": CLAIM}, {"claim": "x" * 10_400}]
    path = write_lines(tmp_path / "claims.jsonl", rows)
    for options in ((), ("--json",)):
        found = command("check", path, *given, *options)
        assert (found.code, found.out) == (5, "")
        assert found.err.startswith("factcheck: claim 3 has 10,400 characters")


def test_a_claim_that_nothing_is_found_for_does_not_cost_the_others_their_verdicts(
    command: Command, given: list[object], tmp_path: Path
) -> None:
    rows = [{"claim": CLAIM}, {"claim": "Then there was not this."}, {"claim": "Maps are shown."}]
    path = write_lines(tmp_path / "claims.jsonl", rows)
    base = ["check", path, *given, "--channels", "lexical", "--no-explain"]
    why = "nothing was found by lexical; let the dense channel look too"
    told = f"claim 2: {why}; it has no verdict"
    found = command(*base, "--json")
    assert found.code == 7
    first, second, third = found.envelope["result"]
    asked = {"claim_text": "Then there was not this.", "claim_image": None}
    assert second == {"claim": 2, **asked, "error": why}
    assert [(one["claim"], one["claim_text"]) for one in (first, third)] == [
        (1, CLAIM),
        (3, "Maps are shown."),
    ]
    for verdict, document in ((first, "bridge"), (third, "museum")):
        passages = Verdict.from_dict(verdict).evidence.passages
        assert passages[0].passage.document_id == document
    assert found.envelope["warnings"] == [told]
    assert found.err == f"warning: {told}\nfactcheck: 1 of 3 claims have no verdict\n"
    shown = command(*base)
    assert (shown.code, shown.err) == (7, found.err)
    assert shown.out.index(CLAIM) < shown.out.index("Maps are shown.")
    # One of one is no part of a list: nothing was given.
    alone = command("check", "Xyzzy.", *given, "--channels", "lexical")
    assert (alone.code, alone.out) == (5, "")
    assert "nothing was found by lexical" in alone.err
    write_lines(path, [{"claim": "Xyzzy."}])
    nothing = command(*base, "--json")
    assert nothing.code == 7
    asked = {"claim_text": "Xyzzy.", "claim_image": None}
    assert nothing.envelope["result"] == [{"claim": 1, **asked, "error": why}]
    assert command(*base).out == ""


def test_channels_that_cannot_find_anything_are_refused(
    command: Command, given: list[object], photographs: Path
) -> None:
    base = ["check", CLAIM, *given, "--channels", "image"]
    found = command(*base)
    assert (found.code, found.out) == (2, "")
    assert found.err.startswith("factcheck: --channels image: looks only for pictures")
    assert command(*base, "--image", photographs / "00.jpg").code == 0


def test_an_index_is_looked_at_exactly_if_asked(
    command: Command, given: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    from factcheck.retrieval import EvidenceIndex

    asked: list[object] = []
    opened = EvidenceIndex.open

    def note(*arguments: object, **options: object) -> object:
        asked.append(options["exact"])
        return opened(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(EvidenceIndex, "open", note)
    assert command("check", CLAIM, *given, "--exact").code == 0
    assert command("check", CLAIM, *given).code == 0
    assert asked == [True, False]


def test_what_sources_were_kept_out_is_shown(command: Command, given: list[object]) -> None:
    base = ["check", CLAIM, *given, "--no-explain"]
    kept = ["--as-of", "2024-05-06", "--undated", "keep", "--block-domains", "fact-checkers"]
    words = " ".join(command(*base, *kept).out.split())
    assert (
        "Sources published on 2024-05-06 at the latest, what has no date looked at, too; without "
        "the domains of fact-checkers" in words
    )
    assert "Sources" not in command(*base).out


def test_a_claim_that_is_not_read_to_its_end(
    command: Command, given: list[object], tmp_path: Path
) -> None:
    claim = " ".join([CLAIM] * 8)
    wanted = r"only about the first \d+ words of the claim were read"
    found = command("check", claim, *given, "--json")
    (warning,) = found.envelope["warnings"]
    assert re.match(wanted, warning)
    assert f"warning: {warning}\n" in command("check", claim, *given).err
    path = write_lines(tmp_path / "claims.jsonl", [{"claim": CLAIM}, {"claim": claim}])
    assert command("check", path, *given).err == f"warning: claim 2: {warning}\n"
    assert command("check", path, *given, "--json").envelope["warnings"] == [f"claim 2: {warning}"]


@pytest.mark.parametrize("claim", ["\u200b", "\x00\x1b", "???"])
def test_what_has_no_letter_and_no_digit_is_no_claim(
    command: Command, given: list[object], claim: str
) -> None:
    found = command("check", claim, *given)
    empty = command("check", "", *given)
    assert (found.code, found.out, found.err) == (5, "", "factcheck: the claim is empty\n")
    assert (found.code, found.err) == (empty.code, empty.err)


def test_a_claim_that_is_not_utf8(command: Command, given: list[object]) -> None:
    found = command("check", "caf\udce9 closed", *given)
    assert (found.code, found.out) == (5, "")
    assert found.err == "factcheck: the claim is not UTF-8\n"


def test_a_file_of_claims_by_any_spelling_of_its_name(
    command: Command, given: list[object], tmp_path: Path
) -> None:
    path = write_lines(tmp_path / "rows.JSONL", [{"claim": CLAIM}, {"claim": "Maps are shown."}])
    assert len(command("check", path, *given, "--json").envelope["result"]) == 2
    other = write_lines(tmp_path / "rows.txt", [CLAIM])
    found = command("check", other, *given)
    assert (found.code, found.out) == (2, "")
    assert "rows.txt: a file of claims must be named .jsonl or .jsonl.gz" in found.err


def test_what_a_terminal_would_obey_is_not_printed(command: Command, given: list[object]) -> None:
    found = command("check", "The bridge\x1b]0;title\x07 [bold]closed[/bold].", *given)
    assert found.code == 0
    assert "\x1b]" not in found.out
    assert "[bold]closed[/bold]" in found.out


def test_a_reading_without_the_extra(
    command: Command, given: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "rapidocr", None)
    found = command("check", CLAIM, *given, "--ocr")
    assert found.code == 3
    assert "pip install rapidocr" in found.err


def test_cannot_tell(
    command: Command, given: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    refused = command("check", CLAIM, *given, "--max-error", "1.5")
    assert (refused.code, refused.out) == (2, "")
    assert "--max-error: 1.5 is not between 0 and 1" in refused.err
    found = command("check", CLAIM, *given, "--max-error", "0.001", "--json")
    verdict = Verdict.from_dict(found.envelope["result"])
    assert verdict.decision is not None
    assert not verdict.decision.answered
    assert verdict.decision.threshold is None
    words = " ".join(command("check", CLAIM, *given, "--max-error", "0.001").out.split())
    assert "Verdict cannot tell" in words
    assert f"Most likely {verdict.label}" in words
    assert "at most 0.1% wrong labels cannot be promised at all" in words
    words = " ".join(command("check", CLAIM, *given, "--max-error", "0.00005").out.split())
    assert "at most 0.005% wrong labels cannot be promised at all" in words
    words = " ".join(command("check", CLAIM, *given, "--max-error", "0.02").out.split())
    assert "for at most 2.0% wrong labels it would have to be above" in words
    given_label = command("check", CLAIM, *given, "--max-error", "0.9").out
    assert f"Verdict   {verdict.label}" in given_label
    assert f"Possible  {verdict.label}" in given_label


def test_each_passage_is_shown_with_what_it_says(command: Command, given: list[object]) -> None:
    found = command("check", CLAIM, *given, "--json")
    first = found.envelope["result"]["evidence"]["passages"][0]
    assert sum(first["relation"].values()) == pytest.approx(1)
    assert 0 <= first["weight"] <= 1
    words = {"support": "Supports", "insufficient": "Leaves", "refute": "Contradicts"}
    said = words[max(first["relation"], key=first["relation"].get)]
    assert f"{said} the claim" in command("check", CLAIM, *given).out
