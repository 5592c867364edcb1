"""The schedules of selections on the terminal: making one, switching it, and the list of all."""

import argparse
from datetime import datetime

from prefect.settings import PREFECT_API_URL
from rich.console import Console
from rich.table import Table

from flows.server.schedules import ScheduledSelection, list_scheduled, schedule_selection, switch_schedules
from less_core.errors import ConfigError
from less_core.report.style.wording import MISSING


def check_server() -> None:
    """Raise an error where there is no server that stays: one that a command starts for itself would forget the schedule.

    Raises:
        ConfigError: There is none.
    """
    if not PREFECT_API_URL.value():
        do = "Start `less-flow serve` in this folder, or set PREFECT_API_URL to the server's address."
        raise ConfigError("schedule", "a Prefect server that keeps schedules", "none that is served from here", do)


def schedule_from_arguments(arguments: argparse.Namespace) -> None:
    """Make a selection's schedule or switch it, as the command line asks.

    Raises:
        ConfigError: The arguments do not go together, or cannot be followed.
    """
    asked = [name for name in ("cron", "on", "off") if getattr(arguments, name)]
    if len(asked) != 1:
        got = " and ".join(f"--{name}" for name in asked) or "none of them"
        do = 'Write for example: less-flow schedule maths --cron "0 3 * * *" --timezone Europe/Berlin'
        raise ConfigError("schedule", "one of --cron, --on and --off", got, do)
    if arguments.cron:
        schedule_selection(
            arguments.selection,
            arguments.runs,
            arguments.overrides,
            arguments.cron,
            arguments.timezone,
            rewarm=arguments.rewarm,
            pool_grew_by=arguments.pool_grew_by,
        )
    else:
        switch_schedules(arguments.selection, on=arguments.on)


def print_scheduled() -> None:
    """Print the selections that are made again: when, and what came of the last time."""
    found = list_scheduled()
    if not found:
        print('nothing is scheduled; less-flow schedule NAME --cron "0 3 * * *" has a selection made again every night')
        return
    table = Table("selection", "schedule", "next run", "last run", "what came of it")
    for selection in found:
        table.add_row(selection.name, _times(selection), _time(selection.next_run), *_last(selection))
    Console().print(table)


def _times(selection: ScheduledSelection) -> str:
    lines = []
    for found in selection.schedules:
        when = getattr(found.schedule, "cron", "") or type(found.schedule).__name__.removesuffix("Schedule").lower()
        zone = getattr(found.schedule, "timezone", None) or "UTC"
        lines.append(f"{when} {zone} ({'on' if found.active else 'off'})")
    return "\n".join(lines) or "none"


def _last(selection: ScheduledSelection) -> tuple[str, str]:
    run = selection.last_run
    if run is None or run.state is None:
        return MISSING, MISSING
    return f"{_time(run.start_time or run.expected_start_time)} {run.state.name}", run.state.message or ""


def _time(time: datetime | None) -> str:
    return f"{time.astimezone():%Y-%m-%d %H:%M}" if time else MISSING
