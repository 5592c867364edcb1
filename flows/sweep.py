"""The same selection with several settings: how much a choice matters. Whatever can be shared or derived is computed once."""

from typing import Annotated

from prefect import flow
from pydantic import Field

from flows.run.first_look import look_first
from flows.run.names import typed_or
from flows.run.outcome import answering
from less_core.settings.select import SelectSettings


@flow(name="sweep", flow_run_name=typed_or("{config.name} · sweep"), validate_parameters=True, persist_result=False)
@answering
def sweep(config: SelectSettings, variants: Annotated[list[str], Field(min_length=1)]) -> list[str]:
    """Make a selection with each of some settings, and tell how far each agrees with the first.

    Args:
        config: The selection; it is made as it is, too.
        variants: Settings that differ, each key.sub=value or several with spaces between. For example features.fidelity=paper.
    """
    look_first(config)  # before torch is imported: a wrong path is said within seconds

    from flows.agree import agree
    from flows.select_data import select_data
    from less_core.settings.sweep import sweep_settings

    names = [select_data(settings).name for settings in sweep_settings(config, variants)]
    return agree(names, config.runs)
