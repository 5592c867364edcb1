"""What the server of results gives out, to whom, and what it keeps to itself."""

import asyncio
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fsspec
import httpx
import pytest
from starlette.testclient import TestClient

from flows.run.results_links import results_link
from flows.server.names import API_URL, CLIENT_AUTH, EVERYWHERE, RESULTS_HOME, RESULTS_URL, SERVER_AUTH
from flows.server.results.page import RunView, ScheduleView, SelectionView, ask_for_schedules, render_page
from flows.server.results.server import hosts_of, make_app
from less_core.files.whole import write_json, write_whole
from less_core.storage.layout import Run
from less_core.storage.versions import new_version, publish

URL = "http://127.0.0.1:4201"
NOBODY = {API_URL: "http://127.0.0.1:9/api", RESULTS_URL: URL}
SECRET = b"secret"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(RESULTS_HOME, str(tmp_path / "results"))
    monkeypatch.setenv(RESULTS_URL, URL)
    return tmp_path / "results"


@pytest.fixture
def client(home: Path) -> Iterator[TestClient]:
    with TestClient(make_app(home, "127.0.0.1", NOBODY), base_url=URL) as found:
        yield found


@pytest.fixture
def select() -> Callable[..., Run]:
    """Make a selection in a folder of results: its files, published as a run publishes them."""

    def make(runs: str, name: str = "maths") -> Run:
        run = Run(f"{runs}/{name}")
        version = new_version(run)
        for path, content in (
            (version.report, b"<!DOCTYPE html><title>report</title>"),
            (version.selected("gsm8k"), b'{"a": 1}\n'),
            (version.scores("gsm8k"), b"PAR1"),
            (version.basis, SECRET),
        ):
            with write_whole(path) as file:
                file.write(content)
        changes = {"selections": [{"target": "gsm8k", "came_in": 3, "went_out": 2}]}
        targets = [{"name": "gsm8k", "selected": 1234}]
        record = {"version": version.name, "finished": "2026-03-01T03:00:00+00:00", "targets": targets, "changes": changes}
        write_json(version.record, record)
        publish(run, version)
        return run

    return make


