"""What changed, in sentences of plain text: for the pages, and for a line of the log."""

import re

from less_core.changes.records import ChangeSummary, Cost, ExampleMove, SelectionChange, TargetChange
from less_core.data.visible_text import one_line
from less_core.report.style.wording import MISSING, correlation, duration, percent, plural, score, thousands

_REASONS = {"new": "new in the pool", "rose": "rose", "removed": "no longer in the pool", "fell": "fell"}
# Nothing that could end a link early in HTML or Markdown, and no user name that could pass for a host.
_WEB_ADDRESS = re.compile(r"https?://[A-Za-z0-9\-._~:/?#&=+%]+")


def headline_changes(change: SelectionChange) -> str:
    """Return what became of a target's selection as one sentence of plain text.

    ``gsm8k: 3 in, 3 out of 40; overlap (Jaccard) 0.86``
    """
    return f"{one_line(change.target)}: {in_and_out(change)}"


def in_and_out(change: SelectionChange) -> str:
    """Return that sentence without the target's name."""
    if change.came_in == change.went_out == 0:
        return f"the same {plural(change.now, 'example')}"
    size = "" if change.now == change.before else f", now {thousands(change.now)}"
    moved = f"{thousands(change.came_in)} in, {thousands(change.went_out)} out of {thousands(change.before)}{size}"
    return f"{moved}; overlap (Jaccard) {correlation(change.jaccard)}"


def origins(change: SelectionChange) -> str:
    """Return how much of the change is the pools' doing and not the scores', or nothing where no example moved."""
    parts = []
    if change.came_in:
        parts.append(f"new in the pool: {thousands(change.came_in_new)} of the {thousands(change.came_in)} that came in")
    if change.went_out:
        parts.append(f"no longer in the pool: {thousands(change.went_out_removed)} of the {thousands(change.went_out)} that went out")
    return "; ".join(parts)


def agreement(change: SelectionChange) -> str:
    """Return how far the two versions' scores agree."""
    scored = f"{plural(change.common, 'example')} scored in both versions"
    if change.spearman is not None:
        scored += f", rank correlation (Spearman) {correlation(change.spearman)}"
    if change.mean_rank_shift is None:
        return scored
    return f"{scored}; the {thousands(change.kept)} kept moved {change.mean_rank_shift:,.1f} ranks on average"


def cost_in_words(cost: Cost) -> str:
    """Return ``computed 120 of 2,400 features (5.0%) in 31 s; from nothing about 9 min 20 s``."""
    share = f" ({percent(cost.computed / cost.features)})" if cost.features else ""
    spent = f"computed {thousands(cost.computed)} of {plural(cost.features, 'feature')}{share} in {duration(cost.seconds)}"
    return spent if cost.seconds_from_nothing is None else f"{spent}; from nothing about {duration(cost.seconds_from_nothing)}"


def model_in_words(summary: ChangeSummary) -> str:
    """Return whether the base model is the same."""
    return "Another base model." if summary.model_changed else "The same base model."


def target_in_words(target: TargetChange) -> str:
    """Return ``changed, 8 examples before, 9 now``, or how many there are of a target that came or went."""
    if target.what == "added":
        return f"added, {plural(target.examples_now, 'example')}"
    if target.what == "removed":
        return f"removed, {plural(target.examples_before, 'example')}"
    return f"changed, {plural(target.examples_before, 'example')} before, {thousands(target.examples_now)} now"


def reason(move: ExampleMove) -> str:
    """Return why an example came in or went out."""
    return _REASONS[move.why]


def rank_move(move: ExampleMove) -> str:
    """Return ``57 → 12``."""
    before, now = (MISSING if rank is None else thousands(rank) for rank in (move.rank_before, move.rank_now))
    return f"{before} → {now}"


def score_move(move: ExampleMove) -> str:
    """Return ``0.03010 → 0.04120``."""
    before, now = (MISSING if value is None else score(value) for value in (move.score_before, move.score_now))
    return f"{before} → {now}"


def web_address(link: str) -> str:
    """Return a link that may be followed, or nothing: an http address of plain characters."""
    return link if _WEB_ADDRESS.fullmatch(link) else ""
