"""What labels can be guessed from without comparing a claim with its document.

A classifier is given one part of the rows and nothing else. None of the parts decides a label by
itself: what it scores above the majority is what the split gives away, but for two of them.
Pictures rightly tell the image relation, and both texts together rightly tell the text relation.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from factcheck.datasets.doctor import host_of
from factcheck.datasets.text_splits import normalise
from factcheck.evaluation.baselines import all_labels, forest_probabilities, pooled_pictures
from factcheck.evaluation.splits import Split

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

MAX_TERMS = 100_000
"""Words and pairs of words of one text that are looked at: the most frequent ones in train."""


class Shortcut(NamedTuple):
    """A classifier that reads one part of the rows.

    Attributes:
        reads: What it reads, in words.
        predict: From the training rows, N rows and a seed to their (N, 5) probabilities in the
            order of `records.LABELS`; None where no training row has what it reads.
    """

    reads: str
    predict: Callable[[Split, Split, int], np.ndarray | None]


def claim_only(train: Split, test: Split, seed: int) -> np.ndarray | None:
    """From the words of the claim."""
    return _from_texts(train, test, _claims, seed=seed)


def document_only(train: Split, test: Split, seed: int) -> np.ndarray | None:
    """From the words of the document."""
    return _from_texts(train, test, _documents, seed=seed)


def ocr_only(train: Split, test: Split, seed: int) -> np.ndarray | None:
    """From the words in both pictures, as the OCR texts have them."""
    return _from_texts(train, test, _claim_ocr, _document_ocr, seed=seed)


def text_only(train: Split, test: Split, seed: int) -> np.ndarray | None:
    """From the words of claim and document, a column for each word on each side."""
    return _from_texts(train, test, _claims, _documents, seed=seed)


def lengths_only(train: Split, test: Split, seed: int) -> np.ndarray | None:
    """From how long each text is, in characters and words, and which parts are there at all."""
    return forest_probabilities(
        length_features(train), train.labels, length_features(test), seed=seed
    )


def images_only(train: Split, test: Split, seed: int) -> np.ndarray | None:
    """From both pictures: their pooled vectors, how these agree, and which are there."""
    from sklearn.preprocessing import StandardScaler

    if (_image_rows(train) < 0).all():
        return None
    scaler = StandardScaler().fit(image_features(train))
    return _logistic(
        scaler.transform(image_features(train)),
        train.labels,
        scaler.transform(image_features(test)),
        seed,
    )


def host_only(train: Split, test: Split, seed: int) -> np.ndarray | None:
    """From the hosts of both pictures' addresses.

    This is the one place that reads an address, and only to say how much it gives away. Nothing
    that gives a verdict may: a host names the publisher, and false claims are collected from a few
    publishers, so it tells where a row was found and nothing of what it says. A claim that someone
    wants checked comes from anywhere.
    """
    from sklearn.feature_extraction import DictVectorizer

    hosts = _hosts(train)
    if not any(hosts):
        return None
    columns = DictVectorizer().fit(hosts)
    return _logistic(columns.transform(hosts), train.labels, columns.transform(_hosts(test)), seed)


SHORTCUTS = {
    "claim only": Shortcut("a word in its claim", claim_only),
    "document only": Shortcut("a word in its document", document_only),
    "OCR only": Shortcut("text in a picture", ocr_only),
    "lengths only": Shortcut("a length", lengths_only),
    "images only": Shortcut("a picture", images_only),
    "text only": Shortcut("a word in its texts", text_only),
    "URL host only": Shortcut("an address of a picture", host_only),
}
"""The shortcuts by name."""


def length_features(split: Split) -> np.ndarray:
    """(N, 15): characters, words and presence of the four texts, and which pictures are there.

    The columns are characters, words and presence of claim, document, claim OCR and document OCR in
    this order, then whether the claim's, the document's and both pictures are there.
    """
    columns = []
    for of in (_claims, _documents, _claim_ocr, _document_ocr):
        texts = of(split)
        columns += [
            [len(text) for text in texts],
            [len(text.split()) for text in texts],
            [bool(text.strip()) for text in texts],
        ]
    claim, document = _image_rows(split) >= 0
    columns += [claim, document, claim & document]
    return np.stack([np.asarray(column, dtype=np.float32) for column in columns], axis=1)


def image_features(split: Split) -> np.ndarray:
    """(N, 4 C + 3): both pooled vectors, their product and absolute difference, and presence."""
    claim, has_claim = pooled_pictures(split.inputs, split.inputs.claim_image_rows)
    document, has_document = pooled_pictures(split.inputs, split.inputs.evidence_image_rows)
    both = has_claim & has_document
    agreement = [claim * document, np.abs(claim - document) * both[:, None]]
    presence = np.stack([has_claim, has_document, both], axis=1)
    return np.concatenate([claim, document, *agreement, presence.astype(np.float32)], axis=1)


def _claims(split: Split) -> list[str]:
    return [row.claim.text for row in split.rows]


def _documents(split: Split) -> list[str]:
    return [row.document.text for row in split.rows]


def _claim_ocr(split: Split) -> list[str]:
    return [row.claim.ocr or "" for row in split.rows]


def _document_ocr(split: Split) -> list[str]:
    return [row.document.ocr or "" for row in split.rows]


def _image_rows(split: Split) -> np.ndarray:
    """(2, N) rows of the grids of claim and document, -1 where there is no picture."""
    return np.stack([split.inputs.claim_image_rows, split.inputs.evidence_image_rows])


def _hosts(split: Split) -> list[dict[str, str]]:
    """For each row the hosts that it has, by side."""
    addresses = [
        {"claim": row.claim_image_url, "document": row.document_image_url} for row in split.rows
    ]
    return [{side: host_of(url) for side, url in row.items() if url} for row in addresses]


def _from_texts(
    train: Split, test: Split, *sides: Callable[[Split], Sequence[str]], seed: int
) -> np.ndarray | None:
    """A logistic regression on the words and pairs of words of some texts, each with its own."""
    from scipy.sparse import hstack

    columns = [found for side in sides if (found := _terms(side(train), side(test))) is not None]
    if not columns:
        return None
    of_train, of_test = zip(*columns, strict=True)
    return _logistic(hstack(of_train).tocsr(), train.labels, hstack(of_test).tocsr(), seed)


def _terms(train: Sequence[str], test: Sequence[str]) -> "tuple[csr_matrix, csr_matrix] | None":
    """TF-IDF of words and pairs of words, those of train; None where that has no word."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    words = [normalise(text) for text in train]
    if not any(words):
        return None
    terms = TfidfVectorizer(
        ngram_range=(1, 2),
        # The default leaves out words of one letter, and with them figures of one digit.
        token_pattern=r"\w+",
        max_features=MAX_TERMS,
        sublinear_tf=True,
        dtype=np.float32,
    )
    return terms.fit_transform(words), terms.transform([normalise(text) for text in test])


def _logistic(
    features: "np.ndarray | csr_matrix",
    labels: np.ndarray,
    of: "np.ndarray | csr_matrix",
    seed: int,
) -> np.ndarray:
    """(M, 5) probabilities of a logistic regression."""
    from sklearn.linear_model import LogisticRegression

    regression = LogisticRegression(max_iter=1000, random_state=seed)
    regression.fit(features, labels)
    return all_labels(regression.predict_proba(of), regression.classes_)
