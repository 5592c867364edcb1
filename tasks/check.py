"""Looking at the settings and at what they name before anything is computed: what cannot work is said in the first seconds."""

from less_core.files.parquet import read_columns
from less_core.preflight.checks import check_settings, check_space
from less_core.preflight.holdings import known_checkpoints, missing_bytes
from less_core.preflight.model import inspect_model
from less_core.refs import InputsRef, ModelRef, PreparedRef, WarmupRef
from less_core.settings.select import SelectSettings
from less_core.storage.formats.checkpoints import checkpoint_fingerprint
from less_core.storage.inputs import take_inputs
from less_core.storage.layout import Version, run_of
from less_core.storage.versions import new_version
from tasks.stage_task import stage_task


@stage_task("settings")
def check(settings: SelectSettings) -> None:
    """Raise the error that a user can act on."""
    check_settings(settings)


@stage_task("model, pools and targets")
def look_at_inputs(settings: SelectSettings) -> InputsRef:
    """Find the model and take the digests of all files."""
    return take_inputs(settings, inspect_model(settings))


@stage_task("open a version")
def open_version(settings: SelectSettings) -> Version:
    """Name the version that this run makes."""
    return new_version(run_of(settings))


@stage_task("room in the store")
def check_room(settings: SelectSettings, model: ModelRef, prepared: PreparedRef, kept: WarmupRef | None) -> None:
    """Check that the features that are missing fit on the store's disk, before a warmup is trained for them."""
    pool, target = (read_columns(examples.path, ["example_id"])["example_id"].unique() for examples in (prepared.pool, prepared.target))
    checkpoints = [checkpoint_fingerprint(folder) for folder in kept.folders] if kept else known_checkpoints(settings, model, pool)
    check_space(settings.store, missing_bytes(settings, model, checkpoints, pool, target))
