"""The first seconds of a run, before its libraries are imported."""

from flows.demo import provide_demo_data, provide_demo_model
from less_core.preflight.first_look import check_paths
from less_core.settings.select import SelectSettings


def look_first(settings: SelectSettings) -> None:
    """Check that all that the settings name is there; the demo's model and data are made where they are asked for.

    Raises:
        LessError: It is not there.
    """
    provide_demo_data(settings)
    check_paths(settings)
    provide_demo_model(settings)  # last, as it takes half a minute
