"""The events that automations hang on; `deployments/README.md` lists them with what they carry."""

from typing import Any

from prefect.events import emit_event

from less_core.changes.records import ChangeSummary
from less_core.refs import RunRef, StageCost
from less_core.report.changes.wording import headline_changes


def stage_finished(selection: str, cost: StageCost) -> None:
    """Emit `less.stage.finished`: what a stage of a selection counted, how long it took and what it wrote."""
    _emit("less.stage.finished", selection, cost.model_dump(), {"less.stage": cost.name})


def selection_published(run: RunRef) -> None:
    """Emit `less.selection.published`: a version became the newest of its selection."""
    _emit("less.selection.published", run.name, {"version": run.version, "report": run.report})


def selection_changed(run: RunRef, changes: ChangeSummary | None, tell_above: float) -> None:
    """Emit `less.selection.changed` for each target where the share of new examples in the selection exceeds `tell_above`."""
    for change in changes.selections if changes else ():
        share = change.came_in / change.now if change.now else 0.0
        if share > tell_above:
            told = {"version": run.version, "target": change.target, "new": share, "summary": headline_changes(change)}
            _emit("less.selection.changed", run.name, told)


def _emit(event: str, selection: str, payload: dict[str, Any], labels: dict[str, str] | None = None) -> None:
    resource = {"prefect.resource.id": f"less.selection.{selection}", "prefect.resource.name": selection, **(labels or {})}
    emit_event(event, resource=resource, payload=payload)
