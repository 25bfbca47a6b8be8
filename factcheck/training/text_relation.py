"""Training the text relation encoder: what a passage says of a claim, on sources never seen.

Being right on the sources one trains on is easy and worth little: what their claims look like gives
much away. Four things are done about it, each a setting: relations balanced within each source,
open pairs with similar evidence, claims with one detail changed (`datasets.relation_pairs`), and a
claim-only expert in a product of experts (arXiv:1909.03683, section 3.2), which answers for what
can be told without reading the evidence, so that the network need not.

Besides, a larger encoder may be its teacher (`distillation`), also of pairs that have no label.

A row is a document: its passages most like the claim are read one by one, and the loss is that of
the document's relation (`encoders.relation.document_logits`).
"""

import json
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from factcheck.datasets.relation_pairs import RelationPools, draw_epoch, pad, relation_pools
from factcheck.datasets.text_relations import TextRelationRow, read_text_relations
from factcheck.encoders.precision import has_bfloat16
from factcheck.encoders.relation import (
    RelationConfig,
    RelationEncoder,
    RelationNetwork,
    build_relation_network,
    document_logits,
    load_relation_weights,
    require_positions,
    save_relation_encoder,
    tokenise,
)
from factcheck.encoders.text import TextEncoder
from factcheck.errors import InvalidInputError
from factcheck.records import TEXT_RELATIONS
from factcheck.settings import Precision
from factcheck.training.distillation import document_probabilities, teacher_probabilities
from factcheck.training.inputs import inputs_of
from factcheck.training.loop import (
    Batch,
    OnProgress,
    begin_run,
    counter,
    fit_in_steps,
    shuffled_batches,
    start_accelerator,
    write_metrics,
)
from factcheck.training.relation_examples import UNKNOWN, ExampleReader, RelationExample
from factcheck.training_settings import TextRelationTraining

if TYPE_CHECKING:
    from accelerate import Accelerator
    from transformers import PreTrainedTokenizerBase


