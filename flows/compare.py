"""Methods side by side on one's own data: each selects, the same model is trained on each selection, and judged on held-out examples.

    check ─> select (a flow a method, budget and draw) ─> train ─> evaluate ─> table and pictures

Nothing that the store has is computed again: a new method, budget or seed costs what is new.
"""

from prefect import flow

from flows.run.first_look import look_first
from flows.run.names import typed_or
from flows.run.outcome import answering
from less_core.refs import ComparisonRef
from less_core.settings.compare import CompareSettings


@flow(name="compare", flow_run_name=typed_or("{config.name}"), validate_parameters=True, persist_result=False)
@answering
def compare(config: CompareSettings) -> ComparisonRef:
    """Select by several methods, train on each selection, and tell which helps the targets most.

    Args:
        config: The selection that the methods share, the methods, budgets and seeds, the training, and the held-out examples.
    """
    from flows.run.progress import board

    with board(config.name, foreseen=False) as shown:
        shown.announce(("check", "train", "evaluate", "compare"))
        look_first(config.select)
        from flows import compare_stages as stages  # takes long: what is imported here is what computes
        from flows.select_data import select_data

        model, check_cost = stages.look(config)
        runs = {selection.name: select_data(selection) for selection in stages.selections(config)}
        trainings, train_cost = stages.train(config, model, stages.plan(config, runs))
        outcomes, judge_cost = stages.evaluate(config, model, trainings)
        return stages.compare_outcomes(config, outcomes, [check_cost, train_cost, judge_cost])
