"""What is looked at in claims before any work is done on them."""

from collections.abc import Sequence

from factcheck.errors import InvalidInputError, MissingResourceError
from factcheck.pictures import FINGERPRINT_SIDE, decode, read_bytes
from factcheck.records import MAX_CLAIM_CHARACTERS, Claim, is_storable


def check_claims(claims: Sequence[Claim], first: int = 1, wordless: bool = False) -> None:
    """Refuse claims that cannot be checked.

    Args:
        claims: The claims.
        first: Number of the first one.
        wordless: Let claims pass that have no letter and no digit. Data sets have such rows, and
            each row is to get a label; asked by a person, nothing can be said of them.

    Raises:
        InvalidInputError: A claim is empty, longer than `MAX_CLAIM_CHARACTERS` or not UTF-8; of
            several its number is named.
    """
    for number, claim in enumerate(claims, start=first):
        name = "the claim" if len(claims) == 1 else f"claim {number}"
        text = claim.text.strip()
        if not text or not (wordless or any(map(str.isalnum, text))):
            raise InvalidInputError(f"{name} is empty")
        if len(claim.text) > MAX_CLAIM_CHARACTERS:
            raise InvalidInputError(
                f"{name} has {len(claim.text):,} characters, more than the "
                f"{MAX_CLAIM_CHARACTERS:,} allowed"
            )
        require_utf8(claim.text, name)
        require_utf8(claim.ocr, f"{name}: the text in its picture")


def check_pictures(claims: Sequence[Claim], first: int = 1) -> None:
    """Refuse claims whose pictures cannot be read, all of them before the first is encoded.

    Args:
        claims: The claims.
        first: Number of the first one.

    Raises:
        MissingResourceError: A picture is not there; of several claims its number is named.
        InvalidInputError: One is no picture that can be read; likewise.
    """
    for number, claim in enumerate(claims, start=first):
        if claim.image is None:
            continue
        name = "" if len(claims) == 1 else f"claim {number}: "
        try:
            # Of a large JPEG no more is computed than tells whether it is whole.
            decode(read_bytes(claim.image), claim.image, side=FINGERPRINT_SIDE)
        except (MissingResourceError, InvalidInputError) as error:
            raise type(error)(f"{name}{error}") from error


def require_utf8(text: str | None, name: str) -> None:
    """Refuse a text that cannot be encoded.

    Raises:
        InvalidInputError: It is such a one; the sentence begins with its name.
    """
    if not is_storable(text or ""):
        raise InvalidInputError(f"{name} is not UTF-8")
