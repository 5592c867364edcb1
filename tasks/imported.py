"""Gradients that the LESS scripts projected, taken as features of this project."""

from functools import lru_cache

import pyarrow.compute as pc
import torch
from torch import Tensor

from less_core.data.encoding import EncodedExample
from less_core.errors import ConfigError, DataError
from less_core.features.requirements import checkpoint_numbers
from less_core.features.rows import NO_LABEL, NONFINITE, OK, Features
from less_core.files.fingerprint import fingerprint
from less_core.method.influence import checkpoint_weights
from less_core.refs import CheckpointRef, CheckpointsRef, ExamplesRef, FeatureWork, InputsRef, PreparedRef, Side
from less_core.settings.select import SelectSettings
from less_core.storage.formats.examples import iterate_run_index, read_run_index
from less_core.storage.formats.less_scripts import gradients_digest, has_norms, read_gradients
from tasks.stage_task import stage_task


@stage_task("import gradients")
def import_gradients(settings: SelectSettings, inputs: InputsRef, prepared: PreparedRef) -> CheckpointsRef:
    """Take the checkpoints that the files are of; a fingerprint holds what all of them say and which rows they are of.

    Raises:
        ConfigError: A checkpoint is asked for that is not named, or a score for norms that are not there.
        DataError: A file has another number of rows than its pool or target.
    """
    imported = settings.imported
    numbers = checkpoint_numbers(settings, len(imported.checkpoints))
    rates = [imported.learning_rates[number - 1] for number in numbers]
    weights = checkpoint_weights(rates, uniform=settings.influence.weights == "uniform")
    rows = _rows_of(prepared.pool) | _rows_of(prepared.target)
    refs = []
    for number, rate, weight in zip(numbers, rates, weights, strict=True):
        step = imported.checkpoints[number - 1]
        paths = {(side, name): gradients_path(settings, side, name, step) for side, name in rows}
        for key, path in paths.items():
            _check(settings, path, *key, rows[key])
        of = {"pool": inputs.pools, "target": inputs.targets}
        content = {f"{side} {name}": [of[side][name], gradients_digest(path)] for (side, name), path in paths.items()}
        refs.append(
            CheckpointRef(
                name=f"ckpt{step}",
                number=number,
                of=len(imported.checkpoints),
                folder="",
                fingerprint=fingerprint(content),
                step=step,
                learning_rate=rate,
                weight=weight,
                epsilon_share=0.0,
            )
        )
    return CheckpointsRef(checkpoints=refs, computed=0, warmup=None, how="made by the LESS scripts, whose projected gradients are taken")


def gradients_path(settings: SelectSettings, side: Side, name: str, step: int) -> str:
    """Return where the gradients of a pool or target at a checkpoint are."""
    pattern = settings.imported.pool if side == "pool" else settings.imported.target
    return pattern.replace("{name}", name).replace("{checkpoint}", str(step))


def imported_features(settings: SelectSettings, examples: ExamplesRef, work: FeatureWork, encoded: list[EncodedExample]) -> Features:
    """Return the features of some of a shard's examples: row i of a file is of row i of its pool or target. Losses are not known."""
    places: dict[str, tuple[str, int]] = {}
    for row in read_run_index(examples.path, work.shard - 1).select(["example_id", "pool", "index"]).to_pylist():
        places.setdefault(row["example_id"], (row["pool"], row["index"]))
    found = []
    for name, number in (places[e.example_id] for e in encoded):
        gradients = _gradients(gradients_path(settings, work.side, name, work.checkpoint.step), work.checkpoint.fingerprint)
        found.append(gradients[number].float())
    rows = torch.stack(found)
    norms = rows.norm(dim=1)
    finite = torch.isfinite(norms)
    usable = finite & torch.tensor([e.num_label_tokens > 0 for e in encoded])
    features = torch.nn.functional.normalize(rows, dim=1)
    features[~usable] = 0
    return Features(
        example_ids=[e.example_id for e in encoded],
        features=features,
        norms=norms,
        losses=torch.full((len(encoded),), torch.nan),
        num_tokens=[len(e.input_ids) for e in encoded],
        num_label_tokens=[e.num_label_tokens for e in encoded],
        status=[NO_LABEL if not e.num_label_tokens else OK if ok else NONFINITE for e, ok in zip(encoded, finite.tolist(), strict=True)],
    )


@lru_cache(maxsize=8)
def _gradients(path: str, fingerprint: str) -> Tensor:
    """Keep files open between shards; a fingerprint tells files apart that came to stand in one another's place."""
    return read_gradients(path)


def _rows_of(examples: ExamplesRef) -> dict[tuple[Side, str], int]:
    """Return how many rows each pool or target has."""
    if examples.pools:
        return {("pool", pool.name): pool.rows for pool in examples.pools}
    counts: dict[tuple[Side, str], int] = {}
    for index in iterate_run_index(examples.path):
        for count in pc.value_counts(index["pool"]).to_pylist():
            key: tuple[Side, str] = ("target", count["values"])
            counts[key] = counts.get(key, 0) + count["counts"]
    return counts


def _check(settings: SelectSettings, path: str, side: Side, name: str, rows: int) -> None:
    found = len(read_gradients(path))
    if found != rows:
        do = "Name the file that the gradients were taken of, whole and in its order."
        raise DataError(path, f"a gradient for each of the {rows} rows of {side} {name}", str(found), do)
    if (settings.features.fidelity == "paper" or settings.influence.similarity == "dot") and not has_norms(path):
        do = "Keep all_unormalized.pt or the pieces, or use fidelity: less-code and similarity: cosine."
        raise ConfigError(path, "gradients as long as they were", "rows of norm 1 alone", do)
