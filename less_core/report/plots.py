"""The pictures of a report: PNG, readable on white, told apart without colour vision.

Figures are made without pyplot, whose global state is not safe in the threads that tasks run in. Names come from
pools and are never read as mathtext or TeX. Colours: Okabe and Ito, "Color Universal Design" (2008).
"""

import base64
import io
import math
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, get_font
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter, NullLocator
from PIL import Image

from less_core.report.inert import escape, one_line
from less_core.report.sources import SourceRow, source_rows
from less_core.report.summary import TargetSummary
from less_core.report.wording import percent, plural, score, span, thousands

_SELECTED = "#0072b2"
_POOL = "#b9c0c8"
_MARK = "#d55e00"
_INK = "#30363d"
_FAINT = "#d8dde3"
_FONT = "DejaVu Sans"  # comes with matplotlib
_PLAIN: dict[str, Any] = {"fontfamily": _FONT, "parse_math": False, "usetex": False}

_WIDTH, _HEIGHT = 5.8, 3.6  # inches
_DPI = 180
_COLOURS = 64
_MAX_SOURCES = 20
_MAX_BINS = 14  # labelled ones
_MAX_LABEL = 26  # characters
_FEW = 500  # examples: up to here a logarithmic axis has marks between the powers of ten, too
_LINEAR_UP_TO = 20  # examples: a logarithmic axis over less than a decade or so only confuses


def plot_scores(target: TargetSummary) -> bytes:
    """Return the distribution of the scores, all and selected, with the score of the last selected example; PNG."""
    figure = Figure(figsize=(_WIDTH, _HEIGHT), layout="constrained")
    axes = _axes(figure.subplots())
    scores = target.scores
    if not sum(scores.pool):
        return _nothing(figure, axes, "no example was scored")
    edges = _apart(scores.edges)
    lefts, widths = edges[:-1], [high - low for low, high in pairwise(edges)]
    axes.bar(lefts, scores.pool, widths, align="edge", color=_POOL, label=f"{plural(target.scored, 'example')} scored")
    axes.bar(lefts, scores.selected, widths, align="edge", color=_SELECTED, label=f"{thousands(target.selected)} selected")
    if target.selected and math.isfinite(target.threshold):
        axes.axvline(target.threshold, color=_MARK, linestyle=(0, (4, 2)), linewidth=1.6, label=f"last selected: {score(target.threshold)}")
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
    axes.set_xlabel("influence score", **_PLAIN)
    axes.set_ylabel("examples" + (", log scale" if top > _LINEAR_UP_TO else ""), **_PLAIN)
    _legend(figure)
    return _png(figure)


def plot_sources(target: TargetSummary) -> bytes:
    """Return each source's share of the selection and of the pool, the most selected first, small ones as 'other'; PNG."""
    rows = source_rows(target)
    if not any(row.pool_examples for row in rows):
        figure = Figure(figsize=(_WIDTH, _HEIGHT), layout="constrained")
        return _nothing(figure, _axes(figure.subplots()), "no source")
    bars = _folded(rows)
    figure = Figure(figsize=(_WIDTH, 1.1 + 0.37 * len(bars)), layout="constrained")
    axes = _axes(figure.subplots())
    axes.grid(visible=False, axis="y")
    places = range(len(bars))
    thick = 0.38
    axes.barh([place - thick / 2 for place in places], [bar[2] for bar in bars], thick, color=_SELECTED, label="share of the selection")
    axes.barh([place + thick / 2 for place in places], [bar[1] for bar in bars], thick, color=_POOL, label="share of the pool")
    for place, (_, pool_share, selected_share) in enumerate(bars):
        for offset, share in ((-thick / 2, selected_share), (thick / 2, pool_share)):
            axes.annotate(
                percent(share),
                (share, place + offset),
                xytext=(3, 0),
                textcoords="offset points",
                va="center_baseline",
                fontsize=8,
                color=_INK,
                **_PLAIN,
            )
    axes.set_yticks(places, labels=[bar[0] for bar in bars], **_PLAIN)
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(len(bars) - 0.4, -0.6)
    axes.set_xlim(0, 1.13 * max(max(bar[1:]) for bar in bars))
    axes.xaxis.set_major_locator(MaxNLocator(nbins=5))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.3g}%"))
    _legend(figure)
    return _png(figure)


