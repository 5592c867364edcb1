"""How good a trained model is at a target: loss on held-out examples, right answers, tasks of lm-eval; from the store, or measured now."""

import json
from pathlib import Path
from typing import Any

import torch

from less_core.data.targets import Target, load_target, open_target
from less_core.errors import DataError
from less_core.evaluation.accuracy import accuracy
from less_core.evaluation.harness import run_tasks
from less_core.evaluation.loss import held_out_losses
from less_core.files.fingerprint import fingerprint
from less_core.files.whole import exists, read_json, size_of, write_json
from less_core.model.loading import load_base_model, load_tokenizer, load_trained
from less_core.preflight.model import open_encoder
from less_core.refs import ModelRef, OutcomeRef, TrainingRef
from less_core.settings.compare import CompareSettings
from less_core.settings.select import TargetSettings
from less_core.storage.addresses import evaluation_address
from less_core.storage.formats.trainings import local_folder
from less_core.storage.layout import store_of
from tasks.stage_task import done_as, stage_task
from tasks.work import WORK

LM_EVAL_ROWS = 8  # a forward pass


@stage_task("judge {training.trial.label}")
def judge(config: CompareSettings, model: ModelRef, training: TrainingRef) -> list[OutcomeRef]:
    """Judge a trained model on each of its targets, unless the store knows how good it is."""
    held_out = {t.name: t for t in config.evaluation.held_out if t.name in training.trial.targets}
    paths = {}
    for name, target in held_out.items():
        digest = fingerprint([open_target(config.select, target).digest(), target.skip, target.take])
        address = evaluation_address(training.fingerprint, model, config.evaluation, digest)
        paths[name] = store_of(config.select).evaluation(address)
    missing = [name for name, path in paths.items() if not exists(path)]
    if missing:
        with local_folder(training.folder) as folder:
            trained = _load(model, folder if training.folder else None)
            tasks = _lm_eval(config, model, trained)
            for name in missing:
                write_json(paths[name], _judge(config, model, trained, held_out[name]) | {"tasks": tasks})
    outcomes = [
        OutcomeRef(
            trial=training.trial,
            training=training.fingerprint,
            target=name,
            examples=training.examples,
            computed=name in missing,
            bytes_written=size_of(path) if name in missing else 0,
            **read_json(path, made_by="the evaluation"),
        )
        for name, path in paths.items()
    ]
    return outcomes if missing else done_as("Cached", outcomes, "the store has the outcome")


def _load(model: ModelRef, folder: Path | None) -> Any:
    dtype, device = getattr(torch, model.dtype), torch.device(model.device)
    if folder is None:
        return load_base_model(Path(model.folder), dtype, device)
    return load_trained(folder, Path(model.folder), dtype, device)


def _judge(config: CompareSettings, model: ModelRef, trained: Any, target: TargetSettings) -> dict[str, Any]:
    encoder = open_encoder(config.trained, Path(model.folder))
    found = load_target(config.select, target)
    encoded = encoder.encode(found.examples)
    batch_tokens = config.select.execution.tokens_a_batch(model.device)
    losses = held_out_losses(trained, encoded, batch_tokens, lambda count: WORK.advance(count, 0))
    if not losses:
        got = f"{len(encoded)} without one within {model.max_length} tokens"
        raise DataError(f"held-out examples of {target.name}", "one with a label", got, "Raise training.max_length.")
    right = None
    if config.evaluation.answers and target.builtin:
        right = accuracy(
            trained,
            encoder.tokenizer,
            target.builtin,
            _values(config, target, found),
            answer_tokens=config.evaluation.answer_tokens,
            batch_tokens=batch_tokens,
            on_batch=lambda count: WORK.go_on(),
        )
    return {"held_out": len(losses), "loss": sum(losses) / len(losses), "accuracy": right}


def _values(config: CompareSettings, target: TargetSettings, found: Target) -> list[dict[str, Any]]:
    source = open_target(config.select, target)
    return [json.loads(source.read(file, offset)) for file, offset in zip(found.files, found.offsets, strict=True)]


def _lm_eval(config: CompareSettings, model: ModelRef, trained: Any) -> dict[str, float]:
    settings = config.evaluation
    if not settings.lm_eval_tasks:
        return {}
    tokenizer = load_tokenizer(Path(model.folder))
    return run_tasks(trained, tokenizer, settings.lm_eval_tasks, settings.lm_eval_path, settings.lm_eval_limit, LM_EVAL_ROWS)
