"""The page of all selections: what each selected last, and how its schedules fare."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import httpx
from jinja2 import Template

from flows.server.names import FORM, RECENT, SELECTION_TAG, SKIPPED
from flows.server.results.files import ResultsFolder, known_folders
from less_core.data.visible_text import clip, one_line
from less_core.errors import LessError
from less_core.files.whole import list_folders, read_json
from less_core.report.style.pages import page_environment
from less_core.report.style.wording import thousands
from less_core.settings.file import FILES
from less_core.storage.layout import Run

MOST = 200  # deployments
READERS = 16  # an object store answers slowly
ENDED_OR_AT_WORK = ["PENDING", "RUNNING", "PAUSED", "CANCELLING", "COMPLETED", "FAILED", "CRASHED", "CANCELLED"]


@dataclass(frozen=True)
class Selected:
    """What was selected for one target."""

    target: str
    examples: int
    moved: str  # what came in and went out since the version before; empty for the first
    link: str


@dataclass(frozen=True)
class RunView:
    """A run of a schedule."""

    state: str
    state_type: str
    message: str
    time: str
    link: str


@dataclass(frozen=True)
class ScheduleView:
    """A schedule of a selection, and its deployment's last run."""

    selection: str
    runs: str  # folder of results; empty where the deployment does not say
    when: str
    timezone: str
    on: bool
    next: str
    last: RunView | None
    link: str


@dataclass(frozen=True)
class SelectionView:
    """A selection, by the record of its newest version."""

    name: str
    folder: str
    version: str
    finished: str
    selected: list[Selected]
    report: str
    schedules: list[ScheduleView]


def render_page(selections: Sequence[SelectionView], waiting: Sequence[ScheduleView], *, server_answers: bool, ui: str) -> str:
    """Return the page; `waiting` are schedules whose selection has no result yet."""
    return _template().render(selections=selections, waiting=waiting, server_answers=server_answers, ui=ui)


def read_selections(home: Path, schedules: Sequence[ScheduleView]) -> list[SelectionView]:
    """Return all selections of the folders that are known, newest first."""
    runs = [(folder, name) for folder in known_folders(home) for name in _names(folder)]
    with ThreadPoolExecutor(READERS) as readers:
        found = readers.map(lambda run: _read_selection(run[0], run[1], schedules), runs)
    return sorted((view for view in found if view), key=lambda view: view.finished, reverse=True)


def without_result(selections: Sequence[SelectionView], schedules: Sequence[ScheduleView]) -> list[ScheduleView]:
    """Return the schedules that belong to no selection of these."""
    shown = [schedule for selection in selections for schedule in selection.schedules]
    return [schedule for schedule in schedules if schedule not in shown]


async def ask_for_schedules(client: httpx.AsyncClient, ui: str) -> list[ScheduleView]:
    """Ask the Prefect server for the schedules of selections.

    Raises:
        httpx.HTTPError: It does not answer, or refuses.
    """
    wanted = {"flows": {"name": {"any_": [FORM]}}, "deployments": {"tags": {"all_": [SELECTION_TAG]}}, "limit": MOST}
    deployments = await _ask(client, "deployments/filter", wanted)
    found = await asyncio.gather(*(_schedules_of(client, deployment, ui) for deployment in deployments))
    return [schedule for schedules in found for schedule in schedules]


