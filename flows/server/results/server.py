"""The server of results: reports and selected files to look at, and a page of all selections. It reads, and never writes.

A process of `less-flow serve`: `python -m flows.server.results.server --host HOST --port PORT --home DIR`, with the address and the
password of the Prefect server in the environment.
"""

import argparse
import base64
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from flows.server.names import API_URL, CLIENT_AUTH, EVERYWHERE, RESULTS_URL, SERVER_AUTH, is_loopback, web_address
from flows.server.results.files import find_file
from flows.server.results.page import ScheduleView, ask_for_schedules, read_selections, render_page, without_result
from less_core.files.whole import read_in_pieces, size_of

ASKS_SECONDS = 5
LOOPBACK_NAMES = {"127.0.0.1", "localhost", "::1"}
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; img-src data: 'self'; style-src 'unsafe-inline'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-cache",
}


class Guard:
    """Refuses what is not to be answered, and gives every answer the headers that keep browsers from running or guessing anything.

    A page elsewhere can have its own name lead to this machine, and then read what is served here; so only names that are ours are
    answered. Where the service is bound to all addresses, nobody knows its names.
    """

    def __init__(self, app: ASGIApp, *, hosts: set[str] | None, password: str) -> None:
        self._app = app
        self._hosts = hosts
        self._password = password.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        answer = self._refuse(Headers(scope=scope)) or self._app
        await answer(scope, receive, send_with_headers)

    def _refuse(self, headers: Headers) -> Response | None:
        if self._hosts is not None and host_in(headers.get("host", "")) not in self._hosts:
            return PlainTextResponse("This name is not served here.\n", 421)
        if self._password and not secrets.compare_digest(_password_in(headers.get("authorization", "")), self._password):
            return PlainTextResponse("A user and a password are needed.\n", 401, {"WWW-Authenticate": 'Basic realm="less-flow"'})
        return None


def make_app(home: Path, host: str, environment: Mapping[str, str]) -> ASGIApp:
    """Return the server of results for the folders in a home.

    Args:
        home: Folder with a record of each folder of results.
        host: Address that the server is bound to.
        environment: Has the Prefect API's URL and, where there is one, the password that guards both servers.
    """
    api = environment[API_URL]
    password = environment.get(CLIENT_AUTH, "")
    auth = httpx.BasicAuth(*password.split(":", 1)) if ":" in password else None

    async def index(request: Request) -> Response:
        ui = _ui(environment, request)
        schedules: list[ScheduleView] = []
        server_answers = True
        try:
            async with httpx.AsyncClient(base_url=f"{api}/", auth=auth, timeout=ASKS_SECONDS, trust_env=False) as client:
                schedules = await ask_for_schedules(client, ui)
        except httpx.HTTPError:
            server_answers = False
        selections = await run_in_threadpool(read_selections, home, schedules)
        waiting = without_result(selections, schedules)
        return HTMLResponse(render_page(selections, waiting, server_answers=server_answers, ui=ui))

    async def file(request: Request) -> Response:
        found = await run_in_threadpool(find_file, home, request.path_params["key"], request.path_params["path"])
        if found is None:
            return PlainTextResponse("There is no such result.\n", 404)
        if found.is_local:
            return FileResponse(found.path, media_type=found.media_type)
        headers = {"Content-Length": str(await run_in_threadpool(size_of, found.path))}
        if request.method == "HEAD":
            return Response(headers=headers, media_type=found.media_type)
        return StreamingResponse(read_in_pieces(found.path, made_by="a selection"), headers=headers, media_type=found.media_type)

    routes = [Route("/", index, methods=["GET"]), Route("/{key}/{path:path}", file, methods=["GET"])]
    return Guard(Starlette(routes=routes), hosts=hosts_of(host, environment), password=environment.get(SERVER_AUTH, ""))


def hosts_of(host: str, environment: Mapping[str, str]) -> set[str] | None:
    """Return the names by which browsers may ask for a server bound to a host; None for any."""
    if host in EVERYWHERE:
        return None
    public = urlsplit(environment.get(RESULTS_URL, "")).hostname
    names = {host.lower()} | ({public} if public else set())
    return names | LOOPBACK_NAMES if is_loopback(host) else names


def host_in(header: str) -> str:
    """Return the name in a Host header, without its port; empty where it cannot be read."""
    try:
        return urlsplit(f"//{header}").hostname or ""
    except ValueError:
        return ""


def _password_in(header: str) -> bytes:
    """Return ``user:password`` of a header of basic authentication; empty where it has none."""
    scheme, _, value = header.partition(" ")
    try:
        return base64.b64decode(value, validate=True) if scheme.lower() == "basic" else b""
    except ValueError:
        return b""


def _ui(environment: Mapping[str, str], request: Request) -> str:
    """Return the address of Prefect's UI as the browser that asks can reach it."""
    if environment.get("PREFECT_UI_URL"):
        return environment["PREFECT_UI_URL"].rstrip("/")
    api = urlsplit(environment[API_URL])
    if api.hostname in EVERYWHERE:
        return web_address(host_in(request.headers.get("host", "")), api.port or 80)
    return environment[API_URL].removesuffix("/api")


def main() -> None:
    """Serve until the process is told to end."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--host", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--home", type=Path, required=True)
    arguments = parser.parse_args()
    app = make_app(arguments.home, arguments.host, os.environ)
    uvicorn.run(app, host=arguments.host, port=arguments.port, server_header=False, log_level="warning")


if __name__ == "__main__":
    main()
