"""The warmup: its checkpoints from the store, from a training, or from elsewhere."""

import gc
import logging
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import torch
from peft import PeftModel

from less_core.data.encoding import EncodedExample
from less_core.data.index import draw_warmup
from less_core.errors import DataError, NonFiniteGradientError
from less_core.features.requirements import checkpoint_numbers
from less_core.files.file_systems import writing
from less_core.files.locks import lock
from less_core.files.parquet import read_columns
from less_core.files.whole import exists, read_json, size_of, size_of_folder, write_json
from less_core.method.adam import epsilon_share
from less_core.method.influence import checkpoint_weights
from less_core.model.adapter import adapter_config, adapter_tensors, check_match, randomise_adapter
from less_core.model.checkpoint import AdamState, Checkpoint
from less_core.model.foreign_checkpoints import BETAS, import_checkpoint
from less_core.model.loading import add_lora, load_base_model
from less_core.model.warmup import train_warmup
from less_core.refs import CheckpointRef, CheckpointsRef, ExamplesRef, ModelRef, WarmupRef
from less_core.settings.select import RewarmSettings, SelectSettings
from less_core.storage.addresses import imported_address, untrained_address, warmup_address
from less_core.storage.formats.checkpoints import checkpoint_fingerprint, is_checkpoint, is_whole, read_checkpoint, write_checkpoint
from less_core.storage.formats.examples import iterate_run_index, read_example_shard
from less_core.storage.layout import Store, Version, run_of, store_of, trainer_folder
from less_core.storage.provenance import read_last, warmup_needs
from tasks.runtime import RUNTIME
from tasks.stage_task import done_as, stage_task
from tasks.work import WORK

logger = logging.getLogger(__name__)


@stage_task("warmup")
def warm_up(settings: SelectSettings, version: Version, model: ModelRef, examples: ExamplesRef, why: str) -> CheckpointsRef:
    """Train the warmup on a part of the pool drawn by content, or go on with it, unless the store has its checkpoints."""
    store = store_of(settings)
    chosen = _draw(settings, examples)
    address = warmup_address(model, settings.warmup, chosen["example_id"].to_pylist())
    warmup = _warmup(settings, version, model, examples, [])
    with lock(str(trainer_folder(store.warmup(address))), WORK.go_on):  # of two runs at once one trains, the other waits and finds
        folders, computed, written = _train(settings, store, model, chosen, address)
    how = f"trained on {chosen.num_rows:,} examples of the pool" if computed else "found in the store, trained on the same examples before"
    ref = _refs(settings, folders, warmup, f"{how}; {why}", computed=computed, written=written)
    return ref if computed else done_as("Cached", ref, "the store has the checkpoints")


def _train(settings: SelectSettings, store: Store, model: ModelRef, chosen: pa.Table, address: str) -> tuple[list[str], int, int]:
    """Return the folders of the checkpoints, how many of them were made now, and the bytes of those."""
    record = store.warmup_record(address)
    if exists(record):
        folders = [store.checkpoint(address, step) for step in read_json(record, made_by="the warmup")["steps"]]
        if all(is_whole(folder) for folder in folders):
            return folders, 0, 0
        logger.warning("warmup %s has lost a checkpoint; it is trained again", address)
    encoded = _read_encoded(store, model, chosen)
    steps: list[int] = []

    def keep(epoch: int, checkpoint: Checkpoint) -> None:
        if not all(bool(tensor.isfinite().all()) for tensor in checkpoint.adapter.values()):
            do = "Lower warmup.learning_rate; if that does not help, an example drawn for the warmup has a gradient without a bound."
            raise NonFiniteGradientError(f"warmup, epoch {epoch}", "finite weights", "some that are infinite or no number", do)
        write_checkpoint(store.checkpoint(address, checkpoint.step), checkpoint)
        steps.append(checkpoint.step)
        logger.info(
            "warmup epoch %d of %d: step %d, mean learning rate %.2e",
            epoch,
            settings.warmup.epochs,
            checkpoint.step,
            checkpoint.learning_rate,
        )

    work = trainer_folder(store.warmup(address))

    def train() -> int:
        lora_model = _new_model(model, settings.warmup.seed)
        with writing(str(work)):
            return train_warmup(lora_model, encoded, settings.warmup, work, keep, lambda examples: WORK.advance(examples, 0))

    total = RUNTIME.compute(train)
    gc.collect()  # a trainer and its model hold each other, and the interpreter looks for such cycles by their number, not by their size
    every = total // settings.warmup.epochs
    folders = [store.checkpoint(address, every * epoch) for epoch in range(1, settings.warmup.epochs + 1)]
    write_json(record, {"steps": [every * epoch for epoch in range(1, settings.warmup.epochs + 1)], "examples": len(encoded)})
    shutil.rmtree(work, ignore_errors=True)
    written = size_of(record) + sum(size_of_folder(store.checkpoint(address, step)) for step in steps)
    return folders, max(1, len(steps)), written  # all of them may have been made by a run that was stopped before its record