def plot_lengths(target: TargetSummary) -> bytes:
    """Return the mean score by length, above the number of examples of that length; PNG."""
    figure = Figure(figsize=(_WIDTH, _HEIGHT), layout="constrained")
    bins = target.lengths
    if not any(part.examples for part in bins):
        return _nothing(figure, _axes(figure.subplots()), "no example was scored")
    upper, lower = (_axes(axes) for axes in figure.subplots(2, 1, sharex=True, height_ratios=[2.1, 1]))
    places = range(len(bins))
    means = [part.mean_score if part.examples else math.nan for part in bins]
    upper.plot(places, means, color=_INK, marker="o", markersize=5, linewidth=1.6)
    upper.margins(y=0.15)
    upper.set_ylabel("mean score", **_PLAIN)
    upper.yaxis.set_major_locator(MaxNLocator(nbins=5))
    upper.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.4g}"))
    upper.tick_params(axis="x", length=0, labelbottom=False)
    lower.bar(places, [part.examples for part in bins], 0.72, color=_POOL, label="examples of this length")
    lower.bar(places, [part.selected for part in bins], 0.72, color=_SELECTED, label="selected")
    lower.set_ylabel("examples", **_PLAIN)
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
            color=_INK,
            **_PLAIN,
        )
    labels = [span(part.low, part.high) for part in bins]
    crowded = len(places[::step]) > 7
    lower.set_xticks(places[::step], labels=labels[::step], rotation=30 if crowded else 0, ha="right" if crowded else "center", **_PLAIN)
    lower.tick_params(axis="x", length=0, labelsize=8)
    lower.set_xlabel("length in tokens", **_PLAIN)
    figure.align_ylabels([upper, lower])
    _legend(figure)
    return _png(figure)


def _axes(axes: Axes) -> Axes:
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(_FAINT)
    axes.tick_params(colors=_INK, labelsize=9, length=3, color=_FAINT)
    axes.tick_params(axis="y", length=0)
    axes.xaxis.label.set(color=_INK, fontsize=9.5)
    axes.yaxis.label.set(color=_INK, fontsize=9.5)
    axes.grid(visible=True, axis="y", color=_FAINT, linewidth=0.7)
    axes.set_axisbelow(True)
    return axes


def _legend(figure: Figure) -> None:
    figure.legend(
        loc="outside upper left", ncols=3, frameon=False, fontsize=9, labelcolor=_INK, handlelength=1.4, columnspacing=1.4, borderpad=0
    )


def _nothing(figure: Figure, axes: Axes, why: str) -> bytes:
    axes.set_axis_off()
    axes.text(0.5, 0.5, why, transform=axes.transAxes, ha="center", va="center", fontsize=11, color=_INK, **_PLAIN)
    return _png(figure)


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
    bars = [(_label(row.label), row.pool_share, _number(row.selected_share)) for row in kept]
    rest = rows[len(kept) :]
    if rest:
        other = sum(row.pool_share for row in rest), sum(_number(row.selected_share) for row in rest)
        bars.append((f"other ({thousands(len(rest))} sources)", *other))
    return bars


def _number(share: float) -> float:
    return share if math.isfinite(share) else 0.0


def _label(text: str) -> str:
    """Return a short name that the font can draw; cut in the middle, as names of sources often differ at their end."""
    drawn = "".join(_drawable(one_line(text)))
    if len(drawn) <= _MAX_LABEL:
        return drawn
    tail = _MAX_LABEL // 3
    return f"{drawn[: _MAX_LABEL - tail - 1]}…{drawn[-tail:]}"


def _drawable(text: str) -> Iterable[str]:
    font = get_font(findfont(FontProperties(family=_FONT)))
    return (character if font.get_char_index(ord(character)) else escape(character) for character in text)


def _png(figure: Figure) -> bytes:
    """Draw a figure. Equal figures give equal bytes; 64 colours make a quarter of the size, and pages embed many."""
    full = io.BytesIO()
    figure.savefig(full, format="png", dpi=_DPI, facecolor="white")
    small = io.BytesIO()
    with Image.open(full) as image:
        image.convert("RGB").quantize(_COLOURS, dither=Image.Dither.NONE).save(small, format="png", optimize=True)
    return small.getvalue()


def data_uri(png: bytes) -> str:
    """Return a picture as an address that holds the picture itself."""
    return f"data:image/png;base64,{base64.b64encode(png).decode('ascii')}"
