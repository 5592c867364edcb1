"""The end of a run in a line and in Markdown: how many were selected, what changed, where the files are, or what went wrong."""

from less_core.data.visible_text import one_line
from less_core.errors import LessError
from less_core.refs import RunRef
from less_core.report.style.inline import inline, named
from less_core.report.style.wording import plural, thousands
from less_core.settings.select import absolute_path

_SENTENCE = 600  # characters of a headline
_TARGETS = 20  # that are listed


def result_line(run: RunRef) -> str:
    """Return the result as one line of plain text, for a state's message.

    ``12 examples for arithmetic (3 in, 3 out of 12; overlap (Jaccard) 0.60); report: /data/runs/maths/report.html``
    """
    found = []
    for selection in run.selections[:_TARGETS]:
        change = run.changes.get(selection.target, "")
        found.append(f"{plural(selection.selected, 'example')} for {one_line(selection.target)}{f' ({change})' if change else ''}")
    more = len(run.selections) - _TARGETS
    found += [f"{plural(more, 'more target')}"] if more > 0 else []
    start = f"{run.unchanged} " if run.unchanged else ""
    return f"{start}{', '.join(found)}; report: {absolute_path(run.report)}"


def render_result(run: RunRef, link: str) -> str:
    """Return the result of a run as a page of Markdown.

    Args:
        run: What was made.
        link: Address of the report in a browser; empty where none is served.
    """
    lines = [f"# {named(run.name)}", ""]
    if run.unchanged:
        lines += [inline(run.unchanged, _SENTENCE), ""]
    for selection in run.selections[:_TARGETS]:
        target = selection.target
        said = run.headlines.get(target) or f"{target}: {plural(selection.selected, 'example')}"
        lines += [f"- **{inline(said, _SENTENCE)}**"]
        if change := run.changes.get(target):
            lines += [f"  - Since the last version: {inline(change, _SENTENCE)}"]
        lines += [f"  - Selected rows, best first ({thousands(selection.tokens)} tokens): {_path(selection.path)}"]
    if len(run.selections) > _TARGETS:
        lines += [f"- and {plural(len(run.selections) - _TARGETS, 'more target')}, in the report"]
    opened = f"[open it in the browser]({link}), or " if link else ""
    lines += ["", f"Report: {opened}{_path(run.report)}", "", f"Version: {named(run.version)}, all files in {_path(run.folder)}", ""]
    return "\n".join(lines)


def render_failure(error: LessError) -> str:
    """Return what went wrong as a page of Markdown: the error's own sentence."""
    return f"# What went wrong\n\n{inline(str(error), len(str(error)) + 1)}\n"


def _path(path: str) -> str:
    """Return a path from the root on, in a form that can be copied whole."""
    text = one_line(absolute_path(path))
    fence = "``" if "`" in text else "`"
    return f"{fence}{text}{fence}"
