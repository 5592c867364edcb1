"""Why an example was selected, or was not, on the terminal."""

from rich.console import Console
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table

from less_core.data.visible_text import clip, one_line, visible
from less_core.report.score_parts import Why
from less_core.report.style.wording import MISSING, percent, score, thousands

TEXT, NEIGHBOUR = 1200, 160  # characters shown


def print_explanation(example_id: str, text: str, whys: list[Why]) -> None:
    """Print an example and, for each target, its score taken apart."""
    console = Console()
    console.print(Panel(escape(clip(visible(text), TEXT)), title=f"example {example_id}", title_align="left"))
    for why in whys:
        console.print(_head(why), highlight=False)
        if why.contributions:
            table = Table("checkpoint", "weight", "similarity", "adds to the score", box=None)
            for c in why.contributions:
                table.add_row(escape(c.checkpoint), percent(c.weight), score(c.similarity), score(c.share))
            console.print(table)
        for neighbour in why.nearest:
            place = f"  {score(neighbour.similarity)}  example {neighbour.number} of {neighbour.subtask}: "
            console.print(escape(place + clip(one_line(neighbour.text), NEIGHBOUR)), highlight=False)


def _head(why: Why) -> str:
    name = f"\n[bold]{escape(one_line(why.target))}[/bold]"
    if why.score is None:
        return f"{name}: no score ({escape(why.status)}), never selected"
    what = "selected" if why.selected else "not selected"
    best = escape(one_line(why.best_subtask or MISSING))
    return f"{name}: {what}; score {score(why.score)}, rank {thousands(why.rank)} of {thousands(why.scored)}; best subtask {best}"
