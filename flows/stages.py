"""The stages of a selection, each a flow of its own with a page of its own in the Prefect UI.

What they hand on are refs: paths and counts.
"""

import gc
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, TypeVar
from uuid import UUID

from prefect import flow
from prefect.artifacts import create_image_artifact, create_markdown_artifact, create_table_artifact
from prefect.context import get_run_context
from prefect.futures import PrefectFuture
from prefect.task_runners import ThreadPoolTaskRunner
from prefect.utilities.urls import url_for

from flows.events import selection_changed, selection_published
from flows.run.artifacts import artifact_key
from flows.run.progress import Stage, attempt, current_board, on_run_page, show_plan
from flows.run.runners import FAR, HERE, asking_for
from less_core.changes.records import ChangeSummary
from less_core.features.requirements import REPORT, RERANK
from less_core.refs import (
    CheckpointsRef,
    EncodedRef,
    ExactRef,
    ExamplesRef,
    FeatureShardRef,
    FeaturesRef,
    FeatureWork,
    InfluenceRef,
    InputsRef,
    ModelRef,
    PreparedRef,
    RunRef,
    Side,
    StageCost,
    WarmupRef,
)
from less_core.report.changes.markdown import change_row, render_changes
from less_core.report.changes.wording import in_and_out
from less_core.report.headline import headline
from less_core.report.markdown import render_markdown
from less_core.report.plots import plot_scores
from less_core.report.style.drawing import data_uri
from less_core.report.summary import RunSummary
from less_core.settings.select import RewarmSettings, SelectSettings
from less_core.storage.layout import Version
from tasks.baselines import score_by_loss, score_by_text
from tasks.changes import compare_with_last
from tasks.check import check, check_room, look_at_inputs, open_version
from tasks.encode import encode_shard
from tasks.exact import draw_shortlist, score_exactly
from tasks.features import extract_features, note_features, plan_features
from tasks.imported import import_gradients
from tasks.influence import score_examples
from tasks.outlook import feature_steps, look_ahead, rounds_of_text
from tasks.prepare import plan_pool, plan_targets, read_pool
from tasks.publish import publish_version
from tasks.report import summarise, write_report
from tasks.selection import select_examples
from tasks.warmup import choose_warmup, draw_adapter, import_checkpoints, keep_checkpoints, warm_up

Work = TypeVar("Work")
Done = TypeVar("Done")


# One model in one process: while one feature task has it, the other reads its examples or writes its shards.
ONE: Any = ThreadPoolTaskRunner(max_workers=1)
TWO: Any = ThreadPoolTaskRunner(max_workers=2)


# `gc.freeze()` skips imported objects at shutdown, which takes 0.2 s instead of 2 s: a cancelled run is gone sooner.
gc.freeze()


@flow(name="check", flow_run_name="{config.name} · check", persist_result=False)
def look(config: SelectSettings) -> tuple[InputsRef, Version, StageCost]:
    """Look at settings, model, pools and targets: what cannot work is said now, before anything heavy."""
    with Stage("check", "files") as stage:
        check(config)
        inputs = look_at_inputs(config)
        version = open_version(config)
        if shown := current_board():
            shown.results = version.root
        files = 1 + len(inputs.pools) + len(inputs.targets)
        stage.done(files, files)
    return inputs, version, stage.cost


@flow(name="prepare", flow_run_name="{config.name} · prepare", task_runner=ONE, persist_result=False)
def prepare(config: SelectSettings, version: Version, model: ModelRef) -> tuple[PreparedRef, StageCost]:
    """Index the data, and encode the examples that the store has not."""
    with Stage("prepare", "examples") as stage:
        target = plan_targets(config, version, model)  # before the pools: they may take long to read, and a fault here is seen at once
        pools = [read_pool(config, version, pool) for pool in config.pools]
        pool = plan_pool(config, version, model, pools)
        shards: list[EncodedRef] = []
        with asking_for(config.execution, "cpu"):
            for side in (target, pool):
                shards += windowed(partial(encode_shard.submit, config, model, side), range(1, side.shards + 1), in_flight(config))
        target = target.model_copy(update={"tokens": sum(shard.tokens for shard in shards[: target.shards])})
        pool = pool.model_copy(update={"tokens": sum(shard.tokens for shard in shards[target.shards :])})
        computed = sum(shard.examples for shard in shards if shard.computed)
        skipped = sum(pool.skipped for pool in pools)
        written = sum(shard.bytes_written for shard in shards)
        stage.done(pool.examples + target.examples, computed, flagged=skipped, bytes_written=written)
    return PreparedRef(pools=pools, pool=pool, target=target), stage.cost


