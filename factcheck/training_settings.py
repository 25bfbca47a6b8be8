"""What a YAML file of a training run may say: one class for each kind of training.

Here and not beside the training code, since data sets and the results table read them, too, and
need none of what training loads.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from factcheck.settings import (
    FusionHeadSettings,
    PassageSettings,
    Precision,
    Probability,
    Settings,
    Share,
    TextSource,
    TwinsSvtSettings,
)


class SmallStart(Settings):
    """The first part of a training run, on smaller pictures.

    Most of what an encoder has to learn shows at a lower resolution, where a step costs less.

    Attributes:
        steps: Steps at the smaller size.
        side: Side of the square input, pixels.
        windows: Side of the local windows of each stage; windows have no weights.
    """

    steps: int = Field(ge=1)
    side: int = Field(ge=32, le=2048)
    windows: tuple[int, int, int, int]


class ImageEncoderTraining(Settings):
    """A training run of the image encoder (`training.image_encoder`).

    Attributes:
        photographs: Folders of photographs, relative to the data folder.
        share: Photographs trained on.
        validation_share: Photographs that the log's copy detection is measured on.
        architecture: Shape of the network.
        initial: Folder of an image encoder of the same widths that training starts from, relative
            to the working directory; fresh weights without one.
        small_start: Steps on smaller pictures, the first of `steps`.
        steps: Batches in the whole run.
        batch_size: Photographs a batch, two views each.
        cluster_size: Photographs of a batch that are look-alikes of one another.
        neighbours: Look-alikes of a photograph, by the teacher, that clusters are drawn from.
        own_neighbours: Look-alikes by the network itself that they are drawn from too.
        memory: Whether the latest vectors of photographs outside the batch are negatives too.
        chunk: Views that pass through the network at once; the losses see the whole batch.
        learning_rate: Of AdamW, at its highest.
        warmup_steps: Steps until it is reached.
        decay_fraction: Last part of the run, in which it falls to zero.
        temperature: Divides similarities in the contrastive losses.
        token_weight: Weight of the contrast of token grids.
        distillation_weight: Weight of the distance to the teacher.
        bfloat16: Whether the forward pass runs in bfloat16 where the processor has it.
        workers: Processes that edit photographs.
        log_every: Steps between rows of the log.
        evaluate_every: Steps between measurements, checkpoints and looks for own look-alikes.
        seed: Of everything random.
    """

    kind: Literal["image-encoder"]
    photographs: list[Path]
    share: Share = (0.0, 0.75)
    validation_share: Share = (0.88, 0.92)
    architecture: TwinsSvtSettings = TwinsSvtSettings()
    initial: Path | None = None
    small_start: SmallStart | None = None
    steps: int = Field(2400, ge=1)
    batch_size: int = Field(64, ge=2)
    cluster_size: int = Field(4, ge=1)
    neighbours: int = Field(8, ge=1)
    own_neighbours: int = Field(0, ge=0)
    memory: bool = False
    chunk: int = Field(32, ge=1)
    learning_rate: float = Field(1e-3, gt=0)
    warmup_steps: int = Field(150, ge=1)
    decay_fraction: float = Field(0.35, gt=0, le=1)
    temperature: float = Field(0.06, gt=0)
    token_weight: float = Field(0.5, ge=0)
    distillation_weight: float = Field(2.0, ge=0)
    bfloat16: bool = True
    workers: int = Field(2, ge=0)
    log_every: int = Field(20, ge=1)
    evaluate_every: int = Field(200, ge=1)
    seed: int = 0


class CopyReadoutTraining(Settings):
    """A fit of what tells copies by token grids (`training.copy_readout`).

    Attributes:
        image_encoder: `embedded` or a folder, as `ImageEncoder.load` takes it.
        photographs: Folders of photographs, relative to the data folder.
        share: Photographs fitted on, none that the image encoder was trained on.
        validation_share: Photographs measured on.
        rounds: How often each is edited.
        inverse_regularisation: C of the logistic regression.
        seed: Of the edits and the pairs.
    """

    kind: Literal["copy-readout"]
    image_encoder: str = "embedded"
    photographs: list[Path]
    share: Share = (0.75, 0.88)
    validation_share: Share = (0.88, 0.92)
    rounds: int = Field(6, ge=1)
    inverse_regularisation: float = Field(1.0, gt=0)
    seed: int = 0


class TreesTraining(Settings):
    """How the boosted trees beside a fusion head are grown (`training.trees`).

    Attributes:
        trees: How many for each text relation.
        learning_rate: How much each adds.
        leaves: Of a tree, at most.
        least_examples: Examples in a leaf, at least.
        examples: Share of the examples that a tree is grown on.
        features: Share of the numbers that a split is chosen from.
    """

    trees: int = Field(400, ge=1, le=5000)
    learning_rate: float = Field(0.02, gt=0, le=1)
    leaves: int = Field(15, ge=2, le=1024)
    least_examples: int = Field(40, ge=1)
    examples: float = Field(0.5, gt=0, le=1)
    features: float = Field(0.15, gt=0, le=1)


class FusionTraining(Settings):
    """A training run of the fusion head (`training.fusion`).

    Attributes:
        text_encoder: `embedded`, a folder, or a sentence-transformers model of the hub.
        image_encoder: `embedded`, a folder, or a Twins-SVT of timm with its pretrained tag.
        relation_encoder: `embedded` or a folder; null trains a head that reads no text relation.
        precision: Number format that the encoders compute in; a checkpoint does not depend on it,
            its last digits do.
        passages: How documents are cut.
        head: Shape of the head.
        epochs: Passes over the training rows, at most.
        patience: Epochs without a better likelihood on validation rows after which training stops.
        batch_size: Examples a batch.
        learning_rate: Of AdamW, at its highest.
        weight_decay: Of AdamW, on matrices.
        average_decay: Decay, a step, of the running average of the weights.
        image_weight: Weight of the image relation's loss.
        label_smoothing: Of the text relation's loss.
        modality_dropout: Probability of hiding a side's picture, and likewise a side's OCR text, in
            training.
        distractors: Probability that an example is read with passages of other documents among its
            own, as retrieval gives them.
        teachers: Checkpoint folders of heads, relative to the working directory, from whose mean
            this one learns beside the truth (`training.fusion_teachers`); none without it.
        taught: The teachers' share in the loss.
        trees: Boosted trees that are asked beside the head; none without it. What they count for is
            chosen by likelihood on the validation rows that calibration is fitted on.
        calibration_share: Share of the validation rows that calibration alone is fitted on; it is
            fitted on those of early stopping, too.
        conformal_share: Share of them that is kept back for `--max-error`; early stopping uses what
            is left.
        seed: Of everything random.
    """

    kind: Literal["fusion"]
    text_encoder: str = "embedded"
    image_encoder: str = "embedded"
    relation_encoder: str | None = "embedded"
    precision: Precision = "float32"
    passages: PassageSettings = PassageSettings()
    head: FusionHeadSettings = FusionHeadSettings()
    epochs: int = Field(8, ge=1)
    patience: int = Field(3, ge=1)
    batch_size: int = Field(128, ge=1)
    learning_rate: float = Field(1e-3, gt=0)
    weight_decay: float = Field(0.05, ge=0)
    average_decay: float = Field(0.995, ge=0, lt=1)
    image_weight: float = Field(0.5, ge=0)
    label_smoothing: float = Field(0.05, ge=0, lt=1)
    modality_dropout: float = Field(0.1, ge=0, lt=1)
    distractors: float = Field(0.2, ge=0, le=1)
    teachers: list[Path] = Field(default_factory=list)
    taught: float = Field(0.7, gt=0, le=1)
    trees: TreesTraining | None = None
    calibration_share: float = Field(0.33, gt=0, lt=1)
    conformal_share: float = Field(0.33, ge=0, lt=1)
    seed: int = 0

    @model_validator(mode="after")
    def _trees_can_be(self) -> Self:
        if self.trees is not None and self.relation_encoder is None:
            raise ValueError("trees read what a text relation encoder says, and there is none")
        if self.trees is not None and "comparisons" in self.head.without:
            raise ValueError("trees read the comparisons that the head is to do without")
        return self

    @model_validator(mode="after")
    def _rows_to_stop_by(self) -> Self:
        if self.calibration_share + self.conformal_share >= 1:
            raise ValueError(
                "calibration_share and conformal_share leave no validation rows for early stopping"
            )
        return self


class TextRelationTraining(Settings):
    """A training run of the text relation encoder (`training.text_relation`).

    Attributes:
        text: Files of text pairs, relative to the data folder (`datasets.read_text_relations`).
        development: Files of text pairs that the finished encoder is scored on, likewise.
        shares: How the texts are divided (`datasets.text_splits.split_texts`): `relation` is what
            is trained on, the others are named so that no text of theirs is in it.
        sources: The text sources by a name of one's own; rows of other sources are left out.
        held_out: Names of sources that are not trained on but scored on in the end.
        text_encoder: What the encoder starts from: `embedded`, a folder, or a
            sentence-transformers model of the hub.
        passages: How documents are cut.
        selector: Text encoder by which passages are compared with the claim; the one that is
            trained, as it is before, without it.
        passages_read: Passages of a document that are read in training, those most like the claim;
            0 reads the document as one text, cut where the network's window ends.
        max_tokens: Longest sequence of claim and passage.
        layers: Layers of the text encoder that are used, from the lowest; all without a number.
        dropout: Within these layers.
        initial: Folder of a text relation encoder on the same text encoder that training starts
            from, relative to the working directory; fresh readouts without one.
        teacher: Folder of a text relation encoder, relative to the working directory, whose
            probabilities are learnt besides the relations (arXiv:1503.02531).
        taught: The teacher's share in the loss.
        unlabelled: Rows that are added to an epoch, as a part of it, each a claim beside another
            claim or a passage like it; only the teacher says what they are.
        rows: Rows of an epoch, drawn anew for each; fewer where the sources have no more.
        balanced: Whether the relations of each source are equally frequent, as far as it has them.
        made_insufficient: Whether claims beside similar evidence of other claims are added where a
            source lacks open ones.
        most_overlap: As in `ComposeSettings`.
        made_false: Whether claims with a detail changed (`datasets.claim_edits`) are added where a
            source lacks refuted ones.
        edited: Part of the supported rows of every source that are changed besides.
        unrelated: Rows that are added to an epoch, as a part of it, each a claim beside evidence of
            another subject; they are open.
        negated: Rows that are added to an epoch, as a part of it, each with its claim negated: half
            supported before and refuted then, half open and still open.
        padded: Part of the rows whose evidence is set among other texts of its source, where it is
            no document by itself.
        debias: Weight of the claim-only expert in the product of experts (arXiv:1909.03683,
            section 3.2), which takes the blame for what a claim alone gives away; 0 leaves it out.
        epochs: How often rows are drawn.
        batch_size: Rows a batch.
        chunk: Rows that pass through the network at once; the gradient is that of the batch.
        learning_rate: Of AdamW, at its highest.
        warmup: Part of the run until it is reached; it falls linearly from there.
        weight_decay: Of AdamW, on matrices.
        label_smoothing: Of the loss.
        bfloat16: Whether the forward pass runs in bfloat16 where the processor has it.
        gradient_checkpointing: Whether only each layer's input is kept and the rest computed again.
        checkpoint_every: Steps between checkpoints.
        score_at_most: Rows of a held-out source that are scored, drawn by the seed; all without.
        seed: Of everything random.
    """

    kind: Literal["text-relation"]
    text: list[Path] = Field(min_length=1)
    development: list[Path] = Field(default_factory=list)
    shares: dict[str, Share] = Field(default_factory=lambda: {"relation": (0.0, 1.0)})
    sources: dict[str, TextSource] = Field(min_length=1)
    held_out: list[str] = Field(default_factory=list)
    text_encoder: str = "embedded"
    selector: str | None = None
    passages: PassageSettings = PassageSettings()
    passages_read: int = Field(3, ge=0, le=64)
    max_tokens: int = Field(224, ge=16, le=8192)
    layers: int | None = Field(None, ge=1)
    dropout: float = Field(0.0, ge=0, lt=1)
    initial: Path | None = None
    teacher: Path | None = None
    taught: float = Field(0.7, gt=0, le=1)
    unlabelled: float = Field(0.0, ge=0)
    rows: int = Field(40_000, ge=1)
    balanced: bool = True
    made_insufficient: bool = True
    most_overlap: Probability = 0.75
    made_false: bool = True
    edited: Probability = 0.0
    unrelated: Probability = 0.0
    negated: Probability = 0.0
    padded: Probability = 0.0
    debias: float = Field(0.0, ge=0)
    epochs: int = Field(1, ge=1)
    batch_size: int = Field(32, ge=1)
    chunk: int = Field(8, ge=1)
    learning_rate: float = Field(2e-4, gt=0)
    warmup: float = Field(0.06, gt=0, lt=1)
    weight_decay: float = Field(0.01, ge=0)
    label_smoothing: float = Field(0.0, ge=0, lt=1)
    bfloat16: bool = True
    gradient_checkpointing: bool = False
    checkpoint_every: int = Field(100, ge=1)
    score_at_most: int | None = Field(None, ge=1)
    seed: int = 0

    @model_validator(mode="after")
    def _known_sources(self) -> Self:
        if "relation" not in self.shares:
            raise ValueError("shares names no 'relation', which is what is trained on")
        strays = sorted(set(self.held_out) - set(self.sources))
        if strays:
            raise ValueError(f"{strays[0]} is held out but no source")
        if set(self.held_out) == set(self.sources):
            raise ValueError("all sources are held out, and none is left to train on")
        if self.unlabelled and self.teacher is None:
            raise ValueError("unlabelled rows need a teacher to say what they are")
        return self


class ClaimSource(Settings):
    """A source of claims with evidence to be found (`training.query`).

    Attributes:
        members: Names in the rows' `source`.
        claims: Claims of an epoch, drawn anew for each; fewer where the source has no more.
    """

    members: list[str] = Field(min_length=1)
    claims: int = Field(ge=1)


class EvidenceSource(ClaimSource):
    """A source of claims with evidence to be told from other passages (`training.relevance`).

    Attributes:
        passages: Passages read beside a claim.
    """

    passages: int = Field(ge=2)


class SearchTraining(Settings):
    """What trainings for a search have in common (`training.claim_sources`).

    Attributes:
        text: Files of text pairs, relative to the data folder (`datasets.read_text_relations`).
        shares: How the texts are divided (`datasets.text_splits.split_texts`).
        loose: Sources that pair unrelated texts, for the same.
        trained_on: Splits whose claims are searched for in training.
        sources: The sources by a name of one's own; rows of others are left out.
        layers: Upper layers of an encoder that are copied and trained.
        dropout: Within these layers, and of a readout.
        batch_size: Claims a batch.
        chunk: Claims that pass through the network at once; the gradient is that of the batch.
        learning_rate: Of AdamW, at its highest.
        warmup: Part of the run until it is reached; it falls linearly from there.
        weight_decay: Of AdamW, on matrices.
        checkpoint_every: Steps between checkpoints.
        seed: Of everything random.
    """

    text: list[Path] = Field(min_length=1)
    shares: dict[str, Share] = Field(min_length=1)
    loose: list[str] = Field(default_factory=list)
    trained_on: list[str] = Field(min_length=1)
    sources: Mapping[str, ClaimSource] = Field(min_length=1)
    layers: int = Field(2, ge=1)
    dropout: float = Field(0.1, ge=0, lt=1)
    batch_size: int = Field(16, ge=1)
    chunk: int = Field(16, ge=1)
    learning_rate: float = Field(1e-4, gt=0)
    warmup: float = Field(0.06, gt=0, lt=1)
    weight_decay: float = Field(0.01, ge=0)
    checkpoint_every: int = Field(100, ge=1)
    seed: int = 0

    def require_apart(self, split: str, use: str) -> None:
        """Make sure that splits are known, and that one is not trained on.

        Raises:
            ValueError: They are not, or it is.
        """
        for own in (*self.trained_on, split):
            if own not in self.shares:
                raise ValueError(f"shares names no {own!r}")
        if split in self.trained_on:
            raise ValueError(f"{split!r} is trained on and {use}")


class QueryTraining(SearchTraining):
    """A training run of what a search asks with (`training.query`).

    Attributes:
        text_encoder: What it stands on, and what the passages are encoded by: `embedded`, a folder,
            or the id of a sentence-transformers model on the hub.
        scored_on: The split whose claims it is scored on.
        scale: Cosines are multiplied by it before the softmax.
        epochs: How often claims are drawn.
    """

    kind: Literal["query"]
    text_encoder: str = "embedded"
    scored_on: str
    scale: float = Field(20.0, gt=0)
    epochs: int = Field(1, ge=1)
    batch_size: int = Field(32, ge=1)
    chunk: int = Field(32, ge=1)
    learning_rate: float = Field(2e-4, gt=0)
    warmup: float = Field(0.1, gt=0, lt=1)
    checkpoint_every: int = Field(50, ge=1)

    @model_validator(mode="after")
    def _known_shares(self) -> Self:
        self.require_apart(self.scored_on, "scored on")
        return self


class RelevanceTraining(SearchTraining):
    """A training run of what tells relevance (`training.relevance`).

    Attributes:
        relation_encoder: The text relation encoder that it stands on: `embedded`, or a folder.
        text_encoder: What the search is made with: `embedded`, a folder, or the id of a
            sentence-transformers model on the hub.
        weighed_on: The split whose claims the weights of reranking are fitted on.
        weighed_claims: So many of them of each source.
        held: Part of the claims that are asked about whose evidence an index is taken to hold
            (`training.reranking.fit_bearing`).
        depth: Passages that a search finds for a claim, of which those beside it are drawn.
        epochs: How often claims are drawn.
        bfloat16: Whether the forward pass runs in bfloat16 where the processor has it.
    """

    kind: Literal["relevance"]
    relation_encoder: str = "embedded"
    text_encoder: str = "embedded"
    weighed_on: str
    weighed_claims: int = Field(250, ge=2)
    held: float = Field(0.8, gt=0, lt=1)
    sources: Mapping[str, EvidenceSource] = Field(min_length=1)
    depth: int = Field(60, ge=2, le=1000)
    epochs: int = Field(2, ge=1)
    bfloat16: bool = True

    @model_validator(mode="after")
    def _known_shares(self) -> Self:
        self.require_apart(self.weighed_on, "weighed on")
        return self


class ImageRelationTraining(Settings):
    """A training run of an image encoder on a data set's pairs of pictures.

    See `training.image_relation`.

    Attributes:
        image_encoder: What it starts from: `embedded`, a folder, or a Twins-SVT of timm with its
            pretrained tag.
        side: Side of the square input, pixels; that of the encoder without it.
        edited: Probability that a picture is lightly edited before it is seen
            (`datasets.photo_edits`).
        epochs: Passes over the pairs.
        batch_size: Pairs a batch.
        chunk: Pairs that pass through the network at once; the gradient is that of the batch.
        learning_rate: Of AdamW, at its highest.
        warmup: Part of the run until it is reached; it falls linearly from there.
        weight_decay: Of AdamW, on matrices.
        bfloat16: Whether the forward pass runs in bfloat16 where the processor has it.
        gradient_checkpointing: Whether only each block's input is kept and the rest computed again.
        workers: Threads that decode and edit pictures.
        checkpoint_every: Steps between checkpoints.
        seed: Of everything random.
    """

    kind: Literal["image-relation"]
    image_encoder: str = "embedded"
    side: int | None = Field(None, ge=32, le=2048)
    edited: Probability = 0.5
    epochs: int = Field(3, ge=1)
    batch_size: int = Field(64, ge=1)
    chunk: int = Field(32, ge=1)
    learning_rate: float = Field(5e-5, gt=0)
    warmup: float = Field(0.06, gt=0, lt=1)
    weight_decay: float = Field(0.05, ge=0)
    bfloat16: bool = True
    gradient_checkpointing: bool = False
    workers: int = Field(2, ge=1)
    checkpoint_every: int = Field(100, ge=1)
    seed: int = 0


class StagedTraining(Settings):
    """The encoders and the head, all trained on one data set (`training.staged`).

    Attributes:
        text_relation: The first stage, with files of texts that are relative to the data folder.
        image_relation: The second stage.
        fusion: The third stage; its image encoder and its text relation encoder are those that the
            first two made, whatever it says.
    """

    kind: Literal["staged"]
    text_relation: TextRelationTraining
    image_relation: ImageRelationTraining
    fusion: FusionTraining


Training = (
    ImageEncoderTraining
    | CopyReadoutTraining
    | FusionTraining
    | TextRelationTraining
    | QueryTraining
    | RelevanceTraining
    | ImageRelationTraining
    | StagedTraining
)
"""What can be trained."""

TrainingSettings = Annotated[Training, Field(discriminator="kind")]
"""The same, told apart by `kind`."""
