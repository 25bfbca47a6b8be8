"""Findings: what is said of which numbers."""

from typing import Any

import pytest

from factcheck.evaluation.audit_splits import DUPLICATES
from factcheck.evaluation.findings import find

NO_DUPLICATES = "No row that is scored is a near duplicate of a training row."


def system(score: float, low: float, **others: Any) -> dict[str, Any]:
    return {
        "weighted_f1": score,
        "weighted_f1_interval": [low, 2 * score - low],
        "text_relation_accuracy": 0.4,
        "text_relation_accuracy_interval": [0.38, 0.42],
        "image_relation_accuracy": 0.5,
        "image_relation_accuracy_interval": [0.48, 0.52],
        "above_majority": score - 0.07,
        "by_chance": 0.2,
        "full_model_ahead_by": 0.8 - score,
        "full_model_ahead_by_interval": [0.79 - score, 0.81 - score],
        **others,
    }


def stress(change: float, low: float, high: float, changed: int = 30) -> dict[str, Any]:
    return {
        "rows": 100,
        "changed": changed,
        "minus_unstressed": change,
        "minus_unstressed_interval": [low, high],
    }


def sentences(
    systems: dict[str, Any] | None = None,
    tests: dict[str, Any] | None = None,
    left_out: dict[str, str] | None = None,
) -> list[str]:
    """Findings on a majority, a full model, and what is added."""
    return find(
        {
            "systems": {
                "majority": system(0.07, 0.07),
                "full model": system(0.8, 0.78),
                **(systems or {}),
            },
            "left_out": left_out or {},
            "stress": {DUPLICATES: stress(0, 0, 0, changed=0), **(tests or {})},
            "most_frequent": {"text_relation": 0.4, "image_relation": 0.5},
        }
    )


def test_shortcuts_that_pay_and_others() -> None:
    found = sentences(
        {
            "claim only": system(0.28, 0.25),
            # Above the majority, but no more than wild guesses.
            "document only": system(0.21, 0.19),
            "lengths only": system(0.08, 0.06),
            "OCR only": system(0.09, 0.07),
        },
        left_out={"URL host only": "no training row has an address of a picture"},
    )
    assert found == [
        "Claim only scores 0.280, 0.210 above the majority and 0.080 above chance: labels can be "
        "guessed from claims alone.",
        "Not surely above the majority and chance: document only, OCR only, lengths only.",
        "URL host only is left out: no training row has an address of a picture.",
        "The full model scores 0.800 and is surely ahead of all others; next is claim only, 0.520 "
        "behind.",
        NO_DUPLICATES,
    ]


@pytest.mark.parametrize(
    ("name", "axis", "own", "other"),
    [
        ("images only", "text_relation", "image relation", "text relation"),
        ("text only", "image_relation", "text relation", "image relation"),
    ],
)
def test_what_tells_one_relation_and_should_not_tell_the_other(
    name: str, axis: str, own: str, other: str
) -> None:
    assert sentences({name: system(0.4, 0.38)})[0] == (
        f"{name.capitalize()} scores 0.400, 0.330 above the majority and 0.200 above chance, "
        f"as it may: it tells the {own}."
    )
    assert not any("guessed" in said for said in sentences({name: system(0.4, 0.38)}))
    much = {f"{axis}_accuracy": 0.6, f"{axis}_accuracy_interval": [0.58, 0.62]}
    told = sentences({name: system(0.4, 0.38, **much)})[1]
    assert told.startswith(f"{name.capitalize()} gets the {other} right in 60.0% of the rows")
    assert "can be guessed from what should not tell it" in told
    unknown = {f"{axis}_accuracy": None, f"{axis}_accuracy_interval": None}
    assert len(sentences({name: system(0.4, 0.38, **unknown)})) == 3


def test_a_full_model_that_knows_nothing() -> None:
    tests = {"documents shuffled": stress(0, 0, 0)}
    found = sentences({"full model": system(0.21, 0.19)}, tests)
    assert not any("it does not need" in said for said in found)
    assert found[-2].startswith("The full model is not surely above the majority and chance")


def test_the_full_model_among_the_others() -> None:
    close = {"full_model_ahead_by_interval": [0.0, 0.02]}
    found = sentences({"concatenation MLP": system(0.79, 0.77, **close)})
    assert found == [
        "The full model, with 0.800, is not surely ahead of concatenation MLP (0.790).",
        NO_DUPLICATES,
    ]


@pytest.mark.parametrize(
    ("test", "expected"),
    [
        (
            stress(-0.3, -0.33, -0.27),
            "loses 0.300 (0.270 to 0.330): it needs the documents' texts.",
        ),
        (
            stress(-0.02, -0.049, 0.0),
            "surely no loss of 0.05: it does not need the documents' texts.",
        ),
        (stress(-0.0, -0.0, -0.0), "loses 0.000 (0.000 to 0.000), surely no loss of 0.05"),
        (stress(0.01, -0.01, 0.03), "gains 0.010 (-0.010 to 0.030), surely no loss of 0.05"),
        (stress(-0.04, -0.06, -0.02), "whether it needs the documents' texts these rows do not"),
        (stress(-0.06, -0.2, 0.08), "whether it needs the documents' texts these rows do not"),
        (stress(0, 0, 0, changed=0), "Documents shuffled: no row has what this takes away"),
        (stress(0, 0, 0, changed=5), "only 5 of 100 rows have what this takes away, too few"),
        (stress(0, 0, 0, changed=6), "(6 of 100 rows): the full model loses 0.000"),
    ],
)
def test_what_the_full_model_needs(test: dict[str, Any], expected: str) -> None:
    said = sentences(tests={"documents shuffled": test})[-2]
    assert expected in said
    assert said.startswith("Documents shuffled")
    if test["changed"]:
        assert f"{test['changed']} of 100 rows" in said


@pytest.mark.parametrize(
    ("test", "expected"),
    [
        (stress(-0.03, -0.05, -0.01), "they make its score too good."),
        (stress(-0.0003, -0.0004, -0.0002), "they raise its score by less than a thousandth."),
        (stress(-0.03, -0.07, 0.01), "they do not surely raise its score."),
        (stress(0, 0, 0, changed=0), "No row that is scored is a near duplicate of a training"),
    ],
)
def test_what_near_duplicates_do(test: dict[str, Any], expected: str) -> None:
    said = sentences(tests={DUPLICATES: test})[-1]
    assert expected in said
    if test["changed"]:
        assert "(30 of 130 rows)" in said


def test_without_intervals_nothing_is_sure() -> None:
    none = {"weighted_f1_interval": None, "full_model_ahead_by_interval": None}
    found = sentences({"claim only": {**system(0.28, 0.25), **none}})
    assert "Not surely above the majority and chance: claim only." in found
    assert any("is not surely ahead of claim only (0.280)" in one for one in found)
    test = {**stress(-0.2, 0, 0), "minus_unstressed_interval": None}
    assert (
        "OCR dropped (30 of 100 rows): the full model loses 0.200: whether it needs the text in "
        "pictures these rows do not show."
    ) in sentences(tests={"OCR dropped": test})
    both = {DUPLICATES: {**test, "rows": 70}}
    assert sentences(tests=both)[-1] == (
        "Near duplicates of train removed (30 of 100 rows): on the rest the full model loses "
        "0.200: they do not surely raise its score."
    )
