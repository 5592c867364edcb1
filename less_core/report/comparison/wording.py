"""Outcomes in words: what a reader should know before the table, whether or not it speaks for LESS."""

from collections.abc import Sequence

from less_core.report.comparison.outcomes import UNTRAINED, WHOLE_POOL, MethodRow, Spread

REFERENCES = (UNTRAINED, WHOLE_POOL)  # not methods of selection


def spread(value: Spread, digits: int = 4) -> str:
    """Return ``1.2345 ± 0.0067``, or the mean alone where there is one seed."""
    mean = f"{value.mean:.{digits}f}"
    return mean if value.deviation is None else f"{mean} ± {value.deviation:.{digits}f}"


def verdict(rows: Sequence[MethodRow]) -> str:
    """Return who has the lowest loss on a target, and where LESS stands against it and against random.

    Args:
        rows: Of one target, lowest loss first.
    """
    methods = [row for row in rows if row.method not in REFERENCES]
    if not methods:
        return "no method was tried"
    best = methods[0]
    parts = [f"lowest loss: {best.label} ({spread(best.loss)})"]
    ours = next((place for place, row in enumerate(methods) if row.method == "less"), None)
    if ours is not None:
        less = methods[ours]
        parts.append(f"less ({spread(less.loss)}) is number {ours + 1} of {len(methods)}")
        randoms = [row for row in methods if row.method == "random" and row.amount == less.amount]
        parts += [_against_random(less.loss, row.loss) for row in randoms]
    parts += [f"{row.label}: {spread(row.loss)}" for row in rows if row.method in REFERENCES]
    return "; ".join(parts)


def _against_random(one: Spread, random: Spread) -> str:
    """Return how far a loss is from random's, and whether their seeds overlap."""
    difference = one.mean - random.mean
    if difference == 0:
        return "as random"
    apart = max(one.values) < min(random.values) or max(random.values) < min(one.values)
    certainty = "" if len(one.values) == 1 else " on every seed" if apart else ", within the spread of seeds"
    return f"{abs(difference):.4f} {'below' if difference < 0 else 'above'} random{certainty}"
