"""Select, out of pools of training examples, those that most help a model on some targets (LESS, arXiv 2402.04333).

    check ─> prepare ─> warmup ─┬─> target features ─┬─> influence ─> selection and report
                                └─> pool features ───┘

The stages are imported when a run begins: Prefect also loads this file to deploy a flow or to cancel a run, where nobody wants to wait
for torch.
"""

from prefect import flow

from less_core.config import RewarmSettings, SelectSettings
from less_core.refs import InputsRef, RunRef
from less_core.report.summary import StageCost
from less_core.storage.layout import Version

NEVER_TELL = 1.0  # more than all of a selection cannot be new
ALWAYS = RewarmSettings(when="always")  # a selection of its own; the store still has the warmup of the same examples


@flow(name="select-data", flow_run_name="{config.name}", validate_parameters=True, persist_result=False)
def select_data(config: SelectSettings) -> RunRef:
    """Select the training examples that most help a model on some targets.

    Args:
        config: What to select from, what for, with which model and how much. Only name, model, pools and targets must be given.
    """
    return run_selection(config)


def run_selection(config: SelectSettings) -> RunRef:
    """Check, then run all stages."""
    from flows import stages
    from flows.progress import board

    with board(config.name, stages.NAMES):
        inputs, version, cost = stages.look(config)
        return make_version(config, version, inputs, ALWAYS, cost)


def make_version(
    config: SelectSettings,
    version: Version,
    inputs: InputsRef,
    rewarm: RewarmSettings,
    check_cost: StageCost,
    tell_above: float = NEVER_TELL,
) -> RunRef:
    """Run the stages after the check, and publish what they make."""
    from flows import stages

    limit = config.execution.stage_hours * 3600 or None
    prepare = stages.prepare.with_options(timeout_seconds=limit)
    warmup = stages.warmup.with_options(timeout_seconds=limit)
    features = stages.features.with_options(timeout_seconds=limit)
    influence = stages.influence.with_options(timeout_seconds=limit)
    select_and_report = stages.select_and_report.with_options(timeout_seconds=limit)
    model = inputs.model
    prepared, prepare_cost = prepare(config, version, model)
    checkpoints, warmup_cost = warmup(config, version, model, prepared, rewarm)
    target_features, target_cost = features(config, version, model, prepared.target, checkpoints)
    pool_features, pool_cost = features(config, version, model, prepared.pool, checkpoints)
    scores, influence_cost = influence(config, version, model, prepared, checkpoints, pool_features, target_features)
    costs = [check_cost, prepare_cost, warmup_cost, target_cost, pool_cost, influence_cost]
    return select_and_report(config, version, inputs, prepared, checkpoints, [target_features, pool_features], scores, costs, tell_above)