def train_text_relation(
    settings: TextRelationTraining,
    data: Path,
    out: Path,
    on_progress: OnProgress | None = None,
) -> dict[str, Any]:
    """Fit a text relation encoder; go on from a checkpoint in `out`.

    Args:
        settings: What to train.
        data: The folder that the settings' files are named relative to.
        out: Run folder: `settings.json`, `checkpoint.pt`, `log.csv`, `metrics.json` and `encoder/`,
            as `RelationEncoder.load` reads it.
        on_progress: Called with a stage, steps done, steps in all (0 if unknown) and figures to
            show.

    Returns:
        The metrics: rows of each source and relation in the first epoch, and `relation_scores` on
        the development files (`development_...`) and on the sources held out (`held_out_...`).

    Raises:
        UsageError: `out` holds a checkpoint of a run with other settings or on other data.
        FactcheckError: The data are missing or unfit.
    """
    report = on_progress or (lambda stage, done, total, values: None)
    accelerator = start_accelerator()
    begin_run(settings, inputs_of(settings, data), out, accelerator)
    torch.manual_seed(settings.seed)
    rows = read_text_relations([data / path for path in settings.text])
    pools = relation_pools(settings, rows)
    epochs = [draw_epoch(settings, pools, epoch) for epoch in range(settings.epochs)]
    if not epochs[0]:
        raise InvalidInputError(
            f"{', '.join(str(data / path) for path in settings.text)}: no rows of the sources named"
        )
    # What it will be scored on is to be there before the work begins.
    scored = _to_score(settings, data, rows)
    # A folder that holds no teacher is to be named before the work begins.
    teacher = None if settings.teacher is None else RelationEncoder.load(str(settings.teacher))
    text = TextEncoder.load(settings.text_encoder)
    network, tokenizer = build_relation_network(text, settings.layers, settings.dropout)
    require_positions(network, settings.max_tokens, "max_tokens")
    if settings.initial is not None:
        load_relation_weights(network, settings.initial)
    if settings.gradient_checkpointing:
        network.body.activation_checkpointing_enable()
    network.to(accelerator.device)
    if accelerator.device.type == "cpu":
        # Backwards, PyTorch's fused attention for processors takes half of a training step.
        network.body.set_attn_implementation("eager")
    selector = text if settings.selector is None else TextEncoder.load(settings.selector)
    selector.model.to(accelerator.device)
    reader = ExampleReader(settings, selector)
    examples = [reader.read(epoch, counter(report, "select passages")) for epoch in epochs]
    expert = _claim_only_expert(epochs, settings)
    taught = None
    if teacher is not None:
        unlabelled = _add_unlabelled(examples, expert, reader, pools, settings, report)
        taught = _ask_teacher(teacher, examples, settings, out, accelerator, report)
    _fit(network, tokenizer, examples, expert, taught, settings, out, accelerator, report)
    if accelerator.is_main_process:
        network.cpu().eval()
        config = RelationConfig(
            base=settings.text_encoder,
            base_sha256=text.sha256,
            max_tokens=settings.max_tokens,
            layers=settings.layers,
        )
        save_relation_encoder(out / "encoder", config, network)
        # What is scored is what was written.
        written = RelationEncoder.load(str(out / "encoder"), text)
        written.network.to(accelerator.device)
        precision: Precision = "auto" if settings.bfloat16 else "float32"
        metrics: dict[str, Any] = {"rows": _counts(settings, epochs[0])}
        if taught is not None:
            metrics["unlabelled"] = unlabelled
        for name, wanted in scored.items():
            read = reader.read(wanted)
            progress = counter(report, f"score {name}")
            predicted = document_probabilities(written, read, precision, progress)
            scores = relation_scores(wanted, predicted)
            metrics |= {f"{name}_{figure}": value for figure, value in scores.items()}
        write_metrics(out, metrics)
    accelerator.wait_for_everyone()
    found: dict[str, Any] = json.loads((out / "metrics.json").read_text())
    return found


def relation_scores(rows: Sequence[TextRelationRow], predicted: np.ndarray) -> dict[str, Any]:
    """Macro F1 over the relations that a source has, of each source and in the mean.

    Args:
        rows: N rows.
        predicted: (N, 3) probabilities of support, insufficient, refute.

    Returns:
        `macro_f1` over all rows; `accuracy`; `by_source` with `rows`, `macro_f1`, and the shares of
        rows that are given each relation; `mean_macro_f1` over the sources.
    """
    from sklearn.metrics import accuracy_score, f1_score

    truth = np.array([TEXT_RELATIONS.index(row.relation) for row in rows])
    given = predicted.argmax(axis=1)
    sources = np.array([row.source for row in rows])

    def macro(chosen: np.ndarray) -> float:
        present = np.unique(truth[chosen])
        return float(
            f1_score(truth[chosen], given[chosen], labels=present, average="macro", zero_division=0)
        )

    by_source = {}
    for source in sorted(set(sources.tolist())):
        chosen = sources == source
        by_source[source] = {
            "rows": int(chosen.sum()),
            "macro_f1": macro(chosen),
            **{
                f"given_{relation}": float((given[chosen] == place).mean())
                for place, relation in enumerate(TEXT_RELATIONS)
            },
        }
    return {
        "macro_f1": macro(np.ones(len(rows), dtype=bool)),
        "accuracy": float(accuracy_score(truth, given)),
        "mean_macro_f1": float(np.mean([scores["macro_f1"] for scores in by_source.values()])),
        "by_source": by_source,
    }


