"""Select, out of pools of training examples, those that most help a model on some targets (LESS, arXiv 2402.04333).

    prepare ─> warmup ─┬─> target features ─┬─> influence ─> selection and report
                       └─> pool features ───┘

Each stage is a flow of its own, with a page of its own in the Prefect UI. What stages hand on are refs: paths and counts.
"""

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, TypeVar

from prefect import flow
from prefect.artifacts import create_image_artifact, create_markdown_artifact, create_table_artifact
from prefect.futures import PrefectFuture
from prefect.task_runners import ThreadPoolTaskRunner

from flows.progress import StageProgress, examples_bar, show_plan
from less_core.config import SelectSettings
from less_core.refs import (
    CheckpointsRef,
    EncodedRef,
    ExamplesRef,
    FeatureShardRef,
    FeaturesRef,
    InfluenceRef,
    ModelRef,
    PreparedRef,
    RunRef,
)
from less_core.report.markdown import render_markdown, stage_rows
from less_core.report.plots import data_uri, plot_scores
from less_core.report.summary import StageCost
from tasks.encode import encode_shard
from tasks.features import extract_features, note_features, plan_features
from tasks.influence import score_examples
from tasks.prepare import find_model, plan_pool, plan_targets, read_pool
from tasks.report import summarise, write_report
from tasks.selection import select_examples
from tasks.warmup import import_checkpoints, warm_up

Work = TypeVar("Work")
Done = TypeVar("Done")

# One model in one process: feature tasks wait for it, and more of them in memory would wait for nothing.
ONE: Any = ThreadPoolTaskRunner(max_workers=1)
WINDOW = 32  # tasks submitted and not yet done


@flow(name="select-data", flow_run_name="{config.name}", validate_parameters=True, persist_result=False)
def select_data(config: SelectSettings) -> RunRef:
    """Select the training examples that most help a model on some targets.

    Args:
        config: What to select from, what for, with which model and how much. Only name, model, pools and targets must be given.
    """
    prepared, prepare_cost = prepare(config)
    checkpoints, warmup_cost = warmup(config, prepared.model, prepared.pool)
    target_features, target_cost = features(config, prepared.model, prepared.target, checkpoints)
    pool_features, pool_cost = features(config, prepared.model, prepared.pool, checkpoints)
    scores, influence_cost = influence(config, prepared, checkpoints, pool_features, target_features)
    return select_and_report(config, prepared, checkpoints, scores, [prepare_cost, warmup_cost, target_cost, pool_cost, influence_cost])


@flow(name="prepare", flow_run_name="prepare", task_runner=ONE, persist_result=False)
def prepare(config: SelectSettings) -> tuple[PreparedRef, StageCost]:
    """Look at the model and the data, and encode the examples that the store has not."""
    started = time.monotonic()
    model = find_model(config)
    target = plan_targets(config, model)  # before the pools: they may take long to read, and a fault here is seen at once
    pools = [read_pool(config, pool) for pool in config.pools]
    pool = plan_pool(config, model, pools)
    shards: list[EncodedRef] = []
    for side in (target, pool):
        shards += windowed(partial(encode_shard.submit, config, model, side), range(1, side.shards + 1))
    computed = sum(shard.examples for shard in shards if shard.computed)
    total, written = pool.examples + target.examples, sum(shard.bytes_written for shard in shards)
    cost = _cost("prepare", "examples", total, computed, started, written)
    return PreparedRef(model=model, pools=pools, pool=pool, target=target), cost


@flow(name="warmup", flow_run_name="warmup", persist_result=False)
def warmup(config: SelectSettings, model: ModelRef, examples: ExamplesRef) -> tuple[CheckpointsRef, StageCost]:
    """Get the checkpoints that gradients are taken at."""
    started = time.monotonic()
    checkpoints = (
        import_checkpoints.submit(config, model) if config.warmup.checkpoints else warm_up.submit(config, model, examples)
    ).result()
    total = len(checkpoints.checkpoints)
    return checkpoints, _cost("warmup", "checkpoints", total, checkpoints.computed, started)


@flow(name="features", flow_run_name="{examples.side} features", task_runner=ONE, persist_result=False)
def features(config: SelectSettings, model: ModelRef, examples: ExamplesRef, checkpoints: CheckpointsRef) -> tuple[FeaturesRef, StageCost]:
    """Compute what the store has not of the examples' features at every checkpoint."""
    started = time.monotonic()
    stage = f"{examples.side} features"
    work = plan_features(config, model, examples, checkpoints)
    show_plan(examples.side, work)
    progress = StageProgress(stage, len(work))
    shards: list[FeatureShardRef] = []
    with examples_bar(stage, sum(w.missing for w in work)):
        for shard in windowed(partial(extract_features.submit, config, model, examples), work):
            shards.append(shard)
            progress.step()
    ref = note_features(config, examples, checkpoints, shards)
    return ref, _cost(stage, "features", ref.computed + ref.reused, ref.computed, started, ref.bytes_written)


@flow(name="influence", flow_run_name="influence", persist_result=False)
def influence(
    config: SelectSettings, prepared: PreparedRef, checkpoints: CheckpointsRef, pool_features: FeaturesRef, target_features: FeaturesRef
) -> tuple[InfluenceRef, StageCost]:
    """Score every example for every target."""
    started = time.monotonic()
    ref = score_examples(config, prepared.model, prepared.pool, prepared.target, checkpoints, pool_features, target_features)
    return ref, _cost("influence", "examples", ref.examples, ref.examples, started, ref.bytes_written)


@flow(name="selection and report", flow_run_name="selection and report", persist_result=False)
def select_and_report(
    config: SelectSettings, prepared: PreparedRef, checkpoints: CheckpointsRef, scores: InfluenceRef, costs: list[StageCost]
) -> RunRef:
    """Select within the budget, and show what was picked and why."""
    started = time.monotonic()
    selections = select_examples(config, prepared.pool, scores)
    selected = sum(selection.selected for selection in selections)
    cost = _cost("selection", "examples", selected, selected, started)
    summary = summarise(config, prepared.model, prepared.pools, prepared.pool, checkpoints, scores, selections, [*costs, cost])
    create_markdown_artifact(key=_key(config, "report"), markdown=render_markdown(summary), description=f"Report of {config.name}")
    create_table_artifact(key=_key(config, "stages"), table=stage_rows(summary), description=f"Stages of {config.name}")
    for target in summary.targets:
        create_image_artifact(
            key=_key(config, f"scores-{target.name}"), image_url=data_uri(plot_scores(target)), description=f"Scores for {target.name}"
        )
    return write_report(config, summary, selections)


def windowed(submit: Callable[[Work], PrefectFuture[Done]], work: Iterable[Work]) -> Iterator[Done]:
    """Yield results in order with at most `WINDOW` tasks in flight; the first failure is raised."""
    waiting: deque[PrefectFuture[Done]] = deque()
    for item in work:
        if len(waiting) == WINDOW:
            yield waiting.popleft().result()
        waiting.append(submit(item))
    while waiting:
        yield waiting.popleft().result()


def _cost(name: str, unit: str, total: int, computed: int, started: float, written: int = 0) -> StageCost:
    seconds = time.monotonic() - started
    return StageCost(name=name, unit=unit, total=total, reused=total - computed, computed=computed, seconds=seconds, bytes_written=written)


def _key(config: SelectSettings, what: str) -> str:
    """Return an artifact's key: Prefect takes lower case letters, digits and dashes."""
    return "".join(c if c.isalnum() and c.isascii() else "-" for c in f"{config.name}-{what}".lower())
