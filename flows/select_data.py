"""Select, out of pools of training examples, those that most help a model on some targets (LESS, arXiv 2402.04333).

    check ─> prepare ─> warmup ─┬─> target features ─┬─> influence ─> selection and report
                                └─> pool features ───┘

A baseline is the same flow without what its method does not need: no warmup for hidden states, no features for words.
The stages are imported when a run begins: Prefect also loads this file to deploy a flow or to cancel a run, where nobody wants to wait
for torch.
"""

from prefect import flow

from flows.run.first_look import look_first
from flows.run.names import typed_or
from flows.run.outcome import answering, completed
from less_core.features.requirements import RERANK, needs_warmup, sides_of, stage_names
from less_core.refs import ExactRef, FeaturesRef, InputsRef, RunRef, Side, StageCost
from less_core.settings.select import RewarmSettings, SelectSettings
from less_core.storage.layout import Version

NEVER_TELL = 1.0  # more than all of a selection cannot be new
ALWAYS = RewarmSettings(when="always")  # a selection of its own; the store still has the warmup of the same examples


@flow(name="select-data", flow_run_name=typed_or("{config.name}"), validate_parameters=True, persist_result=False)
@answering
def select_data(config: SelectSettings) -> RunRef:
    """Select the training examples that most help a model on some targets.

    Args:
        config: What to select from, what for, with which model and how much. Only name, model, pools and targets must be given.
    """
    return run_selection(config)


def run_selection(config: SelectSettings) -> RunRef:
    """Check, then run all stages; return the run's final state, whose result is what was made."""
    from flows.run.progress import board

    config = config.spelled_out()
    with board(config.name) as shown:
        shown.announce(stage_names(config))
        look_first(config)
        from flows import stages  # takes long: what is imported here is what computes

        inputs, version, cost = stages.look(config)
        return completed(make_version(config, version, inputs, ALWAYS, cost))


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
    from flows.run.runners import cluster
    from tasks.exact import plan_targets_exactly
    from tasks.warmup import without_warmup

    limit = config.execution.stage_hours * 3600 or None
    with cluster(config.execution, inputs.model.device) as runner:
        prepare = stages.prepare.with_options(timeout_seconds=limit, task_runner=runner)
        warmup = stages.warmup.with_options(timeout_seconds=limit, task_runner=runner)
        features = stages.features.with_options(timeout_seconds=limit, task_runner=runner)
        shortlist = stages.shortlist.with_options(timeout_seconds=limit)
        influence = stages.influence.with_options(timeout_seconds=limit)
        select_and_report = stages.select_and_report.with_options(timeout_seconds=limit)
        model = inputs.model
        prepared, cost = prepare(config, version, model)
        costs = [check_cost, cost]
        if not needs_warmup(config):
            stages.foresee(config, model, prepared)
        checkpoints = without_warmup(config, model)
        if needs_warmup(config):
            checkpoints, cost = warmup(config, version, inputs, prepared, rewarm)
            costs.append(cost)
        computed: dict[Side, FeaturesRef] = {}
        exact: ExactRef | None = None
        for side in sides_of(config):
            examples = prepared.pool if side == "pool" else prepared.target
            if side == "pool" and config.scoring != "store":
                exact = plan_targets_exactly(config, version, model, prepared.target, computed["target"])
            computed[side], cost = features(config, version, model, examples, checkpoints, exact if config.scoring == "exact" else None)
            costs.append(cost)
        made = list(computed.values())
        if exact and config.scoring == "rerank":
            exact, cost = shortlist(config, version, prepared, checkpoints, computed, exact)
            costs.append(cost)
            named = features.with_options(flow_run_name=f"{{config.name}} · {RERANK}")
            products, cost = named(config, version, model, prepared.pool, checkpoints, exact)
            made.append(products)
            costs.append(cost)
        scores, cost = influence(config, version, model, prepared, checkpoints, computed, exact)
        costs.append(cost)
        return select_and_report(config, version, inputs, prepared, checkpoints, made, scores, costs, tell_above)
