"""How a run ends, for whoever looks at its page."""

from pathlib import Path

import pytest
from prefect import Flow, flow, get_client, task
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId, FlowFilter, FlowFilterName

from flows.run import outcome
from flows.run.outcome import answering
from flows.run.progress import board, on_run_page
from less_core.errors import ConfigError
from less_core.refs import RunRef

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("prefect_server")]

ERROR = ConfigError("model.path", "a folder with a model", "nothing at /models/x", "Check the path.")


@task
def looks() -> None:
    raise ConfigError("model.path", "a folder with a model", "nothing at /models/x", "Check the path.")


@flow(name="stage-of-a-test")
def stage() -> None:
    looks.submit().result()


@flow(name="fails-by-a-less-error")
@answering
def fails() -> None:
    stage()


@flow(name="fails-by-a-bug")
@answering
def breaks() -> None:
    raise RuntimeError("a bug")


@flow(name="stage-with-an-artifact")
def shows() -> None:
    from prefect.artifacts import create_markdown_artifact

    on_run_page(create_markdown_artifact, key="of-the-run", markdown="found")


@flow(name="parent-of-an-artifact")
def parent() -> None:
    with board("parent", foreseen=False):
        shows()


@flow(name="parent-of-a-failure")
@answering
def parent_of_a_failure() -> None:
    with board("parent", foreseen=False):
        fails()


def artifacts(of: Flow) -> dict[str, str]:
    """Return the artifacts on the pages of a flow's runs by key."""
    with get_client(sync_client=True) as client:
        runs = client.read_flow_runs(flow_filter=FlowFilter(name=FlowFilterName(any_=[of.name])))
        of_them = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[run.id for run in runs]))
        return {found.key: str(found.data) for found in client.read_artifacts(artifact_filter=of_them) if found.key}


def test_a_less_error_is_the_state_and_an_artifact_of_the_run_itself() -> None:
    state = fails(return_state=True)
    assert state.is_failed()
    assert state.message == str(ERROR)
    ((key, shown),) = artifacts(fails).items()
    assert key.endswith("what-went-wrong")
    assert "nothing at /models/x" in shown


def test_a_less_error_is_raised_to_whoever_called_the_flow() -> None:
    with pytest.raises(ConfigError, match="nothing at /models/x"):
        fails()


def test_a_bug_is_left_to_prefect() -> None:
    state = breaks(return_state=True)
    assert "RuntimeError" in (state.message or "")
    assert artifacts(breaks) == {}


def test_an_artifact_made_within_a_stage_is_on_the_page_of_the_whole_run() -> None:
    parent()
    assert artifacts(parent)["of-the-run"] == "found"
    assert artifacts(shows) == {}


def test_a_failure_within_another_run_is_told_on_the_pages_of_both() -> None:
    before = len(artifacts(fails))
    parent_of_a_failure(return_state=True)
    assert len(artifacts(fails)) == before + 1
    assert [key for key in artifacts(parent_of_a_failure) if key.endswith("what-went-wrong")]


def test_a_relative_folder_of_results_is_linked_by_its_whole_path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    asked: list[str] = []
    monkeypatch.setattr(outcome, "results_link", lambda folder, file: asked.append(folder) or "")
    outcome.completed(RunRef(name="maths", version="v", folder="runs/maths", report="runs/maths/report.html", selections=[]))
    assert asked == [f"{tmp_path}/runs/maths"]


def test_a_result_that_the_server_cannot_show_is_still_the_result(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(**artifact: str) -> None:
        raise RuntimeError("no room")

    monkeypatch.setattr(outcome, "create_markdown_artifact", refused)
    found = RunRef(name="maths", version="v", folder="runs/maths", report="runs/maths/report.html", selections=[])
    assert outcome.completed(found).data == found
