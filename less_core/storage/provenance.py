"""What a version of a selection was made from, so that the next one knows what changed and what can be kept."""

import logging
from typing import Any

from pydantic import ValidationError

from less_core.errors import CorruptArtifactError, MissingArtifactError
from less_core.files.fingerprint import fingerprint
from less_core.files.whole import read_json, write_json
from less_core.refs import InputsRef, ModelRef, Record, SelectionRef, StageCost, WarmupRef
from less_core.settings.select import RewarmSettings, SelectSettings
from less_core.storage.layout import Run, Version
from less_core.storage.versions import current_version

logger = logging.getLogger(__name__)

WITHOUT_INFLUENCE = {"name", "store", "runs", "data_dir", "execution"}  # settings that do not change a selection


class Basis(Record):
    """All that a version was made from, and what making it from nothing would have taken."""

    version: str
    settings: dict[str, Any]
    inputs: InputsRef
    warmup: WarmupRef | None
    selections: list[SelectionRef]
    measured: dict[str, StageCost]  # by stage: the run, of this version or one before, in which it computed the most
    artifact: str = ""  # URL of its report in the Prefect UI


def influential(settings: SelectSettings) -> dict[str, Any]:
    """Return the settings that can change a selection."""
    return settings.model_dump(mode="json", exclude=WITHOUT_INFLUENCE)


def is_unchanged(settings: SelectSettings, inputs: InputsRef, last: Basis, rewarm: RewarmSettings) -> bool:
    """Tell whether a selection from these inputs would be the last one again."""
    if last.warmup and not last.warmup.fresh:
        grew = last.warmup.new_examples / last.warmup.pool_examples >= rewarm.pool_grew_by
        if rewarm.when == "always" or (rewarm.when == "when_pool_grew_by" and grew):
            return False
    before = {key: value for key, value in last.settings.items() if key not in WITHOUT_INFLUENCE}
    now, then = (found.model_dump(exclude={"model": {"folder", "device"}}) for found in (inputs, last.inputs))
    return before == influential(settings) and now == then


def warmup_needs(settings: SelectSettings, model: ModelRef) -> str:
    """Return the address of all that a warmup depends on but its examples."""
    kept = settings.warmup.model_dump(mode="json")
    return fingerprint([model.fingerprint, model.encoding, model.dtype, model.lora.model_dump(), kept])


def best_measured(stages: list[StageCost], last: Basis | None) -> dict[str, StageCost]:
    """Return for each stage the run, this one or one before, in which it computed the most: the best measure of its speed."""
    before = last.measured if last else {}
    return {stage.name: max(stage, _like(stage, before), key=lambda measured: measured.computed) for stage in stages}


def _like(stage: StageCost, before: dict[str, StageCost]) -> StageCost:
    """Return what the stage was measured at before, if it counted the same; itself where it was not."""
    found = before.get(stage.name, stage)
    return found if found.unit == stage.unit else stage


def seconds_from_nothing(stages: list[StageCost], last: Basis | None) -> float:
    """Return what the stages would have taken with nothing reused, by the best measured speed of each."""
    measured = best_measured(stages, last)
    return sum(
        max(stage.seconds, measured[stage.name].seconds / measured[stage.name].computed * stage.total)
        if measured[stage.name].computed
        else stage.seconds
        for stage in stages
    )


def write_basis(version: Version, basis: Basis) -> None:
    """Write a version's basis."""
    write_json(version.basis, basis.model_dump(mode="json"))


def read_last(run: Run) -> tuple[Version, Basis] | None:
    """Return the published version and its basis; None before the first, and where the basis does not hold, which costs no more than
    what it would have saved.
    """
    version = current_version(run)
    if version is None:
        return None
    try:
        return version, read_basis(version)
    except (MissingArtifactError, CorruptArtifactError) as error:
        logger.warning("%s This version is made as if it were the first.", error)
        return None


def read_basis(version: Version) -> Basis:
    """Return a version's basis.

    Raises:
        MissingArtifactError: It is not there.
        CorruptArtifactError: It is not a basis.
    """
    try:
        return Basis.model_validate(read_json(version.basis, made_by="a selection"))
    except ValidationError as error:
        got = f"{error.errors()[0]['loc']}: {error.errors()[0]['msg']}"
        raise CorruptArtifactError(version.basis, "the basis of a selection", got, "Run `less-flow run` once to make it anew.") from None
