"""The last step: what the version was made from is written down, and the version becomes the newest."""

from less_core.refs import CheckpointsRef, InputsRef, RunRef, SelectionRef, StageCost
from less_core.settings.select import SelectSettings
from less_core.storage.layout import Version, run_of
from less_core.storage.provenance import Basis, best_measured, read_last, write_basis
from less_core.storage.versions import publish
from tasks.stage_task import stage_task


@stage_task("publish")
def publish_version(
    settings: SelectSettings,
    version: Version,
    inputs: InputsRef,
    checkpoints: CheckpointsRef,
    selections: list[SelectionRef],
    stages: list[StageCost],
    artifact: str,
) -> RunRef:
    """Make the version the newest; until now nothing that a reader of the selection sees has changed."""
    run = run_of(settings)
    found = read_last(run)
    basis = Basis(
        version=version.name,
        settings=settings.model_dump(mode="json"),
        inputs=inputs,
        warmup=checkpoints.warmup,
        selections=selections,
        measured=best_measured(stages, found[1] if found else None),
        artifact=artifact,
    )
    write_basis(version, basis)
    publish(run, version)
    return published(settings, version, selections)


def published(settings: SelectSettings, version: Version, selections: list[SelectionRef]) -> RunRef:
    """Return a version as its readers see it, under the run's own names."""
    names = run_of(settings).published
    return RunRef(
        name=settings.name,
        version=version.name,
        folder=names.root,
        report=names.report,
        selections=[selection.model_copy(update={"path": names.selected(selection.target)}) for selection in selections],
    )