@flow(name="warmup", flow_run_name="{config.name} · warmup", persist_result=False)
def warmup(
    config: SelectSettings, version: Version, inputs: InputsRef, prepared: PreparedRef, rewarm: RewarmSettings
) -> tuple[CheckpointsRef, StageCost]:
    """Get the checkpoints that gradients are taken at: given, kept from the last version, drawn or trained."""
    with Stage("warmup", "checkpoints") as stage:
        model = inputs.model
        kept, why = choose_warmup(config, version, model, prepared.pool, rewarm)
        check_room(config, model, prepared, kept)
        foresee(config, model, prepared, kept)
        with asking_for(config.execution, model.device):
            if config.imported.pool:
                future = import_gradients.submit(config, inputs, prepared)
            elif config.warmup.checkpoints:
                future = import_checkpoints.submit(config, version, model, prepared.pool)
            elif config.warmup.kind != "train":
                future = draw_adapter.submit(config, version, model, prepared.pool)
            elif kept:
                future = keep_checkpoints.submit(config, kept, why)
            else:
                if not config.execution.remote:  # a worker tells of it in the log alone, an epoch at a time
                    epochs = config.warmup.epochs
                    stage.expect(round(epochs * config.warmup.fraction * prepared.pool.examples), rounds=epochs)
                future = warm_up.submit(config, version, model, prepared.pool, why)
            checkpoints = future.result()
        stage.done(len(checkpoints.checkpoints), checkpoints.computed, bytes_written=checkpoints.bytes_written)
    return checkpoints, stage.cost


@flow(name="features", flow_run_name="{config.name} · {examples.side} features", task_runner=TWO, persist_result=False)
def features(
    config: SelectSettings,
    version: Version,
    model: ModelRef,
    examples: ExamplesRef,
    checkpoints: CheckpointsRef,
    exact: ExactRef | None = None,
) -> tuple[FeaturesRef, StageCost]:
    """Compute what the store has not of the examples' features at every checkpoint, and of their exact influence on targets."""
    name = RERANK if exact and exact.shortlist else f"{examples.side} features"
    with Stage(name, "examples") as stage:
        work = plan_features(config, model, examples, checkpoints, exact)
        show_plan(name, work)
        rounds = len({(w.checkpoint.number, w.group) for w in work}) or 1
        stage.expect(sum(w.missing for w in work), rounds, feature_steps(name, config, examples, work, exact))
        shards: list[FeatureShardRef] = []
        elsewhere: list[FeatureWork] = []
        extract = partial(extract_features.submit, config, model, examples, exact=exact)

        def extracted(of: list[FeatureWork], *, wait: bool) -> Iterator[FeatureShardRef]:
            for shard in windowed(partial(extract, wait=wait), of, in_flight(config)):
                if config.execution.remote:  # else each batch was counted in this process
                    stage.advance(shard.computed, shard.tokens)
                yield shard

        with asking_for(config.execution, model.device):
            for asked, shard in zip(work, extracted(work, wait=False), strict=True):
                (elsewhere if shard.elsewhere else shards).append(asked if shard.elsewhere else shard)  # type: ignore[arg-type]
            shards += extracted(elsewhere, wait=True)
        ref = note_features(version, examples, checkpoints, shards)
        # An example counts once, whatever the checkpoints; 0 says that nothing of it was computed, or flagged.
        total, *parts = (ref.computed + ref.reused, ref.computed, ref.flagged)
        computed, flagged = (max(round(part / rounds), min(part, 1)) for part in parts)
        stage.done(round(total / rounds), computed, flagged=flagged, bytes_written=ref.bytes_written)
    return ref, stage.cost


@flow(name="shortlist", flow_run_name="{config.name} · shortlist", persist_result=False)
def shortlist(
    config: SelectSettings,
    version: Version,
    prepared: PreparedRef,
    checkpoints: CheckpointsRef,
    features: dict[Side, FeaturesRef],
    exact: ExactRef,
) -> tuple[ExactRef, StageCost]:
    """Choose by features which examples are scored exactly."""
    with Stage("shortlist", "examples") as stage:
        pool, target = prepared.pool, prepared.target
        path = draw_shortlist(config, version, pool, target, checkpoints, features["pool"], features["target"])
        stage.done(pool.examples, pool.examples)
    return exact.model_copy(update={"shortlist": path}), stage.cost


