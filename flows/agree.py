"""Hold selections against each other: different settings, different models, or two versions of one."""

from itertools import combinations
from typing import Annotated

from prefect import flow
from prefect.artifacts import create_table_artifact
from pydantic import Field


@flow(name="compare", flow_run_name="compare", validate_parameters=True, persist_result=False)
def compare(
    selections: Annotated[list[str], Field(min_length=2)],
    runs: Annotated[str, Field(min_length=1)] = "runs",
) -> list[str]:
    """Tell how far selections agree, target by target: overlap, rank correlation, rank shift.

    Args:
        selections: Two or more names of selections. A name alone is the newest version; name@version is that one.
        runs: Folder or URL of the results.
    """
    from flows.progress import artifact_key
    from less_core.report.change_markdown import change_row
    from less_core.report.change_wording import agreement, headline_changes
    from less_core.report.markdown import cell
    from tasks.compare import compare_pair

    lines: list[str] = []
    rows: list[dict[str, str | int | float]] = []
    for one, other in combinations(selections, 2):
        for change in compare_pair(runs, one, other):
            lines.append(f"{one} and {other}, {headline_changes(change)}; {agreement(change)}")
            rows.append({"one": cell(one), "other": cell(other), **change_row(change)})
    create_table_artifact(key=artifact_key("-".join(selections)[:80], "comparison"), table=rows, description="How far selections agree")
    return lines
