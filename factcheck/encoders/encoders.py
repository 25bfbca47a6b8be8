"""The encoders side by side, each input encoded once."""

import hashlib
import json
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal, Self, TypeVar

import numpy as np
import torch
from torch import Tensor

from factcheck import pictures
from factcheck.characters import legible
from factcheck.encoders import image as image_module
from factcheck.encoders import text as text_module
from factcheck.encoders.bearing import Bearing
from factcheck.encoders.cache import EncodingCache
from factcheck.encoders.identity import settings_hash, tokenizer_settings, transformer_settings
from factcheck.encoders.image import ImageEncoder, pool
from factcheck.encoders.precision import number_format
from factcheck.encoders.query import halfway, load_query_encoder
from factcheck.encoders.relation import RelationEncoder
from factcheck.encoders.text import TextEncoder
from factcheck.errors import FactcheckError, UsageError
from factcheck.settings import Precision

_CHUNK = 64
DECODERS = min(8, os.cpu_count() or 1)
"""So many pictures are decoded at once."""

Progress = Callable[[int], None]

# A text, or a claim with a passage.
T = TypeVar("T", str, tuple[str, str])


@dataclass(frozen=True)
class PictureEncodings:
    """Encodings of N picture files, each content once.

    Attributes:
        rows: (N,) int64; the row of each file below, or -1 where there is none or it is unreadable.
        tokens: (U, T, C) float32 token grids of the U different pictures.
        pooled: (U, C) float32 pooled vectors of unit length.
        sha256: The U hashes of the files' bytes, in hexadecimal.
        problems: For each unreadable file, by its position, one sentence that says why.
    """

    rows: np.ndarray
    tokens: np.ndarray
    pooled: np.ndarray
    sha256: tuple[str, ...]
    problems: dict[int, str]


