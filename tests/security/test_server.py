"""Who reaches the server: this machine alone, and with authentication set only who knows the password."""

from collections.abc import Callable
from pathlib import Path

import httpx
import psutil
import pytest
from service import Service, deployment, serving, wait_for

from flows.cli.main import _parser
from flows.server.names import CLIENT_AUTH, SERVER_AUTH, is_loopback
from less_core.settings.select import SelectSettings


@pytest.mark.parametrize(("host", "alone"), [("127.0.0.1", True), ("::1", True), ("localhost", True), ("127.8.8.8", True)])
def test_loopback_is_this_machine_alone(host: str, alone: bool) -> None:
    assert is_loopback(host) == alone


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.0.7", "example.org", "localhost.example.org", ""])
def test_other_addresses_are_not(host: str) -> None:
    assert not is_loopback(host)


def test_serve_binds_to_loopback_unless_told_otherwise() -> None:
    assert is_loopback(_parser().parse_args(["serve"]).host)
    assert _parser().parse_args(["serve", "--host", "0.0.0.0"]).host == "0.0.0.0"


def listening(service: Service) -> set[str]:
    """Return the addresses that the service's processes listen on."""
    processes = [process for own in service.processes("") for process in (own, *own.children(recursive=True))]
    return {c.laddr.ip for p in processes for c in p.net_connections(kind="tcp") if c.status == psutil.CONN_LISTEN}


@pytest.mark.slow
def test_service_listens_on_loopback_alone_and_lets_in_who_knows_the_password(
    make_settings: Callable[..., SelectSettings], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(SERVER_AUTH, "team:secret")
    monkeypatch.delenv(CLIENT_AUTH, raising=False)
    settings = make_settings(name="inside")
    with serving(tmp_path / "served", [deployment("select", {"config": settings.model_dump(mode="json")})]) as service:
        assert listening(service) == {"127.0.0.1"}
        find = f"{service.base}/api/deployments/filter"
        assert httpx.post(find, json={}).status_code == 401
        assert httpx.post(find, json={}, auth=("team", "wrong")).status_code == 401
        (found,) = httpx.post(find, json={}, auth=("team", "secret")).json()
        assert httpx.get(service.results).status_code == 401
        assert httpx.get(service.results, auth=("team", "wrong")).status_code == 401
        assert httpx.get(service.results, auth=("team", "secret")).status_code == 200
        # The worker and its runs get in by what `less-flow serve` hands on to them.
        client = httpx.Client(base_url=f"{service.base}/api/", auth=("team", "secret"), timeout=30)
        create = f"deployments/{found['id']}/create_flow_run"
        run = wait_for(lambda: client.post(create, json={"state": {"type": "SCHEDULED"}}).json()["id"])
        state = wait_for(lambda: (s := client.get(f"flow_runs/{run}").json()["state"]["type"]) in ("COMPLETED", "FAILED", "CRASHED") and s)
        assert state == "COMPLETED"
