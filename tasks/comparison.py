"""What a comparison of methods comes to: gathered, and written for people and for programs."""

import yaml

from less_core.files.whole import write_json, write_whole
from less_core.refs import ComparisonRef, OutcomeRef, StageCost
from less_core.report.comparison.markdown import render_comparison
from less_core.report.comparison.outcomes import Agreement, ComparisonSummary, Outcome
from less_core.settings.compare import CompareSettings, TrainingSettings
from less_core.storage.layout import ComparisonFiles, run_of
from tasks.stage_task import stage_task


@stage_task("summarise the comparison")
def summarise_comparison(
    config: CompareSettings, outcomes: list[OutcomeRef], agreements: list[Agreement], costs: list[StageCost]
) -> ComparisonSummary:
    """Gather all of a comparison."""
    return ComparisonSummary(
        name=config.name,
        model=config.select.model.path,
        trained=config.training.model or config.select.model.path,
        training=describe_training(config.training),
        seeds=config.seeds,
        seconds=sum(cost.seconds for cost in costs),
        outcomes=[
            Outcome(
                method=outcome.trial.method,
                amount=outcome.trial.amount,
                target=outcome.target,
                seed=outcome.trial.seed,
                examples=outcome.examples,
                held_out=outcome.held_out,
                training=outcome.training,
                loss=outcome.loss,
                accuracy=outcome.accuracy,
                tasks=outcome.tasks,
            )
            for outcome in outcomes
        ],
        agreements=agreements,
        settings_yaml=yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True),
    )


@stage_task("write the comparison")
def write_comparison(config: CompareSettings, summary: ComparisonSummary, pictures: dict[str, bytes]) -> ComparisonRef:
    """Write pictures, by their names, table and, last, the record."""
    files = ComparisonFiles(run_of(config.select).root)
    for what, picture in pictures.items():
        with write_whole(files.picture(what)) as file:
            file.write(picture)
    shown = {"Losses of methods over seeds": "outcomes.png"}
    shown |= {f"How far selections for {a.target} agree": f"agreement-{a.target}.png" for a in summary.agreements}
    with write_whole(files.table) as file:
        file.write(render_comparison(summary, shown).encode())
    write_json(files.record, summary.model_dump(mode="json"))
    return ComparisonRef(name=config.name, table=files.table, picture=files.picture("outcomes"), record=files.record)


def describe_training(settings: TrainingSettings) -> str:
    """Return how models are trained, in words."""
    kind = "all weights" if settings.kind == "full" else f"LoRA of rank {settings.lora.rank}"
    epochs = f"{settings.epochs} epoch{'s' if settings.epochs > 1 else ''}"
    return f"{kind}, {epochs}, batch {settings.batch_size}, learning rate {settings.learning_rate:g}"
