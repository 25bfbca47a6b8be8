"""What a YAML file may say: one class for each kind, unknown keys refused by name."""

from pathlib import Path
from typing import Annotated, Literal, Self, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from factcheck.errors import InvalidInputError, MissingResourceError

T = TypeVar("T")

Read = TypeVar("Read", bound=BaseModel)

Probability = Annotated[float, Field(ge=0, le=1)]

Precision = Literal["float32", "bfloat16", "auto"]
"""Number format to compute in. `auto` is bfloat16 where the processor multiplies it in hardware,
else float32."""

Share = tuple[Annotated[float, Field(ge=0, le=1)], Annotated[float, Field(ge=0, le=1)]]
"""A half-open range of `Photograph.share`."""


class Settings(BaseModel):
    """Base of all settings: frozen, and strict about unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class TextSource(Settings):
    """Sources of text pairs that count as one.

    Attributes:
        members: Names in the rows' `source`.
        loose: Those of `members` that pair unrelated texts.
        weight: Rows wanted from it, relative to the other sources.
        sentence_pairs: Whether its evidence is a single invented sentence; such sources together
            are held to `sentence_pairs_at_most`.
    """

    members: list[str] = Field(min_length=1)
    loose: list[str] = Field(default_factory=list)
    weight: float = Field(gt=0)
    sentence_pairs: bool = False


_Count = Annotated[int, Field(ge=1, le=64)]
_Width = Annotated[int, Field(ge=1, le=4096)]

_MOST_ATTENDED = 2**31
"""Pairs of a token and a representative that global attention may compare in one picture."""


class TwinsSvtSettings(Settings):
    """Shape of a Twins-SVT (arXiv:2104.13840, sections 3.3 and 4, table of variants).

    Attributes:
        side: Side of the square input, pixels.
        dims: Width of each stage.
        heads: Attention heads of each stage, which divide its width.
        depths: Blocks of each stage; even ones attend locally, odd ones globally.
        windows: Side of the local windows of each stage, tokens.
        sub_windows: Side of the sub-windows that global attention summarises, tokens.
        mlp_ratio: Width of the hidden layer over the width of the stage.
    """

    side: int = Field(128, ge=32, le=2048)
    dims: tuple[_Width, _Width, _Width, _Width] = (32, 64, 160, 256)
    heads: tuple[_Count, _Count, _Count, _Count] = (1, 2, 5, 8)
    depths: tuple[_Count, _Count, _Count, _Count] = (2, 2, 6, 2)
    windows: tuple[_Count, _Count, _Count, _Count] = (8, 8, 8, 4)
    sub_windows: tuple[_Count, _Count, _Count, _Count] = (8, 4, 2, 1)
    mlp_ratio: int = Field(4, ge=1, le=16)

    @model_validator(mode="after")
    def _can_be(self) -> Self:
        for stage, (dim, heads) in enumerate(zip(self.dims, self.heads, strict=True), start=1):
            if dim % heads:
                raise ValueError(f"{heads} heads do not divide the width {dim} of stage {stage}")
        for stage, sub_window in enumerate(self.sub_windows):
            # The side of a stage's grid is a quarter of the picture's, an eighth and so on.
            tokens = (self.side // (4 << stage)) ** 2
            if tokens * max(1, tokens // sub_window**2) > _MOST_ATTENDED:
                raise ValueError(
                    f"sub-windows of {sub_window} in stage {stage + 1} are too small for pictures "
                    f"of {self.side} pixels"
                )
        return self


class FusionHeadSettings(Settings):
    """Shape of the fusion head (`fusion.head`).

    Attributes:
        width: Width of its tokens.
        heads: Attention heads of a layer, which divide its width.
        layers: Transformer layers.
        dropout: Probability of dropping an activation in training.
        input_dropout: Probability of dropping an entry of a text vector in training.
        passages: Evidence passages it reads, K.
        without: What it does not read, to see what that is worth: `images`; `image-tokens`, of
            pictures only the pooled vector; `ocr`; `comparisons`, differences and products.
    """

    width: int = Field(128, ge=8, le=4096)
    heads: int = Field(4, ge=1, le=64)
    layers: int = Field(2, ge=1, le=48)
    dropout: float = Field(0.2, ge=0, lt=1)
    input_dropout: float = Field(0.5, ge=0, lt=1)
    passages: int = Field(5, ge=1, le=64)
    without: tuple[Literal["images", "image-tokens", "ocr", "comparisons"], ...] = ()

    @model_validator(mode="after")
    def _can_be(self) -> Self:
        if self.width % self.heads:
            raise ValueError(f"{self.heads} heads do not divide the width {self.width}")
        return self


class PassageSettings(Settings):
    """How documents are cut into passages (`retrieval.passages`).

    Attributes:
        max_characters: Longest passage, unless one sentence is longer.
        overlap_sentences: Sentences that a passage shares with the one before.
    """

    max_characters: int = Field(480, ge=40, le=20_000)
    overlap_sentences: int = Field(1, ge=0, le=10)


Channel = Literal["dense", "lexical", "image"]
"""A way of finding evidence: by sentence vectors, by words (BM25), by pictures."""

CHANNELS: tuple[Channel, ...] = ("dense", "lexical", "image")


class SearchSettings(Settings):
    """How an evidence index is searched (`retrieval.search`).

    Attributes:
        channels: Which channels look; a channel that a query has nothing for stays silent.
        candidates: Passages that each channel proposes.
        rank_constant: Of reciprocal rank fusion (Cormack et al., SIGIR 2009): a channel's passage
            at rank r counts 1 / (rank_constant + r).
        rerank: Of the fused passages so many are read by the text relation encoder and put in the
            order of what they have to say (`retrieval.rerank`); 0 leaves the fused order.
        distinct: Whether near duplicates of passages, and copies of an article, count once.
    """

    channels: tuple[Channel, ...] = Field(CHANNELS, min_length=1)
    candidates: int = Field(50, ge=1, le=10_000)
    rank_constant: int = Field(60, ge=1)
    rerank: int = Field(40, ge=0, le=1000)
    distinct: bool = True


def read_yaml(path: Path, kind: type[T]) -> T:
    """Read a YAML file as settings.

    Args:
        path: The file.
        kind: A settings class, or a union of them told apart by `kind`.

    Raises:
        MissingResourceError: The file cannot be read.
        InvalidInputError: It is not YAML, or says something that the settings do not know.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise MissingResourceError(f"{path}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise InvalidInputError(f"{path}: not a YAML file") from error
    try:
        data = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise InvalidInputError(f"{path}: not a YAML file") from error
    except Exception as error:
        # What looks like a date or a number and is none makes PyYAML raise whatever it comes upon,
        # and brackets within brackets without end exhaust the stack.
        said = " ".join(str(error).split())[:200] or type(error).__name__
        raise InvalidInputError(f"{path}: not a YAML file that can be read ({said})") from error
    try:
        return TypeAdapter(kind).validate_python(data)
    except ValidationError as error:
        raise InvalidInputError(f"{path}: {first_problem(error)}") from error


def read_json(path: Path, kind: type[Read]) -> Read:
    """Read a JSON file as a model.

    Args:
        path: The file.
        kind: What it must fit.

    Raises:
        MissingResourceError: The file cannot be read.
        InvalidInputError: It does not fit.
    """
    try:
        return kind.model_validate_json(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise MissingResourceError(f"{path}: cannot be read ({error.strerror})") from error
    except ValidationError as error:
        raise InvalidInputError(f"{path}: {first_problem(error)}") from error
    except UnicodeDecodeError as error:
        raise InvalidInputError(f"{path}: not UTF-8 text") from error


def first_problem(error: ValidationError) -> str:
    """The first problem of a validation in one clause: where, and what."""
    problem = error.errors()[0]
    where = ".".join(str(part) for part in problem["loc"])
    # What our own validators say comes with this in front.
    message = str(problem["msg"]).removeprefix("Value error, ")
    return f"{where}: {message}" if where else message