def _claim_only_expert(
    epochs: Sequence[Sequence[TextRelationRow]], settings: TextRelationTraining
) -> list[np.ndarray] | None:
    """Log-probabilities (N, 3) of each epoch's relations from the claim alone, out of fold.

    Raises:
        InvalidInputError: There are too few claims to fit it on, or all have one relation.
    """
    if not settings.debias:
        return None
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GroupKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline

    experts = []
    for rows in epochs:
        model = make_pipeline(
            TfidfVectorizer(ngram_range=(1, 2), min_df=3, sublinear_tf=True),
            # Ten times as fast as the default solver run to its end, at the same likelihood.
            LogisticRegression(
                C=2.0, solver="saga", tol=1e-2, max_iter=50, random_state=settings.seed
            ),
        )
        truth = np.array([TEXT_RELATIONS.index(row.relation) for row in rows])
        claims = [row.claim for row in rows]
        # One claim is in one fold: it has rows of several relations.
        folds = GroupKFold(5, shuffle=True, random_state=settings.seed)
        try:
            found = cross_val_predict(
                model, claims, truth, cv=folds, groups=claims, method="predict_proba"
            )
        except ValueError as error:
            raise InvalidInputError(
                f"debias: no claim-only expert can be fitted on {len(claims)} rows of "
                f"{len(set(claims))} claims and {len(set(truth.tolist()))} relations "
                f"({str(error).splitlines()[0].rstrip('.')})"
            ) from error
        # It has a column for each relation that there is, which need not be all three.
        probabilities = np.zeros((len(claims), len(TEXT_RELATIONS)))
        probabilities[:, np.unique(truth)] = found
        experts.append(np.log(np.maximum(probabilities, 1e-3)).astype(np.float32))
    return experts


def _add_unlabelled(
    epochs: Sequence[list[RelationExample]],
    expert: list[np.ndarray] | None,
    reader: ExampleReader,
    pools: RelationPools,
    settings: TextRelationTraining,
    report: OnProgress,
) -> list[int]:
    """Add examples that only the teacher judges to each epoch, in place.

    Returns:
        How many there are, by epoch.
    """
    rows = [
        row
        for pool in pools.rows.values()
        for relation_rows in pool.values()
        for row in relation_rows
    ]
    counts = []
    for epoch, examples in enumerate(epochs):
        rng = Random(f"{settings.seed}/padded/{epoch}")
        added = reader.pair_with_neighbours(
            pad(rows, settings.padded, rng),
            round(settings.unlabelled * len(examples)),
            f"{settings.seed}/unlabelled/{epoch}",
            counter(report, "find neighbours"),
        )
        counts.append(len(added))
        examples += added
        if expert is not None:
            # They have no label, so the loss of labels, which is the expert's, leaves them out.
            nothing = np.zeros((len(added), len(TEXT_RELATIONS)), dtype=np.float32)
            expert[epoch] = np.concatenate([expert[epoch], nothing])
    return counts


def _ask_teacher(
    teacher: RelationEncoder,
    epochs: Sequence[Sequence[RelationExample]],
    settings: TextRelationTraining,
    out: Path,
    accelerator: "Accelerator",
    report: OnProgress,
) -> list[np.ndarray]:
    """The teacher's probabilities (N, 3) of each epoch's examples; one process asks it."""
    teacher.network.to(accelerator.device)
    precision: Precision = "auto" if settings.bfloat16 else "float32"

    def answers() -> list[np.ndarray]:
        progress = counter(report, "ask the teacher")
        return [teacher_probabilities(teacher, epoch, out, precision, progress) for epoch in epochs]

    if accelerator.is_main_process:
        answers()
    accelerator.wait_for_everyone()
    return answers()


