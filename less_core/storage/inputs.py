"""The inputs of a run, by their content: its model, its pools and its targets."""

from less_core.data.pools import open_pool
from less_core.data.targets import open_target
from less_core.method.projection import VERSION as PROJECTION_VERSION
from less_core.refs import InputsRef, ModelRef
from less_core.settings.select import SelectSettings
from less_core.storage.addresses import FEATURES_VERSION, INFLUENCE_VERSION, REPRESENTATION_VERSION, WARMUP_VERSION


def take_inputs(settings: SelectSettings, model: ModelRef) -> InputsRef:
    """Look at all inputs; files are read but not parsed."""
    return InputsRef(
        method=[WARMUP_VERSION, FEATURES_VERSION, PROJECTION_VERSION, REPRESENTATION_VERSION, INFLUENCE_VERSION],
        model=model,
        pools={pool.name: open_pool(settings, pool.name).digest() for pool in settings.pools},
        targets={target.name: open_target(settings, target).digest() for target in settings.targets},
    )