@pytest.fixture(params=["local", "memory"])
def runs(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A folder of results, on a disk and elsewhere."""
    if request.param == "local":
        yield str(tmp_path / "runs")
    else:
        yield "memory://results/runs"
        fsspec.filesystem("memory").store.clear()


def path_of(link: str) -> str:
    assert link.startswith(f"{URL}/")
    return link.removeprefix(URL)


def test_link_leads_to_the_newest_report_and_the_selected_file(client: TestClient, select: Callable[..., Run], runs: str) -> None:
    run = select(runs)
    report = client.get(path_of(results_link(run.root, "report.html")))
    assert (report.status_code, report.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert b"report" in report.content
    selected = client.get(path_of(results_link(run.root, "selected/gsm8k.jsonl")))
    assert (selected.content, selected.headers["content-type"]) == (b'{"a": 1}\n', "text/plain; charset=utf-8")
    scores = client.get(path_of(results_link(run.root, "scores/gsm8k.parquet")))
    assert scores.headers["content-type"] == "application/octet-stream"


def test_no_link_without_a_service_and_no_failure_where_its_home_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(RESULTS_URL, raising=False)
    assert results_link("/runs/maths", "report.html") == ""
    (tmp_path / "file").touch()
    monkeypatch.setenv(RESULTS_URL, URL)
    monkeypatch.setenv(RESULTS_HOME, str(tmp_path / "file" / "results"))
    assert results_link("/runs/maths", "report.html") == ""


def test_folders_of_results_have_keys_of_their_own_and_are_written_once(home: Path) -> None:
    links = {results_link(folder, "report.html") for folder in ("/a/runs/x", "/a/runs/y", "/b/runs/x")}
    assert len(links) == 3
    assert sorted(json.loads(file.read_bytes())["runs"] for file in home.iterdir()) == ["/a/runs", "/b/runs"]


@pytest.mark.parametrize(
    "path",
    [
        "maths/basis.json",  # there, but nothing for a reader
        "maths/current/basis.json",
        "maths/versions",
        "maths",
        "",
        "outside.json",
        "maths/../outside.json",
        "maths/%2e%2e/outside.json",
        "maths/..%2foutside.json",
        "maths/%252e%252e/outside.json",
        "%2fetc/passwd",
        "/etc/passwd",
        "maths/selected/../../outside.json",
        "maths/selected/..%5c..%5coutside.json",
        "maths/report.html%00.png",
        "maths/report.html/",
        "maths//report.html",
        "%2e/maths/report.html",
        ".hidden/report.html",
        "maths/selected/.hidden.jsonl",
        "maths/%0areport.html",
    ],
)
def test_no_path_leads_to_anything_but_results(client: TestClient, select: Callable[..., Run], runs: str, path: str) -> None:
    run = select(runs)
    for file in (f"{runs}/outside.json", f"{runs}/.hidden/report.html", f"{run.root}/selected/.hidden.jsonl"):
        with write_whole(file) as out:
            out.write(SECRET)
    key = path_of(results_link(run.root, "x")).split("/")[1]
    answer = client.get(f"/{key}/{path}")
    assert answer.status_code == 404
    assert SECRET not in answer.content
    assert client.get("/000000000000/maths/report.html").status_code == 404


@pytest.mark.parametrize("link", ["maths/report.html", "maths/selected", "other"])
def test_links_of_the_file_system_that_lead_out_of_the_results_are_not_followed(
    client: TestClient, select: Callable[..., Run], tmp_path: Path, link: str
) -> None:
    outside = tmp_path / "outside"
    for file in (outside / "report.html", outside / "gsm8k.jsonl", outside / "selected" / "gsm8k.jsonl"):
        file.parent.mkdir(exist_ok=True, parents=True)
        file.write_bytes(SECRET)
    select(str(tmp_path / "runs"))
    place = tmp_path / "runs" / link
    place.unlink(missing_ok=True)
    place.symlink_to(outside / "report.html" if link.endswith(".html") else outside)
    name = "other" if link == "other" else "maths"
    for file in ("report.html", "selected/gsm8k.jsonl"):
        assert SECRET not in client.get(path_of(results_link(f"{tmp_path}/runs/{name}", file))).content


def test_link_within_the_results_to_a_file_that_is_none_is_not_followed(
    client: TestClient, select: Callable[..., Run], tmp_path: Path
) -> None:
    run = select(str(tmp_path / "runs"))
    (tmp_path / "runs" / "settings.yaml").write_bytes(SECRET)
    report = Path(run.root) / "report.html"
    report.unlink()
    report.symlink_to("../settings.yaml")
    assert client.get(path_of(results_link(run.root, "report.html"))).status_code == 404


def test_a_pipe_in_place_of_a_file_is_not_waited_for(client: TestClient, select: Callable[..., Run], tmp_path: Path) -> None:
    run = select(str(tmp_path / "runs"))
    report = Path(run.root) / "report.html"
    report.unlink()
    os.mkfifo(report)
    assert client.get(path_of(results_link(run.root, "report.html"))).status_code == 404


def test_every_answer_forbids_scripts_and_guesses(client: TestClient, select: Callable[..., Run], runs: str) -> None:
    link = path_of(results_link(select(runs).root, "report.html"))
    for answer in (
        client.get("/"),
        client.get(link),
        client.get("/nothing/there"),
        client.post(link),
        client.get("/", headers={"Host": "x"}),
    ):
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["content-security-policy"].startswith("default-src 'none';")
        assert "script" not in answer.headers["content-security-policy"]


def test_results_are_read_and_never_written(client: TestClient, select: Callable[..., Run], runs: str) -> None:
    link = path_of(results_link(select(runs).root, "report.html"))
    for method in ("POST", "PUT", "PATCH", "DELETE", "OPTIONS"):
        assert client.request(method, link).status_code == 405
        assert client.request(method, "/").status_code == 405
    head = client.head(link)
    assert (head.status_code, head.content) == (200, b"")
    assert int(head.headers["content-length"]) == len(client.get(link).content)


@pytest.mark.parametrize("host", ["evil.example", "evil.example:4201", "127.0.0.1.evil.example", "", "[", "192.168.0.7"])
def test_other_names_of_this_machine_are_not_answered(client: TestClient, host: str) -> None:
    assert client.get("/", headers={"Host": host}).status_code == 421


@pytest.mark.parametrize("host", ["127.0.0.1:4201", "localhost:9999", "LOCALHOST", "[::1]:4201"])
def test_own_names_are_answered_through_a_tunnel_too(client: TestClient, host: str) -> None:
    assert client.get("/", headers={"Host": host}).status_code == 200


def test_names_are_those_of_the_host_that_is_bound_and_of_the_public_address() -> None:
    assert hosts_of("192.168.0.7", {RESULTS_URL: "https://results.example.org/x"}) == {"192.168.0.7", "results.example.org"}
    assert all(hosts_of(host, {}) is None for host in EVERYWHERE)


@pytest.mark.parametrize("header", ["", "Basic", "Basic !!!", "Basic dGVhbTp3cm9uZw==", "Bearer team:secret", "Basic dGVhbTpzZWNyZQ=="])
def test_nothing_is_given_out_without_the_password(home: Path, header: str) -> None:
    guarded = NOBODY | {SERVER_AUTH: "team:secret", CLIENT_AUTH: "team:secret"}
    with TestClient(make_app(home, "127.0.0.1", guarded), base_url=URL) as client:
        answer = client.get("/", headers={"Authorization": header})
        assert (answer.status_code, answer.headers["www-authenticate"][:5]) == (401, "Basic")
        assert client.get("/", auth=("team", "secret")).status_code == 200


def test_page_lists_selections_without_a_prefect_server(client: TestClient, select: Callable[..., Run], runs: str) -> None:
    link = results_link(select(runs).root, "report.html")
    (Path(os.environ[RESULTS_HOME]) / "broken.json").write_text("{")
    page = client.get("/").text
    assert "does not answer" in page
    assert "1,234" in page
    assert "3 in, 2 out" in page
    assert f'href="{path_of(link)}"' in page


def schedule(**changes: Any) -> ScheduleView:
    last = RunView("Failed", "FAILED", "a pool is missing", "2026-03-01 03:00", "http://ui/runs/flow-run/1")
    of: dict[str, Any] = {"selection": "maths", "runs": "/runs", "when": "0 3 * * *", "timezone": "Europe/Berlin", "on": True}
    return ScheduleView(**of | {"next": "2026-03-02 03:00", "last": last, "link": "http://ui/deployments/deployment/1"} | changes)


def test_page_shows_what_became_of_a_schedule() -> None:
    selection = SelectionView("maths", "/runs/maths", "v", "now", [], "/k/maths/report.html", [schedule()])
    page = render_page([selection], [], server_answers=True, ui="http://ui")
    for shown in ("0 3 * * *", "Europe/Berlin", "2026-03-02 03:00", "Failed", "a pool is missing", 'href="http://ui/runs/flow-run/1"'):
        assert shown in page
    assert "does not answer" not in page


def test_last_run_of_a_schedule_is_not_one_that_was_skipped() -> None:
    told = {"start_time": None, "end_time": None, "expected_start_time": "2026-03-01T02:00:00Z"}
    skipped = told | {"id": "2", "state": {"type": "CANCELLED", "name": "Cancelled", "message": "Deployment concurrency limit reached."}}
    failed = told | {"id": "1", "state": {"type": "FAILED", "name": "Failed", "message": "a pool is missing"}}
    rule = {"active": True, "schedule": {"cron": "0 3 * * *", "timezone": "UTC"}}
    deployment = {"id": "d", "name": "maths", "parameters": {"selection": "maths"}, "paused": False, "schedules": [rule]}

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("deployments/filter"):
            return httpx.Response(200, json=[deployment])
        return httpx.Response(200, json=[] if b"EXPECTED_START_TIME_ASC" in request.content else [skipped, failed])

    async def ask() -> list[ScheduleView]:
        async with httpx.AsyncClient(transport=httpx.MockTransport(answer), base_url="http://server/api/") as client:
            return await ask_for_schedules(client, "http://ui")

    (found,) = asyncio.run(ask())
    assert found.last is not None
    assert (found.last.state, found.last.message) == ("Failed", "a pool is missing")


def test_text_of_others_is_no_html_on_the_page() -> None:
    hostile = "<script>alert(1)</script>\u202e"
    last = RunView(hostile, hostile, hostile, hostile, hostile)
    of = schedule(selection=hostile, when=hostile, timezone=hostile, last=last, link=hostile)
    selection = SelectionView(hostile, hostile, hostile, hostile, [], hostile, [of])
    page = render_page([selection], [of], server_answers=True, ui=hostile)
    assert "<script" not in page
    assert "\u202e" not in page
