"""Two selections held against each other, whichever runs or versions they are."""

from collections.abc import Mapping, Sequence

from less_core.changes.records import SelectionChange
from less_core.changes.versions import compare_selection, moves
from less_core.errors import ConfigError
from less_core.files.parquet import read_columns
from less_core.files.whole import exists, read_json
from less_core.report.comparison.outcomes import Agreement
from less_core.storage.formats.selections import read_selected_ids
from less_core.storage.layout import Run, Version
from less_core.storage.versions import current_version
from tasks.stage_task import stage_task

SCORES = ("example_id", "pool", "file", "index", "score")


@stage_task("{one} and {other}")
def agree_pair(runs: str, one: str, other: str) -> list[SelectionChange]:
    """Compare two selections on every target that both have."""
    first, second = find_version(runs, one), find_version(runs, other)
    targets, others = ([target["name"] for target in read_json(v.record, made_by="a selection")["targets"]] for v in (first, second))
    common = [target for target in targets if target in others]
    if not common:
        raise ConfigError(f"{one} and {other}", "a target of the same name in both", f"{targets} and {others}", "Compare others.")
    return [_compare(first, second, target) for target in common]


def find_version(runs: str, selection: str) -> Version:
    """Return the version that ``name`` (the newest) or ``name@version`` stands for.

    Raises:
        ConfigError: There is none, or it was never finished.
    """
    name, _, wanted = selection.partition("@")
    run = Run(f"{runs.rstrip('/')}/{name}")
    version = run.version(wanted) if wanted else current_version(run)
    if version is None or not exists(version.record):
        raise ConfigError("selections", f"a finished selection in {runs}", repr(selection), f"See the folders of {run.versions}.")
    return version


def _compare(first: Version, second: Version, target: str) -> SelectionChange:
    scores, other_scores = (read_columns(v.scores(target), SCORES) for v in (first, second))
    ids, other_ids = (read_selected_ids(v.selected_ids(target)) for v in (first, second))
    return compare_selection(target, scores, other_scores, ids, other_ids, moves(scores, other_scores, ids, other_ids), shown=0)


def agreements(changes: Mapping[tuple[str, str], Sequence[SelectionChange]], names: Mapping[str, str] | None = None) -> list[Agreement]:
    """Return one matrix a target, of the selections that were made for it; one agrees with itself.

    Args:
        changes: What `agree_pair` found, for each pair of selections.
        names: How selections are shown; as they are called where there is none.
    """
    targets = list(dict.fromkeys(change.target for found in changes.values() for change in found))
    matrices = []
    for target in targets:
        found = {pair: change for pair, of_pair in changes.items() for change in of_pair if change.target == target}
        selections = list(dict.fromkeys(selection for pair in found for selection in pair))
        pairs = [[found.get((one, other)) or found.get((other, one)) for other in selections] for one in selections]
        matrices.append(
            Agreement(
                target=target,
                methods=[(names or {}).get(selection, selection) for selection in selections],
                overlap=[[change.jaccard if change else 1.0 for change in row] for row in pairs],
                correlation=[[change.spearman if change else None for change in row] for row in pairs],
            )
        )
    return matrices
