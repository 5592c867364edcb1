"""The report as one HTML page: no script, nothing fetched, and text from pools inert by construction."""

from dataclasses import dataclass
from functools import cache

from jinja2 import Template

from less_core.data.visible_text import clip, one_line, visible
from less_core.report.changes import wording as change_wording
from less_core.report.headline import headline, notices
from less_core.report.plots import plot_lengths, plot_scores, plot_sources
from less_core.report.sources import SourceRow, source_rows
from less_core.report.style import wording
from less_core.report.style.drawing import data_uri
from less_core.report.style.pages import page_environment
from less_core.report.summary import RunSummary, TargetSummary

_PREVIEW_CHARACTERS = 420
_PREVIEW_LINES = 8


@dataclass(frozen=True)
class Picture:
    """A PNG as a data URI, and what it shows in words."""

    uri: str
    alt: str


@dataclass(frozen=True)
class TargetView:
    """A target's records with what is derived from them."""

    target: TargetSummary
    sentence: str  # the headline without the target's name
    sources: list[SourceRow]
    scores: Picture
    shares: Picture
    lengths: Picture


def render_html(summary: RunSummary) -> str:
    """Return the whole page. It can be encoded as UTF-8 whatever the summary holds."""
    return _template().render(
        summary=summary,
        targets=[_view(target) for target in summary.targets],
        notices=notices(summary),
        examples=sum(pool.examples for pool in summary.pools),
        tokens=sum(pool.tokens for pool in summary.pools),
    )


def preview(text: str) -> str | None:
    """Return the start of a text too long to show at once, or None where it is short enough."""
    shown = visible(text)
    lines = shown.split("\n")
    start = clip("\n".join(lines[:_PREVIEW_LINES]), _PREVIEW_CHARACTERS)
    if start == shown:
        return None
    return start if start.endswith("…") else f"{start} …"


def _view(target: TargetSummary) -> TargetView:
    rows = source_rows(target)
    return TargetView(
        target=target,
        sentence=headline(target).removeprefix(f"{one_line(target.name)}: "),
        sources=rows,
        scores=_picture(plot_scores(target), _scores_alt(target)),
        shares=_picture(plot_sources(target), _sources_alt(rows)),
        lengths=_picture(plot_lengths(target), _lengths_alt(target)),
    )


def _picture(png: bytes, alt: str) -> Picture:
    return Picture(data_uri(png), alt)


def _scores_alt(target: TargetSummary) -> str:
    scored, selected = wording.plural(target.scored, "example"), wording.thousands(target.selected)
    return f"Histogram of the scores of {scored}; the {selected} selected score at least {wording.score(target.threshold)}."


def _sources_alt(rows: list[SourceRow]) -> str:
    parts = [f"{row.label} {wording.percent(row.selected_share)} against {wording.percent(row.pool_share)}" for row in rows[:5]]
    return f"Share of the selection against share of the pool by source: {'; '.join(parts) or 'no source'}."


def _lengths_alt(target: TargetSummary) -> str:
    parts = [f"{wording.span(part.low, part.high)} tokens {wording.score(part.mean_score)}" for part in target.lengths if part.examples]
    return f"Mean score by length: {'; '.join(parts) or 'no example'}."


@cache
def _template() -> Template:
    environment = page_environment("less_core.report")
    filters = ["correlation", "duration", "percent", "plural", "rate", "ratio", "score", "size", "thousands"]
    environment.filters |= {name: getattr(wording, name) for name in filters}
    of_changes = ["agreement", "cost_in_words", "in_and_out", "model_in_words", "origins", "rank_move", "reason", "score_move"]
    environment.filters |= {name: getattr(change_wording, name) for name in [*of_changes, "target_in_words", "web_address"]}
    environment.filters |= {"clip": clip, "one_line": one_line, "preview": preview}
    return environment.get_template("report.html.j2")
