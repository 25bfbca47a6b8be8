"""What the text relation encoder does not read: the ends of long texts, and unknown languages."""

from collections.abc import Sequence

from factcheck.encoders.relation import RelationEncoder, characters_read


def claim_read(relation: RelationEncoder, claim: str, passages: Sequence[str]) -> int | None:
    """How far a claim is read, for beside a passage the longer of the two is cut.

    Args:
        relation: Reads them.
        claim: The claim.
        passages: What it is read beside.

    Returns:
        So many of its characters, where least of it is read; None if all of it always is.
    """
    longest = relation.config.max_tokens
    tokens = len(relation.tokenizer(claim, add_special_tokens=False, verbose=False)["input_ids"])
    # Half of the sequence is the claim's beside any passage: most claims need no second look.
    half = (longest - relation.tokenizer.num_special_tokens_to_add(pair=True)) // 2
    if tokens <= half and len(claim) <= characters_read(longest):
        return None
    least: int | None = None
    for passage in passages:
        count, end = _read_of(relation, claim, passage, side=0)
        if count < tokens:
            least = end if least is None else min(least, end)
    return least


def passages_read(
    relation: RelationEncoder, claim: str, passages: Sequence[str]
) -> list[int | None]:
    """How far passages are read beside a claim, for the longer of the two is cut.

    Args:
        relation: Reads them.
        claim: The claim.
        passages: What is read beside it.

    Returns:
        For each so many of its characters; None where it is read to its end.
    """
    longest = relation.config.max_tokens
    limit = characters_read(longest)
    read: list[int | None] = [None] * len(passages)
    if not passages:
        return read
    cut = [passage[:limit] for passage in passages]
    whole = relation.tokenizer([claim[:limit]] * len(cut), cut, verbose=False)["input_ids"]
    for place, passage in enumerate(cut):
        if len(whole[place]) <= longest and len(passage) == len(passages[place]):
            continue
        _, end = _read_of(relation, claim, passage, side=1)
        if passages[place][end:].strip():
            read[place] = end
    return read


def _read_of(relation: RelationEncoder, claim: str, passage: str, side: int) -> tuple[int, int]:
    """How much is read of one beside the other.

    Args:
        relation: Reads them.
        claim: The claim.
        passage: The passage.
        side: 0 for the claim, 1 for the passage.

    Returns:
        The number of its tokens that are read, and the offset behind the last of them.
    """
    longest = relation.config.max_tokens
    limit = characters_read(longest)
    read = relation.tokenizer(
        claim[:limit],
        passage[:limit],
        truncation="longest_first",
        max_length=longest,
        return_offsets_mapping=True,
    )
    sides = read.sequence_ids(0)
    ends = [end for (_, end), own in zip(read["offset_mapping"], sides, strict=True) if own == side]
    return len(ends), max(ends, default=0)


def spelt_out(relation: RelationEncoder, text: str) -> float:
    """The share of a text's letters that are read one by one or not at all, in [0, 1].

    A tokenizer knows the words of the languages that it was made for, and of others letters.

    Args:
        relation: Reads it.
        text: The text, of which no more is looked at than could be read.
    """
    text = text[: characters_read(relation.config.max_tokens)]
    tokens = relation.tokenizer(
        text, add_special_tokens=False, return_offsets_mapping=True, verbose=False
    )
    in_all = alone = 0
    for token, (start, end) in zip(tokens["input_ids"], tokens["offset_mapping"], strict=True):
        letters = sum(map(str.isalpha, text[start:end]))
        in_all += letters
        alone += letters if letters == 1 or token == relation.tokenizer.unk_token_id else 0
    return alone / in_all if in_all else 0.0
