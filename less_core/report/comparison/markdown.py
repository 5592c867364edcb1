"""A comparison of methods as Markdown: for a Prefect artifact, and as a file."""

from collections.abc import Mapping

from less_core.report.comparison.outcomes import ComparisonSummary, MethodRow, method_rows
from less_core.report.comparison.wording import spread, verdict
from less_core.report.style.inline import cell, inline, named, table_row
from less_core.report.style.wording import MISSING, duration, percent, plural, thousands


def render_comparison(summary: ComparisonSummary, pictures: Mapping[str, str]) -> str:
    """Return the page.

    Args:
        summary: What was tried.
        pictures: Their addresses, file names or data URIs, by what they show.
    """
    facts = [f"selected with {inline(summary.model, 120)}", f"trained {inline(summary.trained, 120)}", inline(summary.training, 200)]
    seeds = plural(len(summary.seeds), "seed") + (": mean ± standard deviation" if len(summary.seeds) > 1 else "")
    facts += [seeds, f"{duration(summary.seconds)} to train and judge"]
    blocks = [f"# {inline(summary.name, 120)}: methods side by side", " · ".join(facts)]
    blocks.append("\n".join(f"- **{named(t)}**: {inline(verdict(method_rows(summary.outcomes, t)), 400)}" for t in summary.targets))
    blocks += [f"![{inline(what, 200)}]({address})" for what, address in pictures.items()]
    for target in summary.targets:
        blocks += [f"## {named(target)}", _table(method_rows(summary.outcomes, target))]
    return "\n\n".join(blocks) + "\n"


def comparison_row(row: MethodRow) -> dict[str, str | int | float]:
    """Return a row of a Prefect table artifact."""
    cells: dict[str, str | int | float] = {"target": cell(row.target), "method": cell(row.label), "examples": row.examples}
    cells["loss"] = round(row.loss.mean, 4)
    cells["deviation"] = MISSING if row.loss.deviation is None else round(row.loss.deviation, 4)
    if row.accuracy:
        cells["right answers"] = percent(row.accuracy.mean)
    return cells | {cell(task): round(value.mean, 4) for task, value in row.tasks.items()}


def _table(rows: list[MethodRow]) -> str:
    tasks = list(dict.fromkeys(task for row in rows for task in row.tasks))
    answers = any(row.accuracy for row in rows)
    head = ["method", "trained on", "held-out loss", *(["right answers"] if answers else []), *(inline(task) for task in tasks)]
    lines = [table_row(head), table_row(["---", *["---:"] * (len(head) - 1)])]
    for row in rows:
        cells = [inline(row.label), thousands(row.examples), spread(row.loss)]
        cells += [spread(row.accuracy, 3) if row.accuracy else MISSING] if answers else []
        cells += [spread(row.tasks[task]) if task in row.tasks else MISSING for task in tasks]
        lines.append(table_row(cells))
    return "\n".join(lines) + f"\n\nLoss is the mean over {plural(rows[0].held_out, 'held-out example')}; lower is better."
