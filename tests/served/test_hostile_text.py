"""Hostile text of a pool, in a real browser: nothing of it runs, loads or leads anywhere, in the report or among the artifacts."""

import functools
import http.server
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page
from samples import WORDS, conversation, write_jsonl
from service import Service

from less_core.settings.select import SelectSettings

pytestmark = pytest.mark.slow

RUN = "document.title='ran code'"
HOSTILE = [
    f"<script>{RUN}</script>",
    f'<img src=x onerror="{RUN}">',
    f'<svg onload="{RUN}"><a href="javascript:{RUN}">link</a></svg>',
    f"</td></tr></table></style></title></textarea><script>{RUN}</script>",
    f"[link](javascript:{RUN}) ![x](https://evil.example/x.png)",
    f'<iframe srcdoc="<script>parent.{RUN}</script>"></iframe>',
    "```\n</code></pre>\n<script>" + RUN + "</script>\n```",
    f"<a href='javascript:{RUN}' autofocus onfocus='{RUN}'>x</a>",
    "{{ 7 * 7 }} {% raw %} ${7*7} <%= 7 %>",
    f"|a|b|\n|-|-|\n|<img src=x onerror={RUN}>|[x](data:text/html,<script>{RUN}</script>)|",
    f"<details open ontoggle={RUN}><summary>x</summary></details><style>*{{display:none}}</style>",
    "<meta http-equiv=refresh content='0;url=https://evil.example'><base href='https://evil.example/'>",
]


@pytest.fixture
def settings(make_settings: Callable[..., SelectSettings], tmp_path: Path) -> SelectSettings:
    """A pool and a target full of hostile text, in every field that a report shows."""
    rows = []
    for number, text in enumerate(HOSTILE * 2):
        row = conversation(number)
        row["messages"][0]["content"] += " " + text
        row["messages"][1]["content"] = f"{WORDS[number % len(WORDS)]} {text}"
        rows.append(row | {"source": text, "dataset": text, "id": text})
    write_jsonl(tmp_path / "a.jsonl", rows)
    write_jsonl(tmp_path / "t.jsonl", [row | {"subtask": HOSTILE[number]} for number, row in enumerate(rows[: len(HOSTILE)])])
    return make_settings(
        name="hostile", pools=[{"name": "a", "path": "a.jsonl"}], selection={"by": "count", "amount": 20}, influence={"scoring": "exact"}
    )


def look(page: Page, address: str, wait_for: str) -> tuple[list[str], list[str]]:
    """Open a page and do what a person does on it; return requests to elsewhere, and links that are none to the web or the page."""
    elsewhere: list[str] = []
    origin = "/".join(address.split("/")[:3])
    page.on("request", lambda request: elsewhere.append(request.url) if not request.url.startswith((origin, "data:", "blob:")) else None)
    page.on("dialog", lambda dialog: elsewhere.append(f"dialog {dialog.message}"))
    page.goto(address)
    page.get_by_text(wait_for).first.wait_for()
    for summary in page.locator("summary").all():
        summary.click()
    page.wait_for_timeout(500)  # for what an event handler would do
    links = page.eval_on_selector_all("a[href], area[href]", "found => found.map(one => one.getAttribute('href'))")
    return elsewhere, [link for link in links if link.strip().lower().startswith(("javascript:", "data:", "vbscript:"))]


def test_page_does_run_such_text_where_nobody_protects(page: Page, tmp_path: Path) -> None:
    (tmp_path / "bare.html").write_text(f"<title>fine</title><p>shown</p>{HOSTILE[0]}")
    page.goto((tmp_path / "bare.html").as_uri())
    assert page.title() == "ran code"


def test_hostile_text_is_shown_and_not_run(service: Service, page: Page, settings: SelectSettings) -> None:
    run = service.start("select", {"config": settings.model_dump(mode="json")})
    assert service.ended(run) == "COMPLETED"
    # The report by a web server, as teams pass it on, and its artifacts in the Prefect UI.
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=settings.runs)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        found = look(page, f"http://127.0.0.1:{server.server_port}/hostile/report.html", "hostile")
        assert found == ([], [])
        assert page.title() != "ran code"
        shown = page.inner_text("body")
        assert "onerror" in shown  # as text
        assert "{{ 7 * 7 }}" in shown
        server.shutdown()
    keys = ["hostile-report", "hostile-stages"]
    pages = {found["key"]: found["id"] for found in service.post("artifacts/filter", {"artifacts": {"key": {"any_": keys}}})}
    assert sorted(pages) == keys
    for key, artifact in pages.items():
        elsewhere, links = look(page, f"{service.base}/artifacts/artifact/{artifact}", key)
        assert [address for address in elsewhere if "evil" in address or address.startswith("dialog")] == []
        assert links == []
        assert page.title() != "ran code"
