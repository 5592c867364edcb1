"""How far selections agree: of different methods, settings or models, or two versions of one."""

from itertools import combinations
from typing import Annotated

from prefect import flow
from prefect.artifacts import create_image_artifact, create_table_artifact
from pydantic import Field

from flows.run.names import typed_or
from flows.run.outcome import answering


@flow(name="agree", flow_run_name=typed_or("agreement of {selections}"), validate_parameters=True, persist_result=False)
@answering
def agree(
    selections: Annotated[list[str], Field(min_length=2)],
    runs: Annotated[str, Field(min_length=1)] = "runs",
) -> list[str]:
    """Tell how far selections agree, target by target: overlap, rank correlation, rank shift.

    Args:
        selections: Two or more names of selections. A name alone is the newest version; name@version is that one.
        runs: Folder or URL of the results.
    """
    from flows.run.artifacts import artifact_key
    from flows.run.progress import attempt
    from less_core.report.changes.markdown import change_row
    from less_core.report.changes.wording import agreement, headline_changes
    from less_core.report.comparison.plots import plot_agreement
    from less_core.report.style.drawing import data_uri
    from less_core.report.style.inline import cell
    from tasks.agree import agree_pair, agreements

    changes = {pair: agree_pair(runs, *pair) for pair in combinations(selections, 2)}
    lines: list[str] = []
    rows: list[dict[str, str | int | float]] = []
    for (one, other), found in changes.items():
        for change in found:
            lines.append(f"{one} and {other}, {headline_changes(change)}; {agreement(change)}")
            rows.append({"one": cell(one), "other": cell(other), **change_row(change)})
    key = "-".join(selections)[:80]

    def show() -> None:
        create_table_artifact(key=artifact_key(key, "agreement"), table=rows, description="How far selections agree")
        for matrix in agreements(changes):
            picture, of = data_uri(plot_agreement(matrix)), artifact_key(key, f"agreement-{matrix.target}")
            create_image_artifact(key=of, image_url=picture, description=f"For {matrix.target}")

    attempt("the agreement", show)
    return lines
