"""The pictures of a comparison: losses of methods over seeds, and how far their selections agree."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from less_core.report.comparison.outcomes import Agreement, ComparisonSummary, MethodRow, method_rows
from less_core.report.comparison.wording import REFERENCES
from less_core.report.style.drawing import FAINT, INK, MARK, PLAIN, POOL, SELECTED, plain_axes, png, short_label

_ROW = 0.34  # inches a method
_LETTER = 0.085  # inches
_ROOM = 0.35  # of the range of losses, on each side: a reference line further off is named and not drawn


def plot_outcomes(summary: ComparisonSummary) -> bytes:
    """Return the held-out loss of each method, a panel a target: every seed, mean and standard deviation; PNG."""
    targets = summary.targets
    rows = {target: method_rows(summary.outcomes, target) for target in targets}
    most = max(len(found) for found in rows.values())
    figure = Figure(figsize=(4.4 * len(targets) + 0.6, 1.5 + _ROW * most), layout="constrained")
    panels = figure.subplots(1, len(targets), squeeze=False)[0]
    for axes, target in zip(panels, targets, strict=True):
        plain_axes(axes)
        axes.grid(visible=False, axis="y")
        axes.grid(visible=True, axis="x", color=FAINT, linewidth=0.7)
        _draw_target(axes, target, [row for row in rows[target] if row.method not in REFERENCES], rows[target])
    return png(figure)


def plot_agreement(agreement: Agreement) -> bytes:
    """Return how far the selections of methods agree, each with each: overlap below the diagonal, rank correlation above it; PNG."""
    names = [short_label(method) for method in agreement.methods]
    count = len(names)
    values = np.full((count, count), np.nan)
    for row in range(count):
        for column in range(count):
            if row != column:
                found = agreement.overlap[row][column] if row > column else agreement.correlation[row][column]
                values[row, column] = np.nan if found is None else found
    labels = _LETTER * max(map(len, names))  # they stand beside the matrix, and at an angle under it
    figure = Figure(figsize=(max(4.2, 1.0 + labels + 0.72 * count), 1.2 + 0.6 * labels + 0.55 * count), layout="constrained")
    axes = figure.subplots()
    axes.imshow(np.where(np.isnan(values), 0, values), cmap="PuOr_r", vmin=-1, vmax=1, aspect="auto")
    for row in range(count):
        for column in range(count):
            text = "" if row == column else "–" if np.isnan(values[row, column]) else f"{values[row, column]:.2f}"
            dark = not np.isnan(values[row, column]) and abs(values[row, column]) > 0.6
            axes.text(column, row, text, ha="center", va="center", fontsize=9, color="white" if dark else INK, **PLAIN)
    axes.set_xticks(range(count), labels=names, rotation=30, ha="right", **PLAIN)
    axes.set_yticks(range(count), labels=names, **PLAIN)
    axes.tick_params(length=0, colors=INK, labelsize=9)
    axes.spines[:].set_visible(False)
    title = f"{short_label(agreement.target)}: overlap (Jaccard) below the\ndiagonal, rank correlation above it"
    axes.set_title(title, fontsize=9.5, color=INK, loc="left", **PLAIN)
    return png(figure)


def _draw_target(axes: Any, target: str, methods: Sequence[MethodRow], rows: Sequence[MethodRow]) -> None:
    losses = [loss for row in methods for loss in row.loss.values]
    low, high = (min(losses), max(losses)) if losses else (0.0, 1.0)
    room = max(high - low, 1e-6) * _ROOM
    for place, row in enumerate(methods):
        ours = row.method == "less"
        axes.plot(row.loss.values, [place] * len(row.loss.values), linestyle="", marker="o", markersize=3.5, color=POOL, zorder=2)
        colour = SELECTED if ours else INK
        axes.errorbar(row.loss.mean, place, xerr=row.loss.deviation, marker="D" if ours else "o", markersize=6, color=colour, zorder=3)
    notes = []
    for row in rows:
        if row.method in REFERENCES:
            if low - room <= row.loss.mean <= high + room:
                axes.axvline(row.loss.mean, color=MARK, linestyle=(0, (4, 2)) if row.method == REFERENCES[0] else "-", linewidth=1.3)
                notes.append(f"{row.method} {row.loss.mean:.4f} (line)")
            else:
                notes.append(f"{row.method} {row.loss.mean:.4f} (off the scale)")
    axes.set_yticks(range(len(methods)), labels=[short_label(row.label) for row in methods], **PLAIN)
    axes.set_ylim(len(methods) - 0.5, -0.5)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=5))
    axes.set_xlabel("\n".join(["held-out loss", *notes]), **PLAIN)
    axes.set_title(short_label(target), fontsize=10, color=INK, loc="left", **PLAIN)
