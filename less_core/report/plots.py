"""The pictures of a report: PNG, readable on white, told apart without colour vision.

Names come from pools and are never read as mathtext or TeX.
"""

import math
from collections.abc import Sequence
from itertools import pairwise

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter, NullLocator

from less_core.report.sources import SourceRow, source_rows
from less_core.report.style.drawing import INK, MARK, PLAIN, POOL, SELECTED, legend, plain_axes, png, short_label
from less_core.report.style.wording import percent, plural, score, span, thousands
from less_core.report.summary import TargetSummary

_WIDTH, _HEIGHT = 5.8, 3.6  # inches
_MAX_SOURCES = 20
_MAX_BINS = 14  # labelled ones
_FEW = 500  # examples: up to here a logarithmic axis has marks between the powers of ten, too
_LINEAR_UP_TO = 20  # examples: a logarithmic axis over less than a decade or so only confuses


def plot_scores(target: TargetSummary) -> bytes:
    """Return the distribution of the scores, all and selected, with the score of the last selected example; PNG."""
    figure = Figure(figsize=(_WIDTH, _HEIGHT), layout="constrained")
    axes = plain_axes(figure.subplots())
    scores = target.scores
    if not sum(scores.pool):
        return _nothing(figure, axes, "no example was scored")
    edges = _apart(scores.edges)
    lefts, widths = edges[:-1], [high - low for low, high in pairwise(edges)]
    axes.bar(lefts, scores.pool, widths, align="edge", color=POOL, label=f"{plural(target.scored, 'example')} scored")
    axes.bar(lefts, scores.selected, widths, align="edge", color=SELECTED, label=f"{thousands(target.selected)} selected")
    if target.selected and math.isfinite(target.threshold):
        axes.axvline(target.threshold, color=MARK, linestyle=(0, (4, 2)), linewidth=1.6, label=f"last selected: {score(target.threshold)}")
    top = max(scores.pool)
    if top > _LINEAR_UP_TO:
        axes.set_yscale("log", nonpositive="clip")
        axes.set_ylim(0.7, top * 1.5)
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if top < _FEW else (1,), numticks=8))
        axes.yaxis.set_minor_locator(NullLocator())
    else:
        axes.yaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.xaxis.set_major_locator(MaxNLocator(nbins=6))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.4g}"))
    axes.set_xlabel("influence score", **PLAIN)
    axes.set_ylabel("examples" + (", log scale" if top > _LINEAR_UP_TO else ""), **PLAIN)
    legend(figure)
    return png(figure)


def plot_sources(target: TargetSummary) -> bytes:
    """Return each source's share of the selection and of the pool, the most selected first, small ones as 'other'; PNG."""
    rows = source_rows(target)
    if not any(row.pool_examples for row in rows):
        figure = Figure(figsize=(_WIDTH, _HEIGHT), layout="constrained")
        return _nothing(figure, plain_axes(figure.subplots()), "no source")
    bars = _folded(rows)
    figure = Figure(figsize=(_WIDTH, 1.1 + 0.37 * len(bars)), layout="constrained")
    axes = plain_axes(figure.subplots())
    axes.grid(visible=False, axis="y")
    places = range(len(bars))
    thick = 0.38
    axes.barh([place - thick / 2 for place in places], [bar[2] for bar in bars], thick, color=SELECTED, label="share of the selection")
    axes.barh([place + thick / 2 for place in places], [bar[1] for bar in bars], thick, color=POOL, label="share of the pool")
    for place, (_, pool_share, selected_share) in enumerate(bars):
        for offset, share in ((-thick / 2, selected_share), (thick / 2, pool_share)):
            axes.annotate(
                percent(share),
                (share, place + offset),
                xytext=(3, 0),
                textcoords="offset points",
                va="center_baseline",
                fontsize=8,
                color=INK,
                **PLAIN,
            )
    axes.set_yticks(places, labels=[bar[0] for bar in bars], **PLAIN)
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(len(bars) - 0.4, -0.6)
    axes.set_xlim(0, 1.13 * max(max(bar[1:]) for bar in bars))
    axes.xaxis.set_major_locator(MaxNLocator(nbins=5))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.3g}%"))
    legend(figure)
    return png(figure)


def plot_lengths(target: TargetSummary) -> bytes:
    """Return the mean score by length, above the number of examples of that length; PNG."""
    figure = Figure(figsize=(_WIDTH, _HEIGHT), layout="constrained")
    bins = target.lengths
    if not any(part.examples for part in bins):
        return _nothing(figure, plain_axes(figure.subplots()), "no example was scored")
    upper, lower = (plain_axes(axes) for axes in figure.subplots(2, 1, sharex=True, height_ratios=[2.1, 1]))
    places = range(len(bins))
    means = [part.mean_score if part.examples else math.nan for part in bins]
    upper.plot(places, means, color=INK, marker="o", markersize=5, linewidth=1.6)
    upper.margins(y=0.15)
    upper.set_ylabel("mean score", **PLAIN)
    upper.yaxis.set_major_locator(MaxNLocator(nbins=5))
    upper.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.4g}"))
    upper.tick_params(axis="x", length=0, labelbottom=False)
    lower.bar(places, [part.examples for part in bins], 0.72, color=POOL, label="examples of this length")
    lower.bar(places, [part.selected for part in bins], 0.72, color=SELECTED, label="selected")
    lower.set_ylabel("examples", **PLAIN)
    lower.set_ylim(0, 1.35 * max(part.examples for part in bins))
    lower.yaxis.set_major_locator(NullLocator())
    lower.grid(visible=False)
    step = math.ceil(len(bins) / _MAX_BINS)
    for place in places[::step]:
        lower.annotate(
            thousands(bins[place].examples),
            (place, bins[place].examples),
            xytext=(0, 2),
            textcoords="offset points",
            ha="center",
            fontsize=8,
            color=INK,
            **PLAIN,
        )
    labels = [span(part.low, part.high) for part in bins]
    crowded = len(places[::step]) > 7
    lower.set_xticks(places[::step], labels=labels[::step], rotation=30 if crowded else 0, ha="right" if crowded else "center", **PLAIN)
    lower.tick_params(axis="x", length=0, labelsize=8)
    lower.set_xlabel("length in tokens", **PLAIN)
    figure.align_ylabels([upper, lower])
    legend(figure)
    return png(figure)


def _nothing(figure: Figure, axes: Axes, why: str) -> bytes:
    axes.set_axis_off()
    axes.text(0.5, 0.5, why, transform=axes.transAxes, ha="center", va="center", fontsize=11, color=INK, **PLAIN)
    return png(figure)


def _apart(edges: Sequence[float]) -> list[float]:
    """Return edges that a bar fits between, also where all scores are equal."""
    low, high = edges[0], edges[-1]
    if high > low:
        return list(edges)
    width = max(abs(low), 1.0) * 1e-3
    return [low + width * (place / (len(edges) - 1) - 0.5) for place in range(len(edges))]


def _folded(rows: list[SourceRow]) -> list[tuple[str, float, float]]:
    """Return (label, pool share, share of the selection), at most `_MAX_SOURCES` of them."""
    kept = rows if len(rows) <= _MAX_SOURCES else rows[: _MAX_SOURCES - 1]
    bars = [(short_label(row.label), row.pool_share, _number(row.selected_share)) for row in kept]
    rest = rows[len(kept) :]
    if rest:
        other = sum(row.pool_share for row in rest), sum(_number(row.selected_share) for row in rest)
        bars.append((f"other ({thousands(len(rest))} sources)", *other))
    return bars


def _number(share: float) -> float:
    return share if math.isfinite(share) else 0.0
