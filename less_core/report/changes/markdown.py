"""What changed since the last version, as a Prefect artifact: Markdown for the page of a run, and rows for a table of targets."""

from collections.abc import Sequence

from less_core.changes.records import ChangeSummary, ExampleMove, SelectionChange
from less_core.report.changes.wording import (
    agreement,
    cost_in_words,
    in_and_out,
    model_in_words,
    origins,
    rank_move,
    reason,
    score_move,
    target_in_words,
    web_address,
)
from less_core.report.markdown import MAX_BYTES
from less_core.report.style.inline import cell, fenced, inline, named, table_row
from less_core.report.style.wording import MISSING, plural, score, thousands

_ROWS = 20  # of a list or a table
_MOVES = 5  # each way


def render_changes(summary: ChangeSummary, name: str, version: str) -> str:
    """Return the artifact, at most `markdown.MAX_BYTES` long; where that is not enough, targets are left out from the last on.

    Args:
        summary: What changed.
        name: The run's.
        version: Id of the version that `summary` is about.
    """
    sections = [_head(summary, name, version), _inputs(summary)]
    room = MAX_BYTES - sum(map(_bytes, sections)) - 100  # for the line on what was left out
    for place, change in enumerate(summary.selections):
        section = _section(change)
        room -= _bytes(section)
        if room < 0:
            sections.append(f"The HTML report has {plural(len(summary.selections) - place, 'more target')}.")
            break
        sections.append(section)
    return "\n\n".join(sections) + "\n"


def change_row(change: SelectionChange) -> dict[str, str | int | float]:
    """Return a target as a row of a Prefect table artifact; numbers are numbers, so that they sort."""
    return {
        "target": cell(change.target),
        "before": change.before,
        "now": change.now,
        "came in": change.came_in,
        "went out": change.went_out,
        "jaccard": round(change.jaccard, 3),
        "spearman": MISSING if change.spearman is None else round(change.spearman, 3),
        "mean rank shift": MISSING if change.mean_rank_shift is None else round(change.mean_rank_shift, 1),
    }


def _head(summary: ChangeSummary, name: str, version: str) -> str:
    before, link = named(summary.before), web_address(summary.before_link)
    lines = [f"- **{named(change.target)}**: {in_and_out(change)}" for change in summary.selections]
    return "\n\n".join(
        [
            f"# {inline(name, 120)}: what changed",
            f"Version {named(version)}, compared with {f'[{before}]({link})' if link else before}; {cost_in_words(summary.cost)}.",
            _first(lines, "target"),
        ]
    )


def _inputs(summary: ChangeSummary) -> str:
    blocks = ["## Inputs", f"{model_in_words(summary)} {inline(summary.warmup, 300)}"]
    pools = [[inline(pool.name), *map(thousands, (pool.before, pool.now, pool.added, pool.removed, pool.edited))] for pool in summary.pools]
    blocks.append(_numbers("pool", ["before", "now", "added", "removed", "edited"], pools))
    targets = [f"- {inline(target.name)}: {target_in_words(target)}" for target in summary.targets]
    settings = [f"- {inline(setting.key)}: {inline(setting.before)} → {inline(setting.now)}" for setting in summary.settings]
    for what, lines in (("target", targets), ("setting", settings)):
        # A line between them, or the two lists would be read as one.
        blocks += [f"**Changed {what}s**", _first(lines, what)] if lines else [f"The same {what}s."]
    return "\n\n".join(blocks)


def _section(change: SelectionChange) -> str:
    sentences = [sentence for sentence in (origins(change), agreement(change)) if sentence]
    blocks = [f"## {inline(change.target)}", "\n".join(f"- {sentence}" for sentence in sentences)]
    if change.drift:
        rows = [
            [inline(d.pool), thousands(d.examples), *map(score, (d.mean_before, d.mean_now, d.mean_now - d.mean_before, d.rms))]
            for d in change.drift
        ]
        blocks.append(_numbers("pool", ["scored in both", "mean before", "mean now", "difference", "rms of differences"], rows))
    blocks += _moves("Came in", change.came_in, change.moved_in)
    blocks += _moves("Went out", change.went_out, change.moved_out)
    return "\n\n".join(blocks)


def _moves(title: str, count: int, moves: Sequence[ExampleMove]) -> list[str]:
    if not moves:
        return []
    shown = min(len(moves), _MOVES)
    blocks = [f"### {title}{f', the first {shown} of {thousands(count)}' if shown < count else ''}"]
    for move in moves[:_MOVES]:
        place = f"{inline(move.pool)} · {inline(move.file)}:{move.index}"
        blocks.append(f"rank {rank_move(move)} · score {score_move(move)} · {place} · {reason(move)}")
        if move.text:
            blocks.append(fenced(move.text))
    return blocks


def _numbers(first: str, others: list[str], rows: Sequence[list[str]]) -> str:
    """Return a table of names and numbers."""
    lines = [table_row([first, *others]), table_row(["---", *["---:"] * len(others)])]
    more = f"\n\nand {plural(len(rows) - _ROWS, f'more {first}')}" if len(rows) > _ROWS else ""
    return "\n".join(lines + [table_row(row) for row in rows[:_ROWS]]) + more


def _first(lines: Sequence[str], noun: str) -> str:
    more = [f"- and {plural(len(lines) - _ROWS, f'more {noun}')}"] if len(lines) > _ROWS else []
    return "\n".join([*lines[:_ROWS], *more])


def _bytes(text: str) -> int:
    return len(text.encode()) + len("\n\n")