@flow(name="influence", flow_run_name="{config.name} · influence", persist_result=False)
def influence(
    config: SelectSettings,
    version: Version,
    model: ModelRef,
    prepared: PreparedRef,
    checkpoints: CheckpointsRef,
    features: dict[Side, FeaturesRef],
    exact: ExactRef | None = None,
) -> tuple[InfluenceRef, StageCost]:
    """Score every example for every target, by its exact influence, or by the features that the method has."""
    with Stage("influence", "examples") as stage:
        pool, target = prepared.pool, prepared.target
        if exact:
            ref = score_exactly(config, version, model, pool, target, checkpoints, exact, features["target"])
        elif "target" in features:
            ref = score_examples(config, version, model, pool, target, checkpoints, features["pool"], features["target"])
        elif "pool" in features:
            ref = score_by_loss(config, version, model, pool, target, checkpoints, features["pool"])
        else:
            rounds = rounds_of_text(config)
            stage.expect(rounds * pool.examples, rounds)
            ref = score_by_text(config, version, model, pool, target, config.method)  # type: ignore[arg-type]
        flagged = sum(pool.no_label + pool.nonfinite for pool in ref.pools)
        stage.done(ref.examples, ref.examples, flagged=flagged)
    return ref, stage.cost


@flow(name=REPORT, flow_run_name="{config.name} · selection and report", persist_result=False)
def select_and_report(
    config: SelectSettings,
    version: Version,
    inputs: InputsRef,
    prepared: PreparedRef,
    checkpoints: CheckpointsRef,
    features: list[FeaturesRef],
    scores: InfluenceRef,
    costs: list[StageCost],
    tell_above: float,
) -> RunRef:
    """Select within the budget, show what was picked, why and what changed, and publish it.

    Where more than a share of `tell_above` of a selection is new, an event says so, for an automation to act on.
    """
    with Stage(REPORT, "examples") as stage:
        selections = select_examples(config, version, prepared.pool, scores)
        selected = sum(selection.selected for selection in selections)
        stage.done(selected, selected)
        changes = compare_with_last(config, version, inputs, checkpoints, features, selections, [*costs, stage.cost])
        stage.done(selected, selected)  # now with the files of the changes; the report cannot count its own bytes
        costs = [*costs, stage.cost]
        summary = summarise(config, version, inputs.model, prepared.pools, prepared.pool, checkpoints, scores, selections, costs, changes)
        write_report(version, summary)
        if changes:
            attempt("what changed", lambda: show_changes(config.name, version.name, changes))
        artifact = attempt("the report", lambda: show_report(config.name, summary)) or ""
        run = publish_version(config, version, inputs, checkpoints, selections, costs, artifact)
        stage.done(selected, selected)
    selection_published(run)
    selection_changed(run, changes, tell_above)
    moved = {change.target: in_and_out(change) for change in changes.selections} if changes else {}
    return run.model_copy(update={"headlines": {t.name: headline(t) for t in summary.targets}, "changes": moved})


def foresee(config: SelectSettings, model: ModelRef, prepared: PreparedRef, kept: WarmupRef | None = None) -> None:
    """Start the forecast of the run's end, once the examples are known."""
    if shown := current_board():
        shown.look_ahead(lambda: look_ahead(config, model, prepared, kept))


def show_report(name: str, summary: RunSummary) -> str:
    """Make the report's artifacts on the run's page; return the address of the report's."""
    for target in summary.targets:
        picture = data_uri(plot_scores(target))
        key = artifact_key(name, f"scores-{target.name}")
        on_run_page(create_image_artifact, key=key, image_url=picture, description=f"Scores for {target.name}")
    key, page = artifact_key(name, "report"), render_markdown(summary)
    return artifact_url(on_run_page(create_markdown_artifact, key=key, markdown=page, description=f"Report of {name}"))


def show_changes(name: str, version: str, changes: ChangeSummary) -> None:
    """Make the artifacts on the run's page that tell what changed since the version before."""
    key, page, told = artifact_key(name, "changes"), render_changes(changes, name, version), f"What changed in {name}"
    on_run_page(create_markdown_artifact, key=key, markdown=page, description=told)
    if changes.selections:
        rows = [change_row(change) for change in changes.selections]
        on_run_page(create_table_artifact, key=artifact_key(name, "change-table"), table=rows, description=told)


def artifact_url(artifact: UUID) -> str:
    """Return the address of an artifact in the UI; empty where the server has none that is known."""
    run = get_run_context().flow_run.id  # type: ignore[union-attr]
    page = url_for("flow-run", obj_id=run) or ""
    return f"{page.removesuffix(f'runs/flow-run/{run}')}artifacts/artifact/{artifact}" if page else ""


def in_flight(config: SelectSettings) -> int:
    """Return how many tasks of a stage are submitted and not yet done."""
    return FAR if config.execution.remote else HERE


def windowed(submit: Callable[[Work], PrefectFuture[Done]], work: Iterable[Work], window: int = HERE) -> Iterator[Done]:
    """Yield results in order with at most `window` tasks in flight; the first failure is raised."""
    waiting: deque[PrefectFuture[Done]] = deque()
    for item in work:
        if len(waiting) == window:
            yield waiting.popleft().result()
        waiting.append(submit(item))
    while waiting:
        yield waiting.popleft().result()
