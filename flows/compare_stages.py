"""The stages of a comparison, each a flow of its own: trainings on selections, their evaluation, and what they come to."""

from functools import partial
from itertools import combinations

from prefect import flow
from prefect.artifacts import create_image_artifact, create_markdown_artifact, create_table_artifact

from flows.run.artifacts import artifact_key
from flows.run.progress import Stage, attempt
from flows.stages import ONE, windowed
from less_core.files.whole import size_of, size_of_folder
from less_core.refs import ComparisonRef, ModelRef, OutcomeRef, RunRef, StageCost, TrainingRef, TrialRef
from less_core.report.comparison.markdown import comparison_row, render_comparison
from less_core.report.comparison.outcomes import UNTRAINED, WHOLE_POOL, ComparisonSummary, method_rows
from less_core.report.comparison.plots import plot_agreement, plot_outcomes
from less_core.report.style.drawing import data_uri
from less_core.settings.compare import CompareSettings, draws
from less_core.settings.plain_numbers import plain
from less_core.settings.select import SelectSettings
from less_core.storage.layout import run_of
from tasks.agree import agree_pair, agreements
from tasks.check import check
from tasks.comparison import summarise_comparison, write_comparison
from tasks.evaluation import judge
from tasks.training import look_at_trained_model, train_on


@flow(name="check", flow_run_name="{config.name} · check", persist_result=False)
def look(config: CompareSettings) -> tuple[ModelRef, StageCost]:
    """Look at what is trained and at every selection's settings: what cannot work is said before anything is computed."""
    with Stage("check", "selections") as stage:
        model = look_at_trained_model(config)
        settings = selections(config)
        for selection in settings:
            check(selection)
        stage.done(len(settings), len(settings))
    return model, stage.cost


@flow(name="train", flow_run_name="{config.name} · train", task_runner=ONE, persist_result=False)
def train(config: CompareSettings, model: ModelRef, trials: list[TrialRef]) -> tuple[list[TrainingRef], StageCost]:
    """Train on the examples of every trial that the store has no training of."""
    with Stage("train", "trainings") as stage:
        trainings = list(windowed(partial(train_on.submit, config, model), trials))
        computed = [training for training in trainings if training.computed]
        written = sum(size_of_folder(training.folder) for training in computed)
        stage.done(len(trainings), len(computed), bytes_written=written)
    return trainings, stage.cost


@flow(name="evaluate", flow_run_name="{config.name} · evaluate", task_runner=ONE, persist_result=False)
def evaluate(config: CompareSettings, model: ModelRef, trainings: list[TrainingRef]) -> tuple[list[OutcomeRef], StageCost]:
    """Judge every trained model on its targets' held-out examples."""
    with Stage("evaluate", "outcomes") as stage:
        outcomes = [outcome for found in windowed(partial(judge.submit, config, model), trainings) for outcome in found]
        written = sum(outcome.bytes_written for outcome in outcomes)
        stage.done(len(outcomes), sum(outcome.computed for outcome in outcomes), bytes_written=written)
    return outcomes, stage.cost


@flow(name="compare outcomes", flow_run_name="{config.name} · compare", persist_result=False)
def compare_outcomes(config: CompareSettings, outcomes: list[OutcomeRef], costs: list[StageCost]) -> ComparisonRef:
    """Put the outcomes together, over seeds, and hold the selections against each other."""
    with Stage("compare", "outcomes") as stage:
        chosen = {s.name: f"{s.method} {plain(s.selection.amount)}" for s in selections(config) if s.seed == config.seeds[0]}
        pairs = {pair: agree_pair(config.select.runs, *pair) for pair in combinations(chosen, 2)}
        summary = summarise_comparison(config, outcomes, agreements(pairs, chosen), costs)
        pictures = {"outcomes": plot_outcomes(summary)} | {f"agreement-{a.target}": plot_agreement(a) for a in summary.agreements}
        ref = write_comparison(config, summary, pictures)
        attempt("the comparison", lambda: show_comparison(config.name, summary, pictures))
        written = size_of(ref.table) + size_of(ref.record) + sum(len(picture) for picture in pictures.values())
        stage.done(len(outcomes), len(outcomes), bytes_written=written)
    return ref


def show_comparison(name: str, summary: ComparisonSummary, pictures: dict[str, bytes]) -> None:
    """Make the artifacts of a comparison."""
    for what, picture in pictures.items():
        create_image_artifact(key=artifact_key(name, what), image_url=data_uri(picture), description=f"{what} of {name}")
    rows = [comparison_row(row) for target in summary.targets for row in method_rows(summary.outcomes, target)]
    create_table_artifact(key=artifact_key(name, "outcomes-table"), table=rows, description=f"Outcomes of {name}")
    page = render_comparison(summary, {"Losses of methods over seeds": data_uri(pictures["outcomes"])})
    create_markdown_artifact(key=artifact_key(name, "comparison"), markdown=page, description=f"Comparison {name}")


def selections(config: CompareSettings) -> list[SelectSettings]:
    """Return the settings of every selection, those that draw once a seed."""
    return [
        config.selection(method, amount, seed)
        for method in config.methods
        for amount in config.budgets
        for seed in (config.seeds if draws(method) else config.seeds[:1])
    ]


def plan(config: CompareSettings, runs: dict[str, RunRef]) -> list[TrialRef]:
    """Return what is trained and judged: each seed on each selection, on the whole pool, and the model as it is."""
    targets = [target.name for target in config.select.targets]
    index = ""
    trials = []
    for method in config.methods:
        for amount in config.budgets:
            for seed in config.seeds:
                settings = config.selection(method, amount, seed if draws(method) else config.seeds[0])
                version = run_of(settings).version(runs[settings.name].version)
                index = version.index("pool")
                for target in targets:
                    ids = version.selected_ids(target)
                    trials.append(TrialRef(method=method, amount=amount, seed=seed, targets=[target], index=index, ids=ids))
    if config.whole_pool:
        trials += [TrialRef(method=WHOLE_POOL, amount=0, seed=seed, targets=targets, index=index, ids="") for seed in config.seeds]
    if config.untrained:
        trials.append(TrialRef(method=UNTRAINED, amount=0, seed=config.seeds[0], targets=targets, index="", ids=""))
    return trials
