"""The report: everything a reader wants to know of a run, from what the stages left behind."""

import datetime
import importlib.metadata
from typing import Any

import yaml

from less_core.changes.records import ChangeSummary
from less_core.files.whole import write_json, write_whole
from less_core.refs import CheckpointsRef, ExamplesRef, InfluenceRef, ModelRef, PoolRef, ScoresRef, SelectionRef, StageCost
from less_core.report.html import render_html
from less_core.report.score_parts import Why
from less_core.report.statistics import ScoreStatistics
from less_core.report.summary import CheckpointSummary, CopyView, ExampleView, PoolSummary, RunSummary, TargetSummary
from less_core.settings.select import SelectionSettings, SelectSettings
from less_core.storage.formats.copies import read_copies
from less_core.storage.formats.examples import find_rows
from less_core.storage.formats.scores import iterate_scores
from less_core.storage.formats.selections import read_selected_ids
from less_core.storage.layout import MERGED, Version, run_of
from tasks.explain import explain
from tasks.rows import Rows
from tasks.stage_task import stage_task

SHOWN = 10  # examples from the top and from the bottom
EXPLAINED = 5  # of them, from the top
PACKAGES = ("less-flow", "torch", "transformers", "peft", "prefect", "pyarrow")


@stage_task("summarise")
def summarise(
    settings: SelectSettings,
    version: Version,
    model: ModelRef,
    pools: list[PoolRef],
    examples: ExamplesRef,
    checkpoints: CheckpointsRef,
    influence: InfluenceRef,
    selections: list[SelectionRef],
    stages: list[StageCost],
    changes: ChangeSummary | None,
) -> RunSummary:
    """Gather the summary of a run."""
    by_target = {selection.target: selection for selection in selections}
    names = run_of(settings).published
    return RunSummary(
        name=settings.name,
        version=version.name,
        finished=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        model=settings.model.path,
        device=f"{model.device}, {model.dtype}",
        budget=describe_budget(settings.selection),
        settings_yaml=yaml.safe_dump(settings.model_dump(mode="json"), sort_keys=False, allow_unicode=True),
        versions={name: _version(name) for name in PACKAGES},
        seconds=sum(stage.seconds for stage in stages),
        stages=stages,
        method=settings.method,
        rule=settings.rule,
        copies_excluded=settings.selection.contaminated == "exclude",
        pools=_pools(version, pools, examples, influence),
        checkpoints=[
            CheckpointSummary(name=c.name, step=c.step, learning_rate=c.learning_rate, weight=c.weight, epsilon_share=c.epsilon_share)
            for c in (checkpoints.checkpoints if settings.method == "less" else ())
        ],
        targets=_targets(settings, version, examples, influence.scores, by_target),
        changes=changes,
        merged=by_target[MERGED].selected if MERGED in by_target else 0,
        files=[
            *(names.scores(s.target) for s in influence.scores),
            *(names.selected(s.target) for s in selections),
            names.report,
            names.record,
        ],
    )


@stage_task("write report")
def write_report(version: Version, summary: RunSummary) -> None:
    """Write report.html and, last of all files of a version, run.json."""
    with write_whole(version.report) as file:
        file.write(render_html(summary).encode())
    # The record is for programs: no text of the pools in it.
    shown: Any = {"targets": {"__all__": {"best", "worst"}}, "changes": {"selections": {"__all__": {"moved_in", "moved_out"}}}}
    write_json(version.record, summary.model_dump(mode="json", exclude=shown))


def describe_budget(budget: SelectionSettings) -> str:
    """Return the budget in words."""
    if budget.by == "fraction":
        return f"{budget.amount:.4g} of the pool" if budget.amount < 0.0001 else f"{100 * budget.amount:.4g}% of the pool"
    return f"{int(budget.amount):,} {'examples' if budget.by == 'count' else 'tokens'}"


def _pools(version: Version, pools: list[PoolRef], examples: ExamplesRef, influence: InfluenceRef) -> list[PoolSummary]:
    return [
        PoolSummary(
            name=pool.name,
            rows=pool.rows,
            skipped=pool.skipped,
            duplicates=counts.duplicates,
            not_sampled=counts.not_sampled,
            examples=counts.examples,
            tokens=flags.tokens,
            truncated=flags.truncated,
            no_label=flags.no_label,
            nonfinite=flags.nonfinite,
            bad_rows=pool.bad_rows,
            copies=[
                CopyView(file=c.file, index=c.index, target=c.target, target_example=c.target_example, share=c.share)
                for c in read_copies(version.pool_copies(pool.name))[:SHOWN]
            ],
            copied=pool.copies,
        )
        for pool, counts, flags in zip(pools, examples.pools, influence.pools, strict=True)
    ]


def _targets(
    settings: SelectSettings, version: Version, examples: ExamplesRef, scores: list[ScoresRef], selections: dict[str, SelectionRef]
) -> list[TargetSummary]:
    statistics = {s.target: _statistics(version, s) for s in scores}
    first = {target: [str(row["example_id"]) for row in counted.best[:EXPLAINED]] for target, counted in statistics.items()}
    whys = explain(settings, version, first)
    return [_target(settings, examples, s, selections[s.target], statistics[s.target], whys[s.target]) for s in scores]


def _statistics(version: Version, scores: ScoresRef) -> ScoreStatistics:
    ids = set(read_selected_ids(version.selected_ids(scores.target)))
    return ScoreStatistics(lambda: iterate_scores(scores.path), ids, SHOWN)


def _target(
    settings: SelectSettings,
    examples: ExamplesRef,
    scores: ScoresRef,
    selection: SelectionRef,
    statistics: ScoreStatistics,
    whys: dict[str, Why],
) -> TargetSummary:
    return TargetSummary(
        name=scores.target,
        examples=scores.examples,
        subtasks=len(scores.subtasks),
        unusable=scores.unusable,
        left_out=scores.left_out,
        scored=statistics.scored,
        selected=selection.selected,
        selected_tokens=selection.tokens,
        threshold=selection.threshold,
        passed_over=selection.passed_over,
        length_correlation=statistics.length_correlation,
        scores=statistics.histogram,
        sources=statistics.sources,
        lengths=statistics.lengths,
        best_subtasks=statistics.best_subtasks,
        best=[v.model_copy(update={"why": whys.get(v.example_id)}) for v in _views(settings, examples, statistics.best, 1, 1)],
        worst=_views(settings, examples, statistics.worst, statistics.scored, -1),
    )


def _views(settings: SelectSettings, examples: ExamplesRef, rows: list[dict[str, Any]], first_rank: int, step: int) -> list[ExampleView]:
    places, pool = find_rows(examples.path, [row["example_id"] for row in rows]), Rows(settings, "pool")
    ranks = range(first_rank, first_rank + step * len(rows), step)
    return [
        ExampleView(rank=rank_, text=pool.example(*places[row["example_id"]]).text, **row) for rank_, row in zip(ranks, rows, strict=True)
    ]


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"
