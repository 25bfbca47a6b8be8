"""A verdict as a person reads it; colour adds nothing that the words do not say."""

import math
from typing import TYPE_CHECKING

from factcheck.cli.output import visible
from factcheck.records import (
    BEARS,
    CitedImage,
    CitedPassage,
    Claim,
    Decision,
    Explanation,
    Label,
    Removal,
    Search,
    TextRelation,
    Verdict,
    text_relation_of,
)

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

_COLOURS = {
    Label.SUPPORT_MULTIMODAL: "green",
    Label.SUPPORT_TEXT: "green",
    Label.INSUFFICIENT_MULTIMODAL: "yellow",
    Label.INSUFFICIENT_TEXT: "yellow",
    Label.REFUTE: "red",
}
_TEXTS = {
    Label.SUPPORT_MULTIMODAL: "The evidence supports the claim and shows the same picture.",
    Label.SUPPORT_TEXT: "The evidence supports the claim in words",
    Label.INSUFFICIENT_MULTIMODAL: (
        "The evidence shows the same picture but cannot tell whether the claim is true."
    ),
    Label.INSUFFICIENT_TEXT: "The evidence cannot tell whether the claim is true",
    Label.REFUTE: "The evidence contradicts the claim",
}
_SAYS = {
    TextRelation.SUPPORT: "Supports the claim",
    TextRelation.INSUFFICIENT: "Leaves the claim open",
    TextRelation.REFUTE: "Contradicts the claim",
}
_WOULD = {
    TextRelation.SUPPORT: "support the claim",
    TextRelation.INSUFFICIENT: "leave the claim open",
    TextRelation.REFUTE: "contradict the claim",
}
_SHORT_HASH = 12
# Less does not show in percent with a decimal.
_SHOWN = 0.0005


def in_words(verdict: Verdict) -> str:
    """What a verdict means, in one sentence."""
    bearing = verdict.evidence.bearing
    likeliest = max(verdict.text_relation, key=verdict.text_relation.__getitem__)
    if likeliest is not text_relation_of(verdict.label):
        # What the text is likeliest to say is divided between two labels by the pictures.
        return (
            f"The evidence is likelier to {_WOULD[likeliest]}, but it is open whether it shows the "
            "same picture, and no label is likelier than this one."
        )
    sentence = _TEXTS[verdict.label]
    if bearing is not None and bearing < BEARS:
        # As far as nothing bears on the claim, the text relation is insufficient.
        sentence = "What was found is not likely to bear on the claim"
    if sentence.endswith("."):
        return sentence
    if verdict.image_relation is None:
        return f"{sentence}."
    if verdict.image_relation >= 0.5:
        return f"{sentence}, although it shows the same picture."
    return f"{sentence}, and shows another picture."


def _why(decision: Decision) -> str:
    """Why no label is given at an error rate."""
    rate = f"at most {_percent(decision.max_error)} wrong labels"
    if decision.threshold is None:
        return f"{rate} cannot be promised at all."
    return f"for {rate} it would have to be above {decision.threshold:.1%}."


def _percent(rate: float) -> str:
    """A rate as it was asked for."""
    return f"{rate:.1%}" if math.isclose(rate, round(rate, 3)) else f"{100 * rate:.10g}%"


def _sources(search: Search) -> str:
    """Which sources were kept out, in words; empty where none were."""
    kept = []
    if search.as_of is not None:
        undated = "not looked at" if search.undated == "drop" else "looked at, too"
        kept.append(f"published on {search.as_of} at the latest, what has no date {undated}")
    if search.blocked is not None:
        kept.append(f"without the domains of {visible(search.blocked)}")
    return "; ".join(kept)


def write_verdict(console: "Console", claim: Claim, verdict: Verdict, seconds: float) -> None:
    """Print a claim, its verdict and what that rests on.

    Args:
        console: Where to.
        claim: The claim.
        verdict: Its verdict.
        seconds: How long it took.
    """
    from rich.rule import Rule
    from rich.text import Text

    # rich itself falls back on the hyphen only below a title.
    line = "-" if console.options.ascii_only else "\u2500"
    console.print(Rule(characters=line, style="dim"))
    head = _columns()
    head.add_row("Claim", Text(visible(claim.text), style="bold"))
    if claim.image is not None:
        head.add_row("Picture", visible(str(claim.image)))
    style = f"bold {_COLOURS[verdict.label]}"
    decision = verdict.decision
    if decision is None or decision.answered:
        head.add_row("Verdict", Text(f"{verdict.label}, {verdict.confidence:.1%}", style=style))
        head.add_row("", in_words(verdict))
    else:
        head.add_row("Verdict", Text("cannot tell", style="bold yellow"))
        head.add_row("", f"Most likely {verdict.label}, {verdict.confidence:.1%}: {_why(decision)}")
    if decision is not None:
        head.add_row("Possible", ", ".join(map(str, decision.possible_labels)))
        if decision.answered and decision.error_among_answered is not None:
            head.add_row(
                "Errors",
                f"about {decision.error_among_answered:.0%} of the labels given at this rate "
                "are wrong",
            )
    if verdict.search is not None and (kept := _sources(verdict.search)):
        head.add_row("Sources", kept)
    console.print(head)
    console.print()
    console.print(_probabilities(verdict))
    console.print()
    console.print(_relations(verdict))
    _write_evidence(console, verdict)
    if verdict.explanation is not None:
        _write_explanation(console, verdict, verdict.explanation)
    model = f"model {verdict.model[:_SHORT_HASH]}"
    index = f", index {verdict.index[:_SHORT_HASH]}" if verdict.index else ""
    console.print()
    console.print(f"{seconds:.2f} s, {model}{index}", style="dim")


