"""The start of a re-selection: whether anything changed since it was last made."""

import logging

from less_core.errors import CorruptArtifactError, MissingArtifactError
from less_core.refs import InputsRef, RunRef
from less_core.settings.select import RewarmSettings, SelectSettings
from less_core.storage.formats.selections import verify_selected_rows
from less_core.storage.layout import run_of
from less_core.storage.provenance import is_unchanged, read_last
from tasks.publish import published
from tasks.stage_task import stage_task

logger = logging.getLogger(__name__)


@stage_task("what changed")
def find_unchanged(settings: SelectSettings, inputs: InputsRef, rewarm: RewarmSettings) -> RunRef | None:
    """Return the last version if making it again would give the same; None where something changed, where what it selected is damaged or
    gone, or before the first.
    """
    found = read_last(run_of(settings))
    if found is None:
        return None
    last, basis = found
    if not is_unchanged(settings, inputs, basis, rewarm):
        return None
    try:
        for selection in basis.selections:
            verify_selected_rows(last.selected(selection.target), selection.address)
    except (CorruptArtifactError, MissingArtifactError) as error:
        logger.warning("%s It is made anew.", error)
        return None
    return published(settings, last, basis.selections)
