"""Whether of two nearly equal passages one was altered, so that they do not say the same.

A copy of a report is often cut at its ends, has another agency before it or a line about rights
after it, and here and there a comma, an accent or a small word that the other has not. That alters
nothing. What lies between the ends may differ in nothing else: one word in a hundred makes three
dead of nine, or lets a minister deny what he confirmed. At the ends a passage may have more whole
sentences than the other, or more of one in which the other was cut off, but no number more, no
negation and no word about what is true.

Words are looked at, not understood. That errs on one side: passages that say the same in other
words are taken for different ones, which costs room in a list and hides nothing.
"""

from collections.abc import Sequence
from difflib import SequenceMatcher

from factcheck.datasets.near_duplicates import TEXT_SIMILARITY
from factcheck.retrieval.statements import Statement, is_weighty

# Of a longer stretch it is not told what was altered in it; the passages of an index are shorter.
_LONGEST = 400

# Words that say nothing where they stand alone: they may come and go.
_SLIGHT = frozenset("a that of in to and has also just late mr mrs ms dr".split())

# Some of them may stand in place of another, too.
_ALIKE = frozenset("a that of in".split())

# What of a word may not be missing even where a passage was cut in a word.
_TURNING = frozenset("un in im il ir non dis mis anti less".split())


def altered(one: Statement, other: Statement) -> bool:
    """Whether two nearly equal passages say different things.

    Args:
        one: A passage.
        other: Another.
    """
    # A look at a few words, in their order, mostly saves one at all.
    if one.weighty != other.weighty:
        return True
    if max(len(one.words), len(other.words)) > _LONGEST:
        return True
    matcher = SequenceMatcher(None, one.words, other.words, autojunk=False)
    bounds = _common(one.words, other.words, matcher)
    if bounds is None:
        return True
    for at_start, (a, b) in zip((True, False), bounds, strict=True):
        ours, theirs = _outside(one.words, a, at_start), _outside(other.words, b, at_start)
        if any(map(is_weighty, (*ours, *theirs))):
            return True
        if ours and theirs:
            whole = one.whole(at_start), other.whole(at_start)
            if _replaced(ours, theirs) and not _cut_off(ours, theirs, at_start, whole):
                return True
        elif not _is_slight((*ours, *theirs)):
            longer, place, shorter = (one, a, other) if ours else (other, b, one)
            if place not in longer.borders and shorter.whole(at_start):
                return True
    return False


def stands_in(passage: Statement, article: Statement, start: int, end: int) -> bool:
    """Whether a passage stands in an article, word for word or nearly, and says the same there.

    Args:
        passage: The passage.
        article: The article.
        start: Where the words of the article begin among which it is looked for.
        end: Where they end.
    """
    here = article.words[start:end]
    matcher = SequenceMatcher(None, here, passage.words, autojunk=False)
    found = sum(block.size for block in matcher.get_matching_blocks())
    if found < TEXT_SIMILARITY * len(passage.words):
        return False
    bounds = _common(here, passage.words, matcher)
    if bounds is None:
        return False
    for at_start, (a, b) in zip((True, False), bounds, strict=True):
        around, own = _outside(here, a, at_start), _outside(passage.words, b, at_start)
        if any(map(is_weighty, own)):
            return False
        # Where the article goes on otherwise, the passage's last word may be the altered one.
        if own and around:
            # An article is not cut in the middle of a word.
            if not _cut_off(own, around, at_start, (passage.whole(at_start), True)):
                return False
        elif own:
            if b not in passage.borders:
                return False
        elif start + a not in article.borders and passage.whole(at_start):
            return False
    return True


def _common(
    one: Sequence[str], other: Sequence[str], matcher: "SequenceMatcher[str]"
) -> tuple[tuple[int, int], tuple[int, int]] | None:
    """Where in each what both say begins, and where it ends.

    None if it does not go on without a change that alters it, or if there is none.
    """
    changes = matcher.get_opcodes()
    equal = [place for place, change in enumerate(changes) if change[0] == "equal"]
    if not equal:
        return None
    for kind, a, b, c, d in changes[equal[0] : equal[-1]]:
        if kind != "equal" and _replaced(one[a:b], other[c:d]):
            return None
    (_, a, _, c, _), (_, _, b, _, d) = changes[equal[0]], changes[equal[-1]]
    return (a, c), (b, d)


def _outside(words: Sequence[str], place: int, at_start: bool) -> Sequence[str]:
    return words[:place] if at_start else words[place:]


def _is_slight(words: Sequence[str]) -> bool:
    return _SLIGHT.issuperset(words)


def _replaced(ours: Sequence[str], theirs: Sequence[str]) -> bool:
    """Whether it makes a difference which of two stretches stands beside equal words."""
    if not ours or not theirs:
        return not _is_slight((*ours, *theirs))
    joined = "".join(ours)
    # "e mail" and "email", but not "3 5" and "35".
    if joined == "".join(theirs) and not any(map(str.isdigit, joined)):
        return False
    return not _ALIKE.issuperset((*ours, *theirs))


def _cut_off(
    ours: Sequence[str], theirs: Sequence[str], at_start: bool, whole: tuple[bool, bool]
) -> bool:
    """Whether one stretch is a piece of the word that the other has next to equal words.

    A passage may have been cut in the middle of a word, unless it is whole at this end: "Man
    arrested" is no piece of "Woman arrested".
    """
    for own, around, is_whole in ((ours, theirs, whole[0]), (theirs, ours, whole[1])):
        if is_whole:
            continue
        piece, word = own[0], around[-1] if at_start else around[0]
        rest = word.removesuffix(piece) if at_start else word.removeprefix(piece)
        if len(own) == 1 and rest != word and rest not in _TURNING:
            return True
    return False