def _columns() -> "Table":
    from rich.table import Table

    table = Table.grid(padding=(0, 2))
    table.add_column(width=8, style="dim")
    # An address that is cut off leads nowhere.
    table.add_column(overflow="fold")
    return table


def _probabilities(verdict: Verdict) -> "Table":
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2))
    table.add_column(width=1)
    table.add_column()
    table.add_column(justify="right")
    table.add_column()
    for label, probability in verdict.probabilities.items():
        chosen = label is verdict.label
        table.add_row(
            ">" if chosen else "",
            Text(str(label), style="bold" if chosen else ""),
            f"{probability:.1%}",
            Text("#" * round(30 * probability), style=_COLOURS[label]),
        )
    return table


def _relations(verdict: Verdict) -> "Table":
    table = _columns()
    table.add_row(
        "Text",
        ", ".join(f"{name} {value:.1%}" for name, value in verdict.text_relation.items()),
    )
    table.add_row(
        "Picture",
        "no two pictures to compare"
        if verdict.image_relation is None
        else f"same picture {verdict.image_relation:.1%}",
    )
    if verdict.evidence.bearing is not None:
        table.add_row("Found", f"bears on the claim {verdict.evidence.bearing:.1%}")
    return table


def _write_evidence(console: "Console", verdict: Verdict) -> None:
    evidence = verdict.evidence
    console.print()
    console.print("Evidence" if evidence.passages else "No evidence was found.", style="bold")
    for number, cited in enumerate(evidence.passages, start=1):
        _write_lines(console, f"{number}. ", [*_passage_place(cited), visible(cited.passage.text)])
    if evidence.image is not None:
        console.print("Picture compared", style="bold")
        _write_lines(console, "", _picture_place(evidence.image))
    if evidence.elsewhere:
        console.print("The same picture in other documents, oldest first", style="bold")
    for image in evidence.elsewhere:
        _write_lines(console, "- ", _picture_place(image))
    if evidence.more_elsewhere:
        _write_lines(console, "- ", [f"and {evidence.more_elsewhere:,} more"])


def _write_explanation(console: "Console", verdict: Verdict, explanation: Explanation) -> None:
    """Print what a verdict rests on and what would change it."""
    lines = []
    if (key := explanation.sentence) is not None:
        falls = verdict.confidence - key.removal.probability >= _SHOWN
        if falls or key.removal.label is not verdict.label:
            lines.append([f"Matters most: {visible(key.text)}", _without(verdict, key.removal)])
        else:
            lines.append(
                ["No single sentence matters much: without any one of them the label is as likely."]
            )
    for one, other in explanation.disagreements:
        lines.append([f"Passage {one} supports the claim, passage {other} contradicts it."])
    for removal in explanation.removals:
        if removal.label is not verdict.label:
            lines.append([f"Rests on {removal.removed}.", _without(verdict, removal)])
    lines += [[sentence] for sentence in explanation.missing]
    if lines:
        console.print("Why", style="bold")
    for paragraph in lines:
        _write_lines(console, "- ", paragraph)


def _without(verdict: Verdict, removal: Removal) -> str:
    moves = "falls" if removal.probability < verdict.confidence else "rises"
    without = "Without them" if removal.removed.startswith("the pictures") else "Without it"
    change = (
        f"{without} {verdict.label} {moves} from {verdict.confidence:.1%} to "
        f"{removal.probability:.1%}"
    )
    if removal.label is verdict.label:
        return f"{change}."
    # At an error rate asked for, the label that is then likely may be none that would be given.
    name = "verdict" if verdict.decision is None else "most likely label"
    return f"{change}, and the {name} is {removal.label}."


def _write_lines(console: "Console", mark: str, lines: list[str]) -> None:
    """Print paragraphs below one another, a mark before the first one."""
    from rich.table import Table

    table = Table.grid()
    table.add_column(width=2)
    table.add_column(width=len(mark))
    table.add_column(overflow="fold")
    for number, line in enumerate(lines):
        table.add_row("", "" if number else mark, line)
    console.print(table)


def _passage_place(cited: CitedPassage) -> list[str]:
    passage = cited.passage
    score = f"score {cited.score:.3f}"
    place = f"[{passage.document_id}], characters {passage.start}-{passage.end}"
    lines = _lines(cited.title, [place, score, cited.date], cited.url)
    if cited.copies:
        lines.append(f"also in {visible(', '.join(cited.copies))}")
    return [*lines, *_said(cited)]


def _said(cited: CitedPassage) -> list[str]:
    """What a passage says of the claim by itself, if that is known."""
    if cited.relation is None or cited.weight is None:
        return []
    relation = max(cited.relation, key=cited.relation.__getitem__)
    said = f"{_SAYS[relation]} ({cited.relation[relation]:.1%}), weight {cited.weight:.0%}"
    bears = "" if cited.bearing is None else f", bears on it {cited.bearing:.1%}"
    return [f"{said}{bears}"]


def _picture_place(image: CitedImage) -> list[str]:
    same = None if image.same_picture is None else f"P(same picture) {image.same_picture:.1%}"
    match = None if image.matched_places is None else f"{image.matched_places} places match"
    parts = [
        f"[{image.document_id}]",
        image.path,
        same,
        match,
        f"score {image.score:.3f}",
        image.date,
    ]
    return _lines(image.title, parts, image.url)


def _lines(title: str | None, parts: list[str | None], url: str | None) -> list[str]:
    place = ", ".join(visible(part) for part in parts if part)
    return [*([visible(title)] if title else []), place, *([visible(url)] if url else [])]
