"""Fine-tuning on a selection, to see what it is worth: from the store, or trained now."""

import gc
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import torch

from less_core.data.encoding import EncodedExample
from less_core.data.targets import load_target
from less_core.errors import DataError
from less_core.evaluation.harness import check_harness
from less_core.files.file_systems import writing
from less_core.files.locks import lock
from less_core.model.loading import add_lora, check_positions, check_target_modules, load_base_model, load_tokenizer, outline_model
from less_core.model.training import Recipe, train
from less_core.preflight.model import inspect_model, open_encoder
from less_core.refs import ModelRef, TrainingRef, TrialRef
from less_core.settings.compare import CompareSettings, TrainingSettings
from less_core.storage.addresses import training_address
from less_core.storage.damaged import whole_or_none
from less_core.storage.formats.examples import iterate_run_index
from less_core.storage.formats.selections import read_selected_ids
from less_core.storage.formats.trainings import RECORD, keep_training, read_training, verify_training
from less_core.storage.layout import store_of, trainer_folder
from tasks.rows import Rows
from tasks.runtime import RUNTIME
from tasks.stage_task import done_as, stage_task
from tasks.work import WORK


@stage_task("model that is trained")
def look_at_trained_model(config: CompareSettings) -> ModelRef:
    """Find the model that is trained and take its fingerprint; what its training or evaluation would want in vain is said now."""
    settings = config.trained
    model = inspect_model(settings)
    outline = outline_model(Path(model.folder))
    if config.training.kind == "lora":
        check_target_modules(outline, config.training.lora)
    check_positions(outline, config.training.max_length, "training.max_length")
    for target in config.evaluation.held_out:
        load_target(config.select, target)
    if config.evaluation.lm_eval_tasks:
        check_harness()
    return model


@stage_task("train on {trial.label}")
def train_on(config: CompareSettings, model: ModelRef, trial: TrialRef) -> TrainingRef:
    """Train on a trial's examples, unless the store has that training."""
    if not trial.ids and trial.method == "untrained":
        ref = TrainingRef(trial=trial, fingerprint=model.fingerprint, folder="", examples=0, computed=False)
        return done_as("Untrained", ref, "the model as it is")
    rows = _rows(trial)
    address = training_address(model, config.training, trial.seed, rows["example_id"].to_pylist())
    folder = store_of(config.select).training(address)
    ref = TrainingRef(trial=trial, fingerprint=address, folder=folder, examples=rows.num_rows, computed=False)
    work = trainer_folder(folder)
    with lock(str(work), WORK.go_on):
        if _is_whole(folder):
            shutil.rmtree(work, ignore_errors=True)  # of a run that was killed before it came to this
            return done_as("Cached", ref.model_copy(update={"examples": read_training(folder)["examples"]}), "the store has this training")
        examples = _encode(config, model, rows)
        with tempfile.TemporaryDirectory(prefix="less-trained-") as made:
            with writing(str(work)):
                RUNTIME.compute(lambda: _train(model, config.training, trial.seed, examples, work, Path(made)))
            record = {"examples": len(examples), "seed": trial.seed, "base": model.folder, "settings": config.training.model_dump()}
            keep_training(folder, Path(made), record)
        # A trainer and its model hold each other, and the interpreter looks for such cycles by the number of objects, not by their size.
        gc.collect()
        shutil.rmtree(work, ignore_errors=True)
    return ref.model_copy(update={"examples": len(examples), "computed": True})


def _is_whole(folder: str) -> bool:
    """Tell whether the store has a training all of which verifies; where not, its record is set aside and it is trained anew."""
    return whole_or_none(verify_training, folder, record=f"{folder}/{RECORD}") is not None


def _rows(trial: TrialRef) -> pa.Table:
    """Return the places of a trial's examples in the pools, in the order of their ids."""
    table = pa.concat_tables(index.select(["example_id", "pool", "file", "offset"]) for index in iterate_run_index(trial.index))
    if trial.ids:
        table = table.filter(pc.is_in(table["example_id"], value_set=pa.array(read_selected_ids(trial.ids), pa.string())))
    return table.sort_by("example_id")


def _encode(config: CompareSettings, model: ModelRef, rows: pa.Table) -> list[EncodedExample]:
    encoder = open_encoder(config.trained, Path(model.folder))
    source = Rows(config.select, "pool")
    encoded = encoder.encode([source.example(row["pool"], row["file"], row["offset"]) for row in rows.to_pylist()])
    labelled = [e for e in encoded if e.num_label_tokens]
    if not labelled:
        got = f"{len(encoded)} examples without one within {model.max_length} tokens"
        raise DataError("training", "an example with a label", got, "Raise training.max_length.")
    return labelled


def _train(model: ModelRef, settings: TrainingSettings, seed: int, examples: list[EncodedExample], work: Path, made: Path) -> None:
    """Train a fresh model and save it in a local folder as its library does."""
    full = settings.kind == "full"
    dtype = torch.float32 if full else getattr(torch, model.dtype)
    base: Any = load_base_model(Path(model.folder), dtype, torch.device(model.device))
    trained = base if full else add_lora(base, model.lora, seed=seed)
    recipe = Recipe(settings.epochs, settings.learning_rate, settings.batch_size, settings.micro_batch_size, seed)
    train(trained, examples, recipe, work, lambda count: WORK.advance(count, 0))
    trained.save_pretrained(made)
    if full:
        load_tokenizer(Path(model.folder)).save_pretrained(made)
