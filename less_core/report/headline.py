"""What a reader should see first: what was selected, and what needs a look."""

from less_core.data.visible_text import clip, one_line
from less_core.report.sources import most_favoured, source_rows
from less_core.report.style.wording import percent, plural, thousands
from less_core.report.summary import RunSummary, TargetSummary

_LABEL = 60  # characters of a source's name in a sentence


def headline(target: TargetSummary) -> str:
    """Return the selection for a target as one sentence of plain text, its source the one that gained most.

    ``gsm8k: 40 of 800 examples; 55% of them from gsm8k_train, which is 25% of the pool``
    """
    name = one_line(target.name)
    if target.selected == 0:
        return f"{name}: none of {plural(target.scored, 'example')}"
    start = f"{name}: {thousands(target.selected)} of {plural(target.scored, 'example')}"
    rows = source_rows(target)
    if len(rows) == 1:
        return f"{start}; all from {clip(one_line(rows[0].label), _LABEL)}, the only source"
    lead = most_favoured(rows)
    if lead is None:
        return f"{start}; no source has a larger share than in the pool"
    label = clip(one_line(lead.label), _LABEL)
    return f"{start}; {percent(lead.selected_share)} of them from {label}, which is {percent(lead.pool_share)} of the pool"


def notices(summary: RunSummary) -> list[str]:
    """Return a sentence of plain text for everything that was left out though it was meant to count."""
    lines = []
    for pool in summary.pools:
        if pool.skipped:
            lines.append(f"Pool {one_line(pool.name)}: {plural(pool.skipped, 'bad row')} skipped.")
        if pool.copied:
            what = "never selected" if summary.copies_excluded else "selected as any other"
            lines.append(f"Pool {one_line(pool.name)}: {plural(pool.copied, 'row')} with a target example in it, {what}.")
        if pool.no_label:
            lines.append(f"Pool {one_line(pool.name)}: {plural(pool.no_label, 'example')} without a label, never selected.")
        if pool.nonfinite:
            lines.append(f"Pool {one_line(pool.name)}: {plural(pool.nonfinite, 'example')} with a non-finite gradient, never selected.")
    for target in summary.targets:
        if target.unusable:
            why = "without a label or with a non-finite gradient, not counted"
            lines.append(f"Target {one_line(target.name)}: {plural(target.unusable, 'example')} {why}.")
        for reason in target.passed_over:
            lines.append(f"Target {one_line(target.name)}: passed over {one_line(reason)}.")
        if target.left_out:
            lines.append(f"Target {one_line(target.name)}: {plural(len(target.left_out), 'subtask')} left out.")
    return lines