class Encoders:
    """A text encoder, an image encoder and a text relation encoder, with a cache on disk.

    Attributes:
        text: The text encoder.
        image: The image encoder.
        relation: The text relation encoder; None where nothing asks for it.
        cache: Where encodings are kept, by content and by all of the encoder that they depend on.
        precision: Number format that they compute in. In bfloat16 an encoding depends in its last
            digits on what else is in its batch.
    """

    def __init__(
        self,
        text: TextEncoder,
        image: ImageEncoder,
        cache: EncodingCache | None = None,
        relation: RelationEncoder | None = None,
        precision: Precision = "float32",
    ) -> None:
        """Put encoders together.

        Raises:
            PrerequisiteError: bfloat16 was asked for by name and the processor does not have it.
        """
        self.text = text
        self.image = image
        self.relation = relation
        self.cache = cache
        fast = number_format(precision, image.device) == torch.bfloat16
        self.precision: Literal["float32", "bfloat16"] = "bfloat16" if fast else "float32"

    @classmethod
    def load(
        cls,
        text: str = text_module.EMBEDDED,
        image: str = image_module.EMBEDDED,
        cache: EncodingCache | None = None,
        relation: str | None = None,
        precision: Precision = "float32",
    ) -> Self:
        """Load encoders by name, as each one's own `load` does; `relation` only if it is named."""
        loaded = TextEncoder.load(text)
        reader = None if relation is None else RelationEncoder.load(relation, loaded)
        return cls(loaded, ImageEncoder.load(image), cache, reader, precision)

    def with_relation(self, relation: RelationEncoder) -> Self:
        """The same encoders with another text relation encoder."""
        return type(self)(self.text, self.image, self.cache, relation, self.precision)

    def texts(self, texts: Sequence[str], on_progress: Progress | None = None) -> np.ndarray:
        """Encode texts, each different one once.

        Args:
            texts: N texts.
            on_progress: Called with the number of different texts done since the last call.

        Returns:
            (N, D) float32, rows of unit length.
        """
        return self._encoded(self.text, texts, on_progress)

    def queries(self, claims: Sequence[str], plain: np.ndarray | None = None) -> np.ndarray:
        """Encode claims as a search asks with them, each different one once.

        That is between where the text encoder puts a claim, which is the safer place, and where
        what was trained for it does, which is nearer to evidence like that it has seen
        (`encoders.query`).

        Args:
            claims: N claims.
            plain: (N, D) what `texts` gives for them, where that is known already.

        Returns:
            (N, D) float32, rows of unit length; those of `texts` for a text encoder that has
            nothing of its own for queries.

        Raises:
            FactcheckError: What it has cannot be used.
        """
        if plain is None:
            plain = self.texts(claims)
        if self.query is None or not claims:
            return plain
        return halfway(plain, self._encoded(self.query, claims, None))

    @cached_property
    def query(self) -> TextEncoder | None:
        """What encodes claims for a search, loaded when it is first needed; None without one."""
        return load_query_encoder(self.text)

    def _encoded(
        self, encoder: TextEncoder, texts: Sequence[str], on_progress: Progress | None
    ) -> np.ndarray:
        texts = list(map(legible, texts))
        return self._each_once(
            texts,
            self._keys(lambda: encoder.identity, (text.encode() for text in texts)),
            encoder.dimension,
            lambda some: encoder.encode(some, on_progress=on_progress, precision=self.precision),
            on_progress,
        )

    def passages(self, texts: Sequence[str]) -> np.ndarray:
        """Encode texts that are to be searched, in the fastest number format there is.

        They are not cached: an index keeps them.

        Args:
            texts: N texts.

        Returns:
            (N, D) float32, rows of unit length.
        """
        return self.text.encode(list(map(legible, texts)), precision="auto")

    def relations(
        self, pairs: Sequence[tuple[str, str]], on_progress: Progress | None = None
    ) -> np.ndarray:
        """What passages say of claims, each different pair read once.

        Args:
            pairs: N claims, each with a passage.
            on_progress: Called with the number of different pairs done since the last call.

        Returns:
            (N, R) float32, as `RelationEncodings.packed` lays them out; (N, 0) without a text
            relation encoder.
        """
        if self.relation is None:
            return np.zeros((len(pairs), 0), dtype=np.float32)
        relation = self.relation
        pairs = _legible_pairs(pairs)
        return self._each_once(
            pairs,
            self._keys(
                lambda: f"{relation.sha256}:{self._reading}",
                (json.dumps(pair).encode() for pair in pairs),
            ),
            relation.width,
            lambda some: (
                relation.encode(some, on_progress=on_progress, precision=self.precision).packed
            ),
            on_progress,
        )

    def relevances(
        self, pairs: Sequence[tuple[str, str]], on_progress: Progress | None = None
    ) -> np.ndarray:
        """How much passages have to say of claims, each different pair read once.

        Args:
            pairs: N claims, each with a passage.
            on_progress: Called with the number of different pairs done since the last call.

        Returns:
            (N,) float32, as `RelationEncoder.relevances` gives them.

        Raises:
            UsageError: There is no text relation encoder that tells relevance.
        """
        relation = self.relation
        if relation is None or relation.relevance is None:
            raise UsageError("no text relation encoder that tells relevance was loaded")
        relevance = relation.relevance
        pairs = _legible_pairs(pairs)
        return self._each_once(
            pairs,
            self._keys(
                lambda: f"{relevance.sha256}:{self._reading}",
                (json.dumps(pair).encode() for pair in pairs),
            ),
            1,
            lambda some: relation.relevances(
                some, on_progress=on_progress, precision=self.precision
            )[:, None],
            on_progress,
        )[:, 0]

    def bearings(self, pairs: Sequence[tuple[str, str]], cosines: np.ndarray) -> np.ndarray:
        """Whether passages that were found for claims bear on them at all.

        Args:
            pairs: N claims, each with a passage.
            cosines: (N,) of the passages' vectors and those that the claims are searched with
                (`queries`).

        Returns:
            (N,) float32 probabilities (`encoders.bearing`); NaN where nothing here tells them.
        """
        bearing = self.bearing
        if bearing is None:
            return np.full(len(pairs), np.nan, dtype=np.float32)
        return bearing.probabilities(self.relevances(pairs), cosines).astype(np.float32)

    @property
    def bearing(self) -> Bearing | None:
        """What tells whether passages bear on claims; None where nothing does.

        It goes by cosines, too, so it tells nothing where a search is made with other encoders than
        those that it was fitted with.
        """
        relevance = None if self.relation is None else self.relation.relevance
        bearing = None if relevance is None else relevance.config.bearing
        if bearing is None or bearing.search_sha256 != self.search_sha256:
            return None
        return bearing

    @property
    def search_sha256(self) -> str:
        """Hash of what encodes claims and passages for a search."""
        asked_with = self.text if self.query is None else self.query
        return hashlib.sha256(f"{self.text.sha256} {asked_with.sha256}".encode()).hexdigest()

    def _each_once(
        self,
        inputs: Sequence[T],
        keys: Sequence[bytes],
        width: int,
        encode: Callable[[list[T]], np.ndarray],
        on_progress: Progress | None,
    ) -> np.ndarray:
        """Encode texts, or tuples of texts, each different one once and only if it is not cached.

        Args:
            inputs: N inputs.
            keys: Their keys in the cache; equal where inputs are.
            width: Of their encodings.
            encode: From inputs to (n, width).
            on_progress: Told how many different inputs need not be encoded.

        Returns:
            (N, width) float32.
        """
        input_of = dict(zip(keys, inputs, strict=True))
        known = self.known(list(input_of), width)
        if on_progress is not None and known:
            on_progress(len(known))
        row_of = {key: row for row, key in enumerate(input_of)}
        encoded = np.zeros((len(input_of), width), dtype=np.float32)
        for key, value in known.items():
            encoded[row_of[key]] = value
        new = [key for key in input_of if key not in known]
        new.sort(key=lambda key: len("".join(input_of[key])), reverse=True)
        # The cache is written as the work goes on, so that a stopped run has lost little of it.
        for start in range(0, len(new), _CHUNK * 8):
            chunk = new[start : start + _CHUNK * 8]
            rows = [row_of[key] for key in chunk]
            encoded[rows] = encode([input_of[key] for key in chunk])
            if self.cache:
                self.cache.put((key, encoded[row_of[key]]) for key in chunk)
        return encoded[[row_of[key] for key in keys]]

    def pictures(
        self, paths: Sequence[str | Path | None], on_progress: Progress | None = None
    ) -> PictureEncodings:
        """Decode and encode picture files, each different content once.

        A file that cannot be read is a reported problem, not an exception: one bad picture among
        thousands is a missing picture.

        Args:
            paths: N files; None where there is no picture.
            on_progress: Called with the number of different pictures done since the last call.
        """
        with ThreadPoolExecutor(DECODERS) as threads:
            # Many files to a task: a task of its own costs more than hashing a small file.
            slices = [paths[start : start + _CHUNK] for start in range(0, len(paths), _CHUNK)]
            hashes = [one for some in threads.map(_hashes, slices) for one in some]
            path_of = {
                sha256: path
                for path, (sha256, _) in zip(reversed(paths), reversed(hashes), strict=True)
                if sha256 is not None and path is not None
            }
            grids, unreadable = self._grids(path_of, threads, on_progress)
        row_of = {sha256: row for row, sha256 in enumerate(grids)}
        rows = np.array([row_of.get(sha256 or "", -1) for sha256, _ in hashes], dtype=np.int64)
        problems = {
            # Several files may have the same bytes, of which one was read: each is named as itself.
            i: reason
            or unreadable[sha256 or ""].replace(str(path_of[sha256 or ""]), str(paths[i]), 1)
            for i, (sha256, reason) in enumerate(hashes)
            if paths[i] is not None and rows[i] < 0
        }
        shape = (len(grids), self.image.tokens, self.image.dimension)
        tokens = np.zeros(shape, dtype=np.float32)
        for row, grid in enumerate(grids.values()):
            tokens[row] = grid.reshape(shape[1:])
        return PictureEncodings(rows, tokens, pool(tokens), tuple(grids), problems)

    def _grids(
        self,
        path_of: dict[str, str | Path],
        threads: ThreadPoolExecutor,
        on_progress: Progress | None,
    ) -> tuple[dict[str, np.ndarray], dict[str, str]]:
        """The token grid of each picture, by content hash, and why some have none."""
        contents = (sha256.encode() for sha256 in path_of)
        keys = self._keys(lambda: self.image.identity, contents)
        key_of = dict(zip(path_of, keys, strict=True))
        known = self.known(keys, self.image.tokens * self.image.dimension)
        grids = {sha256: known[key] for sha256, key in key_of.items() if key in known}
        new = [sha256 for sha256 in path_of if sha256 not in grids]
        if on_progress is not None and grids:
            on_progress(len(grids))
        unreadable: dict[str, str] = {}
        for chunk, prepared in self._prepared(new, path_of, threads):
            pixels = {s: result for s, result in prepared.items() if not isinstance(result, str)}
            unreadable |= {s: reason for s, reason in prepared.items() if isinstance(reason, str)}
            tokens = self.image.encode_pixels(
                list(pixels.values()), precision=self.precision
            ).tokens
            encoded = dict(zip(pixels, tokens, strict=True))
            grids |= encoded
            if self.cache:
                self.cache.put((key_of[sha256], grid) for sha256, grid in encoded.items())
            if on_progress is not None:
                on_progress(len(chunk))
        return grids, unreadable

    def _prepared(
        self,
        new: list[str],
        path_of: dict[str, str | Path],
        threads: ThreadPoolExecutor,
    ) -> Iterator[tuple[list[str], dict[str, Tensor | str]]]:
        """Pixels of pictures in chunks, or why there are none, by content hash.

        Where the network has a device of its own, a chunk is decoded while it works on the one
        before. On the processor they would only take each other's cores: its products wait for the
        slowest of their threads, and both together take longer than one after the other.
        """
        ahead = 0 if self.image.device.type == "cpu" else 1
        chunks = [new[start : start + _CHUNK] for start in range(0, len(new), _CHUNK)]
        waiting: deque[tuple[list[str], list[Future[Tensor | str]]]] = deque()
        for chunk in chunks:
            waiting.append(
                (chunk, [threads.submit(self._pixels, path_of[sha256]) for sha256 in chunk])
            )
            if len(waiting) > ahead:
                yield _collected(*waiting.popleft())
        while waiting:
            yield _collected(*waiting.popleft())

    def _pixels(self, path: str | Path) -> Tensor | str:
        """What the network takes of the picture in a file, or why there is nothing."""
        try:
            return self.image.prepare(pictures.read_bytes(path), path)
        except FactcheckError as error:
            return str(error)

    def known(self, keys: Sequence[bytes], width: int) -> dict[bytes, np.ndarray]:
        """What the cache has; nothing without one.

        Args:
            keys: What to look for.
            width: Length of each; what has another counts for nothing.

        Returns:
            (width,) float32 by key.
        """
        if self.cache is None:
            return {}
        found = self.cache.get(keys)
        return {key: value for key, value in found.items() if value.shape == (width,)}

    def _keys(self, encoder: Callable[[], str], contents: Iterable[bytes]) -> list[bytes]:
        """The cache keys of inputs under one encoder, in the number format it computes in.

        Args:
            encoder: Tells its name, which takes some time and is not asked for without a cache.
            contents: What tells one input from another.
        """
        name = f"{encoder()}:{self.precision}" if self.cache else ""
        start = hashlib.sha256(name.encode() + b"\0")
        keys = []
        for content in contents:
            digest = start.copy()
            digest.update(content)
            keys.append(digest.digest())
        return keys

    @cached_property
    def _reading(self) -> str:
        """Hash of how the text relation encoder reads, beside its weights."""
        assert self.relation is not None
        return settings_hash(
            self.relation.config.max_tokens,
            transformer_settings(self.relation.network.body.config),
            tokenizer_settings(self.relation.tokenizer),
        )


def _legible_pairs(pairs: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    return [(legible(claim), legible(passage)) for claim, passage in pairs]


def _hashes(paths: Sequence[str | Path | None]) -> list[tuple[str | None, str | None]]:
    """`_hash` of each path."""
    return [_hash(path) for path in paths]


def _hash(path: str | Path | None) -> tuple[str | None, str | None]:
    """Hash of a file's bytes, or why it cannot be read; neither where there is no path."""
    if path is None:
        return None, None
    try:
        return hashlib.sha256(pictures.read_bytes(path)).hexdigest(), None
    except FactcheckError as error:
        return None, str(error)


def _collected(
    chunk: list[str], futures: list[Future[Tensor | str]]
) -> tuple[list[str], dict[str, Tensor | str]]:
    results = (future.result() for future in futures)
    return chunk, dict(zip(chunk, results, strict=True))