async def _schedules_of(client: httpx.AsyncClient, deployment: dict[str, Any], ui: str) -> list[ScheduleView]:
    coming, past = await asyncio.gather(
        _first_run(client, deployment, ["SCHEDULED"], "EXPECTED_START_TIME_ASC"),
        _first_run(client, deployment, ENDED_OR_AT_WORK, "EXPECTED_START_TIME_DESC"),
    )
    named = not str(deployment["parameters"].get("selection", "")).endswith(FILES)  # a file says its own folder
    views = []
    for schedule in deployment["schedules"]:
        rule = schedule["schedule"]
        zone = str(rule.get("timezone") or "UTC")
        on = bool(schedule["active"]) and not deployment["paused"]
        views.append(
            ScheduleView(
                selection=str(deployment["name"]),
                runs=str(deployment["parameters"].get("runs") or "").rstrip("/") if named else "",
                when=_rule_in_words(rule),
                timezone=zone,
                on=on,
                next=_time(coming["expected_start_time"], zone) if coming and on else "",
                last=_run_view(past, zone, ui) if past else None,
                link=f"{ui}/deployments/deployment/{deployment['id']}",
            )
        )
    return views


async def _first_run(client: httpx.AsyncClient, deployment: dict[str, Any], states: list[str], sort: str) -> dict[str, Any] | None:
    body = {
        "deployments": {"id": {"any_": [deployment["id"]]}},
        "flow_runs": {"state": {"type": {"any_": states}}},
        "sort": sort,
        "limit": RECENT,
    }
    found = await _ask(client, "flow_runs/filter", body)
    return next((run for run in found if SKIPPED not in ((run["state"] or {}).get("message") or "")), None)


async def _ask(client: httpx.AsyncClient, path: str, body: dict[str, Any]) -> list[dict[str, Any]]:
    answer = await client.post(path, json=body)
    return list(answer.raise_for_status().json())


def _run_view(run: dict[str, Any], zone: str, ui: str) -> RunView:
    state = run["state"]
    time = run["end_time"] or run["start_time"] or run["expected_start_time"]
    return RunView(
        state=state["name"],
        state_type=state["type"],
        message=clip(one_line(state["message"] or ""), 300),
        time=_time(time, zone),
        link=f"{ui}/runs/flow-run/{run['id']}",
    )


def _rule_in_words(rule: dict[str, Any]) -> str:
    if "cron" in rule:
        return str(rule["cron"])
    return f"every {rule['interval']:,.0f} s" if "interval" in rule else str(rule.get("rrule", ""))


def _names(folder: ResultsFolder) -> list[str]:
    try:
        return list_folders(folder.runs)
    except LessError:  # no right to read there, or no longer
        return []


def _read_selection(folder: ResultsFolder, name: str, schedules: Sequence[ScheduleView]) -> SelectionView | None:
    """Return a selection; None of a folder that is not one, or has no whole version yet."""
    published = Run(f"{folder.runs}/{name}").published
    try:
        record = read_json(published.record, made_by="a selection")
        return SelectionView(
            name=name,
            folder=published.root,
            version=record["version"],
            finished=_time(record["finished"], None),
            selected=_selected(record, f"/{folder.key}/{name}/selected"),
            report=f"/{folder.key}/{name}/report.html",
            schedules=[schedule for schedule in schedules if schedule.selection == name and schedule.runs in ("", folder.runs)],
        )
    except (LessError, OSError, KeyError, TypeError, ValueError):
        return None


def _selected(record: dict[str, Any], folder: str) -> list[Selected]:
    changes = record["changes"]["selections"] if record.get("changes") else []
    moved = {change["target"]: f"{change['came_in']:,} in, {change['went_out']:,} out" for change in changes}
    return [
        Selected(target["name"], target["selected"], moved.get(target["name"], ""), f"{folder}/{target['name']}.jsonl")
        for target in record["targets"]
    ]


def _time(moment: str, zone: str | None) -> str:
    """Return a time of ISO 8601 to the minute, in a time zone; without one, in this machine's, which is then named."""
    parsed = datetime.fromisoformat(moment.replace("Z", "+00:00"))
    aware = parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)
    return f"{aware.astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M}" if zone else f"{aware.astimezone():%Y-%m-%d %H:%M %Z}"


@cache
def _template() -> Template:
    environment = page_environment("flows.server.results")
    environment.filters["thousands"] = thousands
    return environment.get_template("results.html.j2")