def _fit(
    network: RelationNetwork,
    tokenizer: "PreTrainedTokenizerBase",
    epochs: Sequence[Sequence[RelationExample]],
    expert: Sequence[np.ndarray] | None,
    taught: Sequence[np.ndarray] | None,
    settings: TextRelationTraining,
    out: Path,
    accelerator: "Accelerator",
    report: OnProgress,
) -> None:
    device = accelerator.device
    bfloat16 = settings.bfloat16 and has_bfloat16(device)

    def chunks(batch: Batch) -> list[list[int]]:
        """Parts of like lengths: the batch stays a mixture of sources, with little padding."""
        order = sorted(batch.rows, key=lambda row: _length(epochs[batch.epoch][row]))
        return [order[i : i + settings.chunk] for i in range(0, len(order), settings.chunk)]

    def loss(model: nn.Module, epoch: int, rows: list[int]) -> Tensor:
        chosen = [epochs[epoch][row] for row in rows]
        with torch.autocast(device.type, torch.bfloat16, enabled=bfloat16):
            logits = _document_logits(model, tokenizer, chosen, settings.max_tokens)
        logits = logits.float()
        truth = torch.tensor([example.relation for example in chosen], device=device)
        told = logits
        if expert is not None:
            known = torch.from_numpy(expert[epoch][rows]).to(device)
            told = logits + settings.debias * known
        of_labels = F.cross_entropy(
            told,
            truth,
            ignore_index=UNKNOWN,
            label_smoothing=settings.label_smoothing,
            reduction="sum",
        )
        if taught is None:
            return of_labels
        # The teacher has had the claim-only expert beside it already.
        answers = torch.from_numpy(taught[epoch][rows]).to(device)
        of_teacher = F.cross_entropy(logits, answers, reduction="sum")
        return (1 - settings.taught) * of_labels + settings.taught * of_teacher

    network.train()
    network.embeddings.eval()
    batches = shuffled_batches(map(len, epochs), settings.batch_size, settings.seed)
    fit_in_steps(network, batches, chunks, loss, settings, out, accelerator, report)


def _length(example: RelationExample) -> int:
    return len(example.passages) * len(example.claim) + sum(map(len, example.passages))


def _document_logits(
    network: nn.Module,
    tokenizer: "PreTrainedTokenizerBase",
    examples: Sequence[RelationExample],
    max_tokens: int,
) -> Tensor:
    """(B, 3) relation logits of documents, each passage read once."""
    pairs = [(example.claim, passage) for example in examples for passage in example.passages]
    device = next(network.parameters()).device
    tokens = tokenise(tokenizer, pairs, max_tokens)
    _, logits, salience = network({name: tensor.to(device) for name, tensor in tokens.items()})
    counts = torch.tensor([len(example.passages) for example in examples], device=device)
    width = int(counts.max())
    present = torch.arange(width, device=device) < counts[:, None]
    spread_logits = logits.new_zeros(len(examples), width, logits.shape[-1])
    spread_logits[present] = logits
    spread_salience = salience.new_zeros(len(examples), width)
    spread_salience[present] = salience
    return document_logits(spread_logits, spread_salience, present)


def _to_score(
    settings: TextRelationTraining, data: Path, rows: Sequence[TextRelationRow]
) -> dict[str, list[TextRelationRow]]:
    """What the finished encoder is scored on, by name.

    Raises:
        FactcheckError: It is not there or cannot be read.
    """
    scored: dict[str, list[TextRelationRow]] = {}
    if settings.development:
        scored["development"] = read_text_relations([data / path for path in settings.development])
    out = {member for name in settings.held_out for member in settings.sources[name].members}
    if out:
        left = [row for row in rows if row.source in out]
        if not left:
            raise InvalidInputError(
                f"held_out: no rows of {', '.join(settings.held_out)} to be scored on"
            )
        count = min(len(left), settings.score_at_most or len(left))
        scored["held_out"] = Random(settings.seed).sample(left, count)
    return scored


def _counts(
    settings: TextRelationTraining, rows: Sequence[TextRelationRow]
) -> dict[str, dict[str, int]]:
    name_of = {m: name for name, source in settings.sources.items() for m in source.members}
    counts: dict[str, dict[str, int]] = {}
    for row in rows:
        own = counts.setdefault(name_of[row.source], {str(r): 0 for r in TEXT_RELATIONS})
        own[str(row.relation)] += 1
    return counts