@stage_task("keep the warmup")
def keep_checkpoints(settings: SelectSettings, warmup: WarmupRef, how: str) -> CheckpointsRef:
    """Take the checkpoints of the version before, verified."""
    return done_as("Cached", _refs(settings, warmup.folders, warmup, how, computed=0), how)


@stage_task("draw an adapter")
def draw_adapter(settings: SelectSettings, version: Version, model: ModelRef, examples: ExamplesRef) -> CheckpointsRef:
    """Make the one checkpoint of an adapter that is not trained: Adam has no moments, its update is that of a first step."""
    lora_model = _new_model(model, settings.warmup.seed)
    if settings.warmup.kind == "random":
        randomise_adapter(lora_model, settings.warmup.seed)
    adapter = adapter_tensors(lora_model)
    moments = [{name: torch.zeros_like(tensor) for name, tensor in adapter.items()} for _ in range(2)]
    checkpoint = Checkpoint(0, 0.0, adapter_config(lora_model), adapter, AdamState(0, *BETAS, *moments))
    folder = store_of(settings).checkpoint(untrained_address(model, settings.warmup), 0)
    write_checkpoint(folder, checkpoint)
    how = "left out: gradients of the base model" if settings.warmup.kind == "base" else "left out: gradients of a random adapter"
    warmup = _warmup(settings, version, model, examples, [folder])
    return _refs(settings, [folder], warmup, how, computed=1, written=size_of_folder(folder))


@stage_task("choose the warmup")
def choose_warmup(
    settings: SelectSettings, version: Version, model: ModelRef, examples: ExamplesRef, rewarm: RewarmSettings
) -> tuple[WarmupRef | None, str]:
    """Return the last version's warmup if it is to be kept, and a sentence that says why or why not."""
    if settings.warmup.checkpoints or settings.warmup.kind != "train":
        return None, "the settings ask for none"
    found = read_last(run_of(settings))
    if found is None:
        return None, "this is the first version"
    last, basis = found
    warmup = basis.warmup
    if warmup is None:
        return None, "the last version had none"
    if warmup.needs != warmup_needs(settings, model):
        return None, "the model, or a setting of the warmup, is another"
    if not all(is_whole(folder) for folder in warmup.folders):
        return None, f"the store no longer has whole checkpoints of version {warmup.trained_for}"
    if rewarm.when == "always":
        return None, "it is made again in every run"
    before, now = (read_columns(v.index("pool"), ["example_id"])["example_id"] for v in (last, version))
    new = len(now) - pc.sum(pc.is_in(now, value_set=before.combine_chunks())).as_py()
    fresh = warmup.fresh and len(now) == len(before) and not new
    warmup = warmup.model_copy(update={"new_examples": warmup.new_examples + new, "fresh": fresh})
    growth = warmup.new_examples / warmup.pool_examples
    if rewarm.when == "when_pool_grew_by" and growth >= rewarm.pool_grew_by:
        return None, f"the pool grew by {growth:.0%} since version {warmup.trained_for}"
    return warmup, f"kept from version {warmup.trained_for}; since then {warmup.new_examples:,} examples came into the pool"


