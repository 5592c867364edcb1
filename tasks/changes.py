"""What changed since the version before: inputs, warmup, selections, scores, and what this version cost."""

from less_core.changes.records import ChangeSummary, Cost, ExampleMove, SelectionChange
from less_core.changes.versions import compare_pools, compare_selection, compare_settings, compare_targets, moves
from less_core.files.parquet import parquet_writer, read_columns
from less_core.files.whole import exists
from less_core.refs import CheckpointsRef, FeaturesRef, InputsRef, SelectionRef, StageCost
from less_core.settings.select import SelectSettings
from less_core.storage.formats.examples import find_rows
from less_core.storage.formats.selections import read_selected_ids
from less_core.storage.layout import Version, run_of
from less_core.storage.provenance import influential, read_last, seconds_from_nothing
from tasks.rows import Rows
from tasks.stage_task import stage_task

SHOWN = 5  # examples that came in, and as many that went out
SCORES = ("example_id", "pool", "file", "index", "score")


@stage_task("compare with the last version")
def compare_with_last(
    settings: SelectSettings,
    version: Version,
    inputs: InputsRef,
    checkpoints: CheckpointsRef,
    features: list[FeaturesRef],
    selections: list[SelectionRef],
    stages: list[StageCost],
) -> ChangeSummary | None:
    """Compare this version with the published one, and write down every example that came in or went out; None for the first."""
    found = read_last(run_of(settings))
    if found is None:
        return None
    last, basis = found
    order = [pool.name for pool in settings.pools]
    pools, targets = ([read_columns(v.index(side), _INDEX) for v in (last, version)] for side in ("pool", "target"))
    return ChangeSummary(
        before=last.name,
        before_link=basis.artifact,
        model_changed=inputs.model.fingerprint != basis.inputs.model.fingerprint,
        warmup=f"Warmup {checkpoints.how}.",
        settings=compare_settings({k: v for k, v in basis.settings.items() if k in influential(settings)}, influential(settings)),
        pools=sorted(compare_pools(*pools), key=lambda pool: order.index(pool.name) if pool.name in order else len(order)),
        targets=compare_targets(*targets),
        selections=[
            _compare(settings, last, version, selection.target)
            for selection in selections
            if exists(version.scores(selection.target)) and exists(last.selected_ids(selection.target))
        ],
        cost=Cost(
            features=sum(f.computed + f.reused for f in features),
            computed=sum(f.computed for f in features),
            seconds=sum(stage.seconds for stage in stages),
            seconds_from_nothing=seconds_from_nothing(stages, basis),
        ),
    )


_INDEX = ("example_id", "pool", "file", "index", "source")


def _compare(settings: SelectSettings, last: Version, version: Version, target: str) -> SelectionChange:
    before, now = (read_columns(v.scores(target), SCORES) for v in (last, version))
    before_ids, now_ids = (read_selected_ids(v.selected_ids(target)) for v in (last, version))
    moved = moves(before, now, before_ids, now_ids)
    with parquet_writer(version.moves(target), moved.schema, compression="zstd") as writer:
        writer.write_table(moved)
    change = compare_selection(target, before, now, before_ids, now_ids, moved, SHOWN)
    return change.model_copy(
        update={
            "moved_in": _with_text(settings, version, change.moved_in),
            "moved_out": _with_text(settings, version, change.moved_out),
        }
    )


def _with_text(settings: SelectSettings, version: Version, moved: list[ExampleMove]) -> list[ExampleMove]:
    """Add the text of those that still stand in a pool; of the others no row is left to read."""
    places, rows = find_rows(version.index("pool"), [move.example_id for move in moved]), Rows(settings, "pool")
    shown = []
    for move in moved:
        if place := places.get(move.example_id):
            move = move.model_copy(update={"text": rows.example(*place).text})
        shown.append(move)
    return shown
