"""A selection in the files of the LESS scripts, so that whoever has their training scripts can go on with them."""

import pyarrow.compute as pc
import torch
from torch import Tensor

from less_core.files.parquet import read_columns
from less_core.files.whole import read_bytes
from less_core.settings.file import parse_settings
from less_core.settings.plain_numbers import plain
from less_core.settings.select import SelectionSettings, SelectSettings
from less_core.storage.formats.less_scripts import write_influence_scores, write_sorted, write_top
from less_core.storage.layout import Version
from less_core.storage.provenance import read_basis
from tasks.agree import find_version
from tasks.stage_task import stage_task


@stage_task("export {selection}")
def export_selection(runs: str, selection: str, folder: str) -> list[str]:
    """Write every target's scores, their order and the selected rows as the LESS scripts do; return the targets' folders.

    A row without a score, which the scripts do not know, has minus infinity: it is last in every order.
    """
    version = find_version(runs, selection)
    settings = parse_settings(read_basis(version).settings, where=selection)
    for target in (target.name for target in settings.targets):
        scores = _by_row(settings, version, target)
        write_influence_scores(folder, target, scores)
        write_sorted(folder, target, scores)
        rows = read_bytes(version.selected(target), made_by="a selection").splitlines()
        write_top(folder, target, top_name(settings.selection), rows)
    return [f"{folder}/{target.name}" for target in settings.targets]


def top_name(selection: SelectionSettings) -> str:
    """Return how the scripts call a budget: p0.05, num1000."""
    unit = {"fraction": "p", "count": "num", "tokens": "tokens"}[selection.by]
    return f"{unit}{plain(selection.amount)}"


def _by_row(settings: SelectSettings, version: Version, target: str) -> dict[str, Tensor]:
    """Return for each file of the pools the score of every line, by the pool's name, and its own where a pool has several."""
    scores = read_columns(version.scores(target), ["example_id", "score"])
    found: dict[str, Tensor] = {}
    for pool in settings.pools:
        rows = read_columns(version.pool_index(pool.name), ["example_id", "file", "index"])
        values = scores["score"].take(pc.index_in(rows["example_id"], value_set=scores["example_id"].combine_chunks()))
        values = pc.fill_null(values, float("-inf"))
        files = pc.unique(rows["file"]).to_pylist()
        for file in files:
            of_it = pc.equal(rows["file"], file)
            places = torch.from_numpy(rows["index"].filter(of_it).to_numpy().copy())
            by_row = torch.full((int(places.max()) + 1,), -torch.inf)
            by_row[places] = torch.from_numpy(values.filter(of_it).to_numpy().copy())
            found[pool.name if len(files) == 1 else f"{pool.name}-{file.replace('/', '-')}"] = by_row
    return found