@stage_task("import checkpoints")
def import_checkpoints(settings: SelectSettings, version: Version, model: ModelRef, examples: ExamplesRef) -> CheckpointsRef:
    """Take checkpoints that were made before, checked against the model; those of other tools are converted into the store."""
    lora_model = _new_model(model, 0)
    folders, last_step, written = [], 0, 0
    for path in settings.warmup.checkpoints:
        if is_checkpoint(path):
            checkpoint, folder = read_checkpoint(path), path
            check_match(path, lora_model, checkpoint.adapter, "adapter weights")
        else:
            checkpoint = import_checkpoint(Path(path), lora_model, after_step=last_step)
            folder = store_of(settings).checkpoint(imported_address(model, path), checkpoint.step)
            write_checkpoint(folder, checkpoint)
            written += size_of_folder(folder)
        last_step = checkpoint.step
        folders.append(folder)
    warmup = _warmup(settings, version, model, examples, folders)
    return _refs(settings, folders, warmup, "given by warmup.checkpoints", computed=0, written=written)


def without_warmup(config: SelectSettings, model: ModelRef) -> CheckpointsRef:
    """Return what stands for the checkpoints of a method without a warmup: the base model as it is."""
    base = CheckpointRef(
        name="base model",
        number=1,
        of=1,
        folder="",
        fingerprint=model.fingerprint,
        step=0,
        learning_rate=0.0,
        weight=1.0,
        epsilon_share=0.0,
    )
    return CheckpointsRef(checkpoints=[base], computed=0, warmup=None, how=f"not needed by {config.method}")


def _warmup(settings: SelectSettings, version: Version, model: ModelRef, examples: ExamplesRef, folders: list[str]) -> WarmupRef:
    """Return the warmup of this version; nothing came into the pool since."""
    return WarmupRef(
        trained_for=version.name,
        needs=warmup_needs(settings, model),
        folders=folders,
        pool_examples=examples.examples,
        new_examples=0,
        fresh=True,
    )


def _draw(settings: SelectSettings, examples: ExamplesRef) -> pa.Table:
    table = pa.concat_tables(group.select(["example_id", "shard"]) for group in iterate_run_index(examples.path))
    return draw_warmup(table, settings.warmup.fraction, settings.warmup.seed)


def _read_encoded(store: Store, model: ModelRef, chosen: pa.Table) -> list[EncodedExample]:
    """Return the chosen examples that carry a label, in the order of their ids."""
    encoded: list[EncodedExample] = []
    for shard in pc.unique(chosen["shard"]).to_pylist():
        ids = chosen.filter(pc.equal(chosen["shard"], shard))["example_id"].combine_chunks()
        encoded += read_example_shard(store.example_shard(model.encoding, shard), ids)
    labelled = sorted((e for e in encoded if e.num_label_tokens), key=lambda e: e.example_id)
    if not labelled:
        got = f"{len(encoded)} examples without one within {model.max_length} tokens"
        raise DataError("warmup", "an example with a label", got, "Raise warmup.fraction or features.max_length.")
    return labelled


def _new_model(model: ModelRef, seed: int) -> PeftModel:
    base = load_base_model(Path(model.folder), getattr(torch, model.dtype), torch.device(model.device))
    return add_lora(base, model.lora, seed=seed)


def _refs(settings: SelectSettings, folders: list[str], warmup: WarmupRef, how: str, *, computed: int, written: int = 0) -> CheckpointsRef:
    """Return the checkpoints that features are taken at: those that the settings name, or all; numbers are among all."""
    numbers = checkpoint_numbers(settings, len(folders))
    chosen = [folders[number - 1] for number in numbers]
    checkpoints: list[Any] = [read_checkpoint(folder) for folder in chosen]
    uniform = settings.influence.weights == "uniform"
    weights = checkpoint_weights([checkpoint.learning_rate for checkpoint in checkpoints], uniform=uniform)
    refs = []
    for number, folder, checkpoint, weight in zip(numbers, chosen, checkpoints, weights, strict=True):
        second = torch.cat([moment.flatten() for moment in checkpoint.adam.second_moment.values()])
        refs.append(
            CheckpointRef(
                name=f"checkpoint-{checkpoint.step}",
                number=number,
                of=len(folders),
                folder=folder,
                fingerprint=checkpoint_fingerprint(folder),
                step=checkpoint.step,
                learning_rate=checkpoint.learning_rate,
                weight=weight,
                epsilon_share=epsilon_share(second, beta2=checkpoint.adam.beta2),
            )
        )
    return CheckpointsRef(
        checkpoints=refs,
        computed=computed,
        warmup=warmup.model_copy(update={"folders": folders}),
        how=how,
        bytes_written=written,
    )
