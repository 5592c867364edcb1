"""How a report writes numbers. A value that is not there (NaN, or a share of nothing) is a dash."""

import datetime
import math

from less_core.refs import StageCost

MISSING = "–"
_NO_LIMIT = 1 << 30  # tokens: the end of the last bin of lengths
_SIZES = ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB"))


def thousands(value: int) -> str:
    """Return ``12,345``."""
    return f"{value:,}"


def plural(value: int, noun: str) -> str:
    """Return ``1 example`` or ``12,345 examples``."""
    return f"{value:,} {noun}" if value == 1 else f"{value:,} {noun}s"


def score(value: float) -> str:
    """Return four significant digits, trailing zeros kept so that a column lines up."""
    return f"{value:#.4g}" if math.isfinite(value) else MISSING


def correlation(value: float) -> str:
    """Return ``-0.42``."""
    return f"{value:.2f}" if math.isfinite(value) else MISSING


def span(low: int, high: int) -> str:
    """Return the whole numbers from `low` to below `high`: ``64–95``, ``64``, or ``2048+`` where `high` stands for no limit."""
    if high >= _NO_LIMIT:
        return f"{low}+"
    return f"{low}–{high - 1}" if high - 1 > low else str(low)


def percent(share: float) -> str:
    """Return a share of 1 as ``55%``, ``5.0%`` or ``<0.1%``; 0% and 100% mean exactly that."""
    if not math.isfinite(share):
        return MISSING
    if 0 < share < 0.001:
        return "<0.1%"
    if 0.999 < share < 1:
        return ">99.9%"
    value = 100 * share
    return f"{value:.1f}%" if 0 < value < 9.95 or 99 < value < 100 else f"{value:.0f}%"


def ratio(value: float) -> str:
    """Return ``2.2×``, ``0.67×`` or ``<0.01×``; 0× means exactly that."""
    if not math.isfinite(value):
        return MISSING
    if 0 < value < 0.995:
        return f"{value:.2f}×" if value >= 0.01 else "<0.01×"
    return f"{value:.1f}×" if 0 < value < 9.95 else f"{value:,.0f}×"


def size(value: int) -> str:
    """Return bytes as ``17.2 MB``, in steps of a thousand."""
    for unit, name in _SIZES:
        if value >= unit:
            return f"{value / unit:.1f} {name}"
    return f"{value} B"


def duration(seconds: float) -> str:
    """Return ``0.4 s``, ``52 s``, ``3 min 12 s`` or ``2 h 05 min``."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60:,} h {minutes % 60:02d} min"


def rate(stage: StageCost) -> str:
    """Return what the stage computed a second, ``12.3 examples/s``; reused work took no time and does not count."""
    if stage.computed == 0 or stage.seconds <= 0:
        return MISSING
    speed = stage.computed / stage.seconds
    return f"{speed:,.0f} {stage.unit}/s" if speed >= 99.5 else f"{speed:#.3g} {stage.unit}/s"


def roughly(seconds: float) -> str:
    """Return an estimated time: ``less than a minute``, ``4 min``, ``2 h 10 min``, ``3 days 4 h``."""
    minutes = round(seconds / 60)
    if minutes < 1:
        return "less than a minute"
    if minutes < 60:
        return f"{minutes} min"
    if minutes < 24 * 60:
        hours, rest = divmod(5 * round(minutes / 5), 60)
        return f"{hours} h {rest:02d} min" if rest else f"{hours} h"
    days, hours = divmod(round(minutes / 60), 24)
    return f"{plural(days, 'day')} {hours} h" if hours else plural(days, "day")


def about(seconds: float) -> str:
    """Return an estimated time in a sentence: ``about 4 min``, ``less than a minute``."""
    estimated = roughly(seconds)
    return f"about {estimated}" if estimated[0].isdigit() else estimated


def between(low: float, high: float) -> str:
    """Return a range of estimated times: ``2 to 5 min``, ``40 min to 2 h``."""
    least, most = roughly(low), roughly(high)
    both_in_minutes = least[0].isdigit() and max(low, high) < 3570
    return f"{least.removesuffix(' min') if both_in_minutes else least} to {most}"


def ends_at(seconds: float) -> str:
    """Return when it is so many seconds from now, in this machine's time zone: ``15:42 CET``; another day ``Tue 03:10 CET``."""
    now = datetime.datetime.now().astimezone()
    end = now + datetime.timedelta(seconds=seconds)
    return end.strftime("%H:%M %Z" if end.date() == now.date() else "%a %H:%M %Z")
