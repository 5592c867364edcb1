"""From the page of all selections to a report, in a real browser, and what stands there of a schedule."""

import os
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
import yaml
from playwright.sync_api import Page
from service import Service, wait_for

from flows.run.results_links import results_link
from flows.server.names import FORM, RESULTS_HOME, RESULTS_URL, SELECTION_TAG
from less_core.settings.select import SelectSettings

pytestmark = pytest.mark.slow


def schedule(service: Service, name: str, selection: str, parameters: dict[str, str]) -> str:
    """Make a deployment that is a selection's schedule; return its id."""
    flow = service.post("flows/filter", {"flows": {"name": {"any_": [FORM]}}})[0]["id"]
    pool = {"work_pool_name": "less", "work_queue_name": "device"}
    nightly = {"active": True, "schedule": {"cron": "0 3 * * *", "timezone": "Europe/Berlin"}}
    body = {
        "name": name,
        "flow_id": flow,
        "tags": [SELECTION_TAG],
        "parameters": {"selection": selection} | parameters,
        "schedules": [nightly],
    }
    copied = {key: service.deployment("reselect")[key] for key in ("entrypoint", "pull_steps", "path")}
    return str(service.post("deployments/", body | pool | copied)["id"])


def test_page_of_results_leads_to_reports_and_tells_how_schedules_fared(
    service: Service, page: Page, make_settings: Callable[..., SelectSettings], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = make_settings(name="shown", method="random")
    assert service.ended(service.start("select", {"config": settings.model_dump(mode="json")})) == "COMPLETED"
    monkeypatch.setenv(RESULTS_HOME, str(service.folder / "home" / "results"))
    monkeypatch.setenv(RESULTS_URL, service.results)
    link = results_link(f"{settings.runs}/shown", "report.html")
    config = tmp_path / "missing.yaml"
    config.write_text(yaml.safe_dump(settings.model_dump(mode="json") | {"pools": [{"name": "a", "path": "missing.jsonl"}]}))
    nightly = [schedule(service, "shown", "shown", {"runs": settings.runs}), schedule(service, "broken", str(config), {})]
    runs = [service.post(f"deployments/{deployment}/create_flow_run", {"state": {"type": "SCHEDULED"}})["id"] for deployment in nightly]
    assert [service.ended(run) for run in runs] == ["COMPLETED", "FAILED"]
    wait_for(lambda: all(service.runs(name)[0]["auto_scheduled"] for name in ("shown", "broken")))  # the next night

    page.goto(service.results)
    card = page.locator("section").filter(has=page.get_by_role("heading", name="shown", exact=True))
    assert {"0 3 * * *", "Europe/Berlin", "Unchanged"} <= set(card.locator("code, small, .state").all_inner_texts())
    assert "03:00" in card.inner_text()
    waiting = page.get_by_role("row").filter(has_text="broken")
    assert "missing.jsonl" in waiting.inner_text()
    if folder := os.environ.get("SCREENSHOTS"):
        page.screenshot(path=f"{folder}/selections.png", full_page=True)
    waiting.get_by_role("link", name="Failed").click()
    page.wait_for_url(f"**/{runs[1]}*")
    page.goto(service.results)
    card.get_by_role("link", name="Report").click()
    page.wait_for_url(link)
    page.get_by_role("heading", name="shown").wait_for()
    assert page.locator("img").first.evaluate("image => image.naturalWidth")  # what forbids scripts allows the pictures
    selected = httpx.get(f"{service.results}{link.removeprefix(service.results).replace('report.html', 'selected/t.jsonl')}")
    assert selected.content == Path(f"{settings.runs}/shown/selected/t.jsonl").read_bytes()
    for deployment in nightly:
        wait_for(lambda deployment=deployment: httpx.delete(f"{service.base}/api/deployments/{deployment}").raise_for_status())
