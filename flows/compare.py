"""Methods side by side on one's own data: each selects, the same model is trained on each selection, and judged on held-out examples.

    check ─> select (a flow a method, budget and draw) ─> train ─> evaluate ─> table and pictures

Nothing that the store has is computed again: a new method, budget or seed costs what is new.
"""

from prefect import flow

from flows.first_look import look_first
from flows.outcome import answering
from flows.run_names import typed_or
from less_core.compare_config import CompareSettings
from less_core.refs import ComparisonRef


@flow(name="compare", flow_run_name=typed_or("{config.name}"), validate_parameters=True, persist_result=False)
@answering
def compare(config: CompareSettings) -> ComparisonRef:
    """Select by several methods, train on each selection, and tell which helps the targets most.

    Args:
        config: The selection that the methods share, the methods, budgets and seeds, the training, and the held-out examples.
    """
    from flows.progress import board

    with board(config.name, foreseen=False) as shown:
        shown.announce(("check", "train", "evaluate", "compare"))
        look_first(config.select)
        from flows import trials  # takes long: what is imported here is what computes
        from flows.select_data import select_data

        model, check_cost = trials.look(config)
        runs = {selection.name: select_data(selection) for selection in trials.selections(config)}
        trainings, train_cost = trials.train(config, model, trials.plan(config, runs))
        outcomes, judge_cost = trials.evaluate(config, model, trainings)
        return trials.compare_outcomes(config, outcomes, [check_cost, train_cost, judge_cost])
