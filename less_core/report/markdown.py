"""The report in short, as a Prefect artifact: Markdown for the page of a run."""

from less_core.refs import StageCost
from less_core.report.headline import headline, notices
from less_core.report.plots import plot_scores
from less_core.report.sources import source_rows
from less_core.report.style.drawing import data_uri
from less_core.report.style.inline import fenced, inline, table_row
from less_core.report.style.wording import duration, percent, plural, rate, ratio, score, size, thousands
from less_core.report.summary import ExampleView, RunSummary, TargetSummary

MAX_BYTES = 300_000  # of UTF-8; a Prefect server keeps every version of an artifact in its database
_PICTURES_FROM = 200_000  # sections of targets end here, so that pictures have room too
_SOURCES = 10
_EXAMPLES = 5
_HEADLINES = 20


def render_markdown(summary: RunSummary) -> str:
    """Return the artifact, at most `MAX_BYTES` long.

    Where that is not enough, pictures are left out first, then whole targets from the last on, and a line says how many.
    """
    head = "\n\n".join([*_head(summary), _stages(summary)])
    room = _PICTURES_FROM - _bytes(head)
    sections: list[str] = []
    for target in summary.targets:
        section = _section(target)
        room -= _bytes(section)
        if room < 0:
            break
        sections.append(section)
    left = len(summary.targets) - len(sections)
    if left:
        sections.append(f"The HTML report has {plural(left, 'more target')}.")
    spare = MAX_BYTES - _bytes(head) - sum(map(_bytes, sections))
    for place, target in enumerate(summary.targets[: len(summary.targets) - left]):
        picture = _picture(target)
        spare -= _bytes(picture)
        if spare < 0:
            break
        title, _, rest = sections[place].partition("\n\n")
        sections[place] = f"{title}\n\n{picture}\n\n{rest}"
    return "\n\n".join([head, *sections]) + "\n"


def _head(summary: RunSummary) -> list[str]:
    facts = [
        f"method {inline(summary.method)}",
        inline(summary.model, 120),
        inline(summary.device),
        f"budget {inline(summary.budget)}",
        duration(summary.seconds),
    ]
    lines = [f"- {inline(headline(target), 300)}" for target in summary.targets[:_HEADLINES]]
    if len(summary.targets) > _HEADLINES:
        lines.append(f"- and {plural(len(summary.targets) - _HEADLINES, 'more target')}")
    if summary.merged:
        lines.append(f"- all targets merged: {plural(summary.merged, 'distinct example')}")
    blocks = [f"# {inline(summary.name, 120)}", " · ".join(facts), "\n".join(lines)]
    noted = [f"- {inline(notice, 300)}" for notice in notices(summary)[:_HEADLINES]]
    return [*blocks, "**Left out**", "\n".join(noted)] if noted else blocks


def _stages(summary: RunSummary) -> str:
    rows = [
        "## Stages",
        "",
        "| stage | total | reused | computed | time | rate | written |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    rows += [table_row(_stage_cells(stage)) for stage in summary.stages]
    return "\n".join(rows)


def _stage_cells(stage: StageCost) -> list[str]:
    total = f"{thousands(stage.total)} {inline(stage.unit)}"
    numbers = [thousands(stage.reused), thousands(stage.computed), duration(stage.seconds)]
    return [inline(stage.name), total, *numbers, inline(rate(stage)), size(stage.bytes_written)]


def _section(target: TargetSummary) -> str:
    return "\n\n".join([f"## {inline(target.name)}", _sources(target), *_best(target)])


def _picture(target: TargetSummary) -> str:
    return f"![Scores of the pool and of the selection for {inline(target.name)}]({data_uri(plot_scores(target))})"


def _sources(target: TargetSummary) -> str:
    rows = source_rows(target)
    lines = ["| source | selected | share | pool | share | ratio |", "| --- | ---: | ---: | ---: | ---: | ---: |"]
    for row in rows[:_SOURCES]:
        selected, pool = thousands(row.selected_examples), thousands(row.pool_examples)
        lines.append(table_row([inline(row.label), selected, percent(row.selected_share), pool, percent(row.pool_share), ratio(row.ratio)]))
    more = len(rows) - _SOURCES
    return "\n".join(lines) + (f"\n\nand {plural(more, 'more source')}" if more > 0 else "")


def _best(target: TargetSummary) -> list[str]:
    return ["### Best examples", *(block for example in target.best[:_EXAMPLES] for block in (_about(example), fenced(example.text)))]


def _about(example: ExampleView) -> str:
    place = f"{inline(example.pool)} · {inline(example.file)}:{example.index}"
    return f"**{example.rank}** · {score(example.score)} · {inline(example.best_subtask)} · {place} · {plural(example.num_tokens, 'token')}"


def _bytes(text: str) -> int:
    return len(text.encode()) + len("\n\n")
