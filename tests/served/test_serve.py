"""`less-flow serve` and the Prefect UI, in a real browser.

With the environment variable SCREENSHOTS naming a folder, the pages are kept there as pictures.
"""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page
from samples import conversation, write_jsonl
from service import Service, picture, press_until, wait_for

from less_core.settings.select import SelectSettings

POOL = 80  # examples
NEW = 4  # 5% of them
STAGES = ("check", "prepare", "warmup", "target features", "pool features", "influence", "selection and report")

pytestmark = pytest.mark.slow


@pytest.fixture
def settings(make_settings, tmp_path: Path) -> SelectSettings:
    write_jsonl(tmp_path / "pool" / "part-0.jsonl", [conversation(i) for i in range(POOL)])
    pools = [{"name": "mix", "path": "pool"}]
    execution = {"shard_size": 2, "batch_tokens": 256, "device": "cpu"}
    return make_settings(name="browser", pools=pools, selection={"by": "fraction", "amount": 0.5}, execution=execution)


def press_run(service: Service, page: Page, name: str, seen: str) -> str:
    """Press Run on a deployment's page and submit the form, which shows `seen`, as it is; return the run's id."""
    before = {run["id"] for run in service.runs(name)}
    page.goto(f"{service.base}/deployments")
    page.get_by_text(name, exact=True).first.click()
    page.get_by_role("button", name="Run", exact=True).first.click()
    page.get_by_text("Custom run").first.click()
    page.get_by_text(seen).first.wait_for()
    picture(page, f"form-{name}")

    def started() -> list[str]:
        return [str(run["id"]) for run in service.runs(name) if run["id"] not in before]

    (run,) = press_until(started, page.get_by_role("button", name="Submit").click)
    page.goto("about:blank")  # drawing pages takes a core without a GPU
    return run


def shards(settings: SelectSettings) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in Path(settings.store).glob("features/*/*.parquet")}


def test_select_then_reselect_from_the_browser(service: Service, page: Page, settings: SelectSettings) -> None:
    service.preset("select", {"config": settings.model_dump(mode="json")})
    service.preset("reselect", {"selection": "browser", "runs": settings.runs})
    run = press_run(service, page, "select", "Names the run and the folder of its results.")
    page.goto(f"{service.base}/runs/flow-run/{run}")
    page.get_by_text("Artifacts", exact=True).click()
    # Of whichever stage is at work: a fast machine may be through with one before the page asks again.
    progress = page.get_by_text(re.compile(rf"(^| · )({'|'.join(STAGES)}): "))
    seen: set[str] = set()

    def moved() -> bool:
        seen.update(progress.all_inner_texts()[:1])
        return len(seen) > 1

    wait_for(moved)  # the page follows without being loaded again
    page.reload()  # the picture of stages is fitted to what is there when the page is loaded
    page.get_by_text("Artifacts", exact=True).click()
    picture(page, "run-page")
    page.goto("about:blank")
    assert service.ended(run) == "COMPLETED"
    page.goto(f"{service.base}/runs/flow-run/{run}")
    page.get_by_text("Subflow Runs", exact=True).click()
    for name in STAGES:
        page.get_by_text(f"browser · {name}", exact=True).first.wait_for()
    before = shards(settings)

    pool = Path(settings.data_path("pool")) / "part-1.jsonl"
    write_jsonl(pool, [conversation(i) for i in range(5000, 5000 + NEW)])
    again = press_run(service, page, "reselect", "The name of a selection that was made before")
    assert service.ended(again) == "COMPLETED"
    after = shards(settings)
    assert {path: after[path] for path in before} == before
    assert len(after) - len(before) == NEW  # two examples a shard, at two checkpoints

    page.goto(f"{service.base}/runs/flow-run/{again}")
    page.get_by_text("Artifacts", exact=True).click()
    page.get_by_text("browser-stages").first.click()
    row = page.get_by_role("row").filter(has_text="pool features")
    row.first.wait_for()
    counts = row.first.inner_text().split()
    assert {str(POOL + NEW), str(POOL), str(NEW)} <= set(counts)  # all, reused, computed
    picture(page, "stage-table")
    page.goto(f"{service.base}/runs/flow-run/{again}")
    page.get_by_text("Artifacts", exact=True).click()
    page.get_by_text("browser-changes").first.click()
    page.get_by_text("what changed").first.wait_for()
    page.get_by_text("Jaccard").first.wait_for()
    picture(page, "change-report")
    before_link = page.get_by_role("link", name=re.compile(r"^\d{8}T\d{6}Z-")).first.get_attribute("href")
    assert before_link
    assert before_link.startswith(service.base)
    page.goto(before_link)
    page.get_by_text("browser-report").first.wait_for()  # of the version before

    third = press_run(service, page, "reselect", "The name of a selection that was made before")
    assert service.ended(third) == "COMPLETED"
    page.goto(f"{service.base}/runs/flow-run/{third}")
    page.get_by_text("Unchanged").first.wait_for()

    page.goto(f"{service.base}/runs/flow-run/{service.stage(again, 'pool features')}")
    page.get_by_text("Task Runs", exact=True).click()
    page.get_by_text("pool features ckpt 2/2 · shard ").first.wait_for()
    picture(page, "stage-page")
    wait_for(lambda: page.get_by_text("Cached", exact=True).count() > 4)
