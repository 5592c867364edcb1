"""Make a selection again when its pools, its targets or its settings changed: what did not change is not computed again.

what changed? ─ nothing ─> the state `Unchanged`, in seconds
              └ else ────> the stages of `select_data`, with the warmup of the last version ─> what came in, what went out
"""

from contextlib import suppress
from typing import Annotated, Any, Literal

from prefect import flow
from pydantic import Field

from flows.run.first_look import look_first
from flows.run.names import typed_or
from flows.run.outcome import answering, completed
from flows.select_data import make_version
from less_core.errors import ConfigError, LessError
from less_core.features.requirements import stage_names
from less_core.refs import RunRef
from less_core.settings.file import FILES, load_settings
from less_core.settings.select import RewarmSettings
from less_core.storage.previous_settings import find_selection


def selection_name(parameters: dict[str, Any]) -> str:
    """Return the name of the selection that a run is asked for: by name, or by a configuration file that says it."""
    selection = str(parameters.get("selection") or "reselect")
    if selection.endswith(FILES):
        with suppress(LessError):  # of the settings; the run itself will say it
            return load_settings(selection, parameters.get("overrides") or []).name
    return selection


@flow(name="reselect", flow_run_name=typed_or(selection_name), validate_parameters=True, persist_result=False)
@answering
def reselect(
    selection: Annotated[str, Field(min_length=1)] = "",  # a schedule that lost it is told what to do, not that a field is missing
    runs: Annotated[str, Field(min_length=1)] = "runs",
    overrides: list[str] = [],  # noqa: B006
    rewarm: Literal["never", "when_pool_grew_by", "always"] = "never",
    pool_grew_by: Annotated[float, Field(gt=0)] = 0.5,
    tell_above: Annotated[float, Field(ge=0, le=1)] = 0.2,
) -> RunRef:
    """Make a selection again, and publish what changed since its last version.

    Args:
        selection: The name of a selection that was made before, such as maths, or a configuration file that ends in .yaml and is read
            anew in every run.
        runs: Folder or URL of the results, where a name is looked up. A configuration file says its own.
        overrides: Settings that differ from those of the last version or of the file, as key.sub=value. For example selection.amount=0.1.
        rewarm: never - keep the last version's warmup, so that only new examples cost anything. when_pool_grew_by - train it again once
            the pool has grown by the share below. always - train it on a new draw from the pool.
        pool_grew_by: Examples that came in since the warmup was trained, over those in the pool then. 0.5 is a half.
        tell_above: Where a larger share of a target's selection is new, the event less.selection.changed is emitted, for automations.
    """
    from flows.run.progress import board

    if not selection:
        do = "Name it here; for a schedule make one with `less-flow schedule NAME --cron ...`."
        raise ConfigError("selection", "the name of a selection or a configuration file", "none", do)
    config = find_selection(selection, runs, overrides).spelled_out()

    again = RewarmSettings(when=rewarm, pool_grew_by=pool_grew_by)
    with board(config.name) as shown:
        shown.announce(stage_names(config))
        look_first(config)
        from flows import stages  # takes long: what is imported here is what computes
        from tasks.reselection import find_unchanged

        inputs, version, cost = stages.look(config)
        if last := find_unchanged(config, inputs, again):
            told = f"Nothing changed since version {last.version}."
            return completed(last.model_copy(update={"unchanged": told}), name="Unchanged")
        return completed(make_version(config, version, inputs, again, cost, tell_above))
