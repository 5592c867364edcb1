"""What a run's page answers: where the results are, or what went wrong."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import prefect
import pytest
from packaging.version import Version
from playwright.sync_api import Locator, Page
from service import HEIGHT, V1, V2, Service, picture, wait_for

from less_core.settings.select import SelectSettings

OLDER = Version(prefect.__version__) < Version("3.9")  # its V2 UI lists the versions of an artifact first: a click more

pytestmark = pytest.mark.slow


@pytest.fixture
def quick(tmp_path: Path, tiny_model: Path, make_settings: Callable[..., SelectSettings]) -> dict[str, Any]:
    """What a person types into quick-select; the data is there."""
    make_settings()
    typed = {"name": "answers", "pool": str(tmp_path / "a.jsonl"), "target": str(tmp_path / "t.jsonl"), "model": str(tiny_model)}
    return typed | {"results": str(tmp_path / "runs")}


def test_a_wrong_path_is_the_runs_state_and_an_artifact_before_anything_heavy_is_imported(
    service: Service, page: Page, quick: dict[str, Any]
) -> None:
    run = service.start("quick-select", quick | {"pool": "nowhere/pool.jsonl"})
    assert service.ended(run) == "FAILED"
    found = service.run(run)
    reason = f"nothing at {service.folder}/nowhere/pool.jsonl"
    assert reason in found["state"]["message"]
    assert "data_dir" not in found["state"]["message"]  # which the form has not
    assert not service.stage_runs(run)  # they would have imported torch
    (artifact,) = [a for key, a in service.artifacts(run).items() if key.endswith("what-went-wrong")]
    assert "nowhere" in artifact["data"]
    log = wait_for(lambda: [line for line in service.logs(run) if "nowhere" in line])
    assert "Traceback" not in "".join(log)
    assert len(service.logs(run)) < 10
    assert not [line for line in service.logs(run) if "submit" in line]  # the worker's log has it
    for at in (V2, V1):
        page.goto(f"{service.base}{at}/runs/flow-run/{run}")
        told = page.get_by_text(reason).first
        told.wait_for()

        def above_the_fold(told: Locator = told) -> bool:
            box = told.bounding_box()
            return box is not None and box["y"] + box["height"] < HEIGHT

        wait_for(above_the_fold)  # the picture of stages above it shrinks once the page knows that there are none
        picture(page, f"failed-run{at.replace('/', '-')}")


def test_a_finished_run_names_its_files_and_one_click_opens_the_report(service: Service, page: Page, quick: dict[str, Any]) -> None:
    run = service.start("quick-select", quick | {"size": "small"})
    assert service.ended(run) == "COMPLETED", service.run(run)["state"]
    folder = Path(quick["results"]) / "answers"
    message = service.run(run)["state"]["message"]
    assert f"report: {folder}/report.html" in message
    artifacts = service.artifacts(run)
    result, link = artifacts["answers-result"], artifacts["answers-report-page"]
    assert f"{folder}/selected/target.jsonl" in result["data"]
    assert "answers-report" in artifacts
    address = link["data"].partition("](")[2].partition(")")[0] or link["data"]
    assert httpx.get(address, timeout=30).text == (folder / "report.html").read_text()
    assert address in result["data"]
    for at in (V2, V1):
        page.goto(f"{service.base}{at}/runs/flow-run/{run}")
        page.get_by_text("Artifacts", exact=True).click()
        page.get_by_text("answers-result", exact=True).first.click()
        if at == V2 and OLDER:
            page.get_by_text(result["id"].partition("-")[0]).first.click()
        page.get_by_text(f"{folder}/selected/target.jsonl").first.wait_for()
        report = page.get_by_role("link", name="open it in the browser").first
        assert report.get_attribute("href") == address
        picture(page, f"result-page{at.replace('/', '-')}")
    opened = page.goto(address)
    assert opened is not None
    assert opened.ok
    picture(page, "report-page")
