"""A selection in the files of the LESS scripts, so that whoever has their training scripts can go on with them."""

from collections.abc import Sequence
from urllib.parse import quote

import pyarrow as pa
import pyarrow.compute as pc
import torch
from torch import Tensor

from less_core.errors import ConfigError
from less_core.files.parquet import read_columns
from less_core.files.whole import read_bytes
from less_core.selection.ranking import selection_ranks
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
        scores, ranks = _by_row(settings, version, target)
        write_influence_scores(folder, target, scores)
        write_sorted(folder, target, scores, ranks)
        rows = read_bytes(version.selected(target), made_by="a selection").splitlines()
        write_top(folder, target, top_name(settings.selection), rows)
    return [f"{folder}/{target.name}" for target in settings.targets]


def top_name(selection: SelectionSettings) -> str:
    """Return how the scripts call a budget: p0.05, num1000."""
    unit = {"fraction": "p", "count": "num", "tokens": "tokens"}[selection.by]
    return f"{unit}{plain(selection.amount)}"


def _by_row(settings: SelectSettings, version: Version, target: str) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Return the score and the rank of every line of each pool file, by the file's key in the export.

    Raises:
        ConfigError: Two files would have one key.
    """
    scored = read_columns(version.scores(target), ["example_id", "score"])
    ranked = selection_ranks(scored["example_id"], scored["score"].to_numpy().astype(float))
    scored = scored.append_column("rank", pa.array(ranked))
    known = scored["example_id"].combine_chunks()
    scores: dict[str, Tensor] = {}
    ranks: dict[str, Tensor] = {}
    for pool in settings.pools:
        rows = read_columns(version.pool_index(pool.name), ["example_id", "file", "index"])
        found = scored.take(pc.index_in(rows["example_id"], value_set=known))
        rows = rows.append_column("score", found["score"]).append_column("rank", found["rank"])
        files = pc.unique(rows["file"]).to_pylist()
        for file in files:
            key = _file_key(pool.name, file, files)
            if key in scores:
                raise ConfigError(f"pool {pool.name}", "files whose names differ in the export too", key, "Rename the pool, or the file.")
            of_it = rows.filter(pc.equal(rows["file"], file))
            scores[key] = _by_line(of_it, "score", float("-inf"))
            ranks[key] = _by_line(of_it, "rank", 0)
    return scores, ranks


def _by_line(rows: pa.Table, column: str, missing: float) -> Tensor:
    """Return a column of a file's rows in the order of its lines; `missing` where a line has no value, or is no row."""
    lines = torch.from_numpy(rows["index"].to_numpy().copy())
    values = torch.from_numpy(pc.fill_null(rows[column], missing).to_numpy().copy())
    by_line = torch.full((int(lines.max()) + 1,), missing, dtype=values.dtype)
    by_line[lines] = values
    return by_line


def _file_key(pool: str, file: str, files: Sequence[str]) -> str:
    """Return how a file of a pool is called: as the pool, and by its own name too where the pool has several."""
    if len(files) == 1:
        return pool
    own = file.replace("/", "-")
    return f"{pool}-{own if sum(other.replace('/', '-') == own for other in files) == 1 else quote(file, safe='')}"
