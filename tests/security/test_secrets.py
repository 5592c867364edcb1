"""Tokens and keys come from the environment and stay there: not in logs, artifacts, parameters, results or errors."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from less_core.errors import ConfigError
from less_core.settings.select import SelectSettings

ROOT = Path(__file__).parents[2]
PASSWORD = "thisIsASecretPassword"
SECRETS = {
    "HF_TOKEN": "hf_thisIsASecretTokenOfTheHub",
    "AWS_ACCESS_KEY_ID": "AKIATHISISASECRETKEY",
    "AWS_SECRET_ACCESS_KEY": "thisIsASecretAccessKeyOfABucket",
    "AWS_SESSION_TOKEN": "thisIsASecretSessionToken",
    "PREFECT_API_AUTH_STRING": f"admin:{PASSWORD}",
}


def run(settings: SelectSettings, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the real command with secrets in its environment, and have it say all that it can."""
    config = Path(settings.data_dir) / "config.yaml"
    config.write_text(yaml.safe_dump(settings.model_dump(mode="json")))
    environment = os.environ | SECRETS | {"PREFECT_LOGGING_LEVEL": "DEBUG", "PYTHONPATH": str(ROOT)} | environment
    return subprocess.run([sys.executable, "-m", "flows.cli.main", "run", str(config)], env=environment, capture_output=True, text=True)


def everything(api: str, settings: SelectSettings, said: str) -> str:
    """Return all that a run leaves for others to see."""
    found = [said]
    for path in ("flow_runs/filter", "task_runs/filter", "logs/filter", "artifacts/filter", "flows/filter", "variables/filter"):
        offset = 0
        while True:
            page = httpx.post(f"{api}/{path}", json={"offset": offset, "limit": 200}, timeout=60).raise_for_status().json()
            found.append(json.dumps(page))
            offset += len(page)
            if len(page) < 200:
                break
    for folder in (settings.store, settings.runs):
        for path in Path(folder).rglob("*"):
            if path.is_file():
                found.append(path.read_bytes().decode(errors="replace"))
    return "\n".join(found)


@pytest.mark.slow
def test_secrets_of_the_environment_are_in_nothing_that_a_run_leaves(
    make_settings: Callable[..., SelectSettings], prefect_server: str
) -> None:
    settings = make_settings(name="discreet")
    done = run(settings, PREFECT_API_URL=prefect_server)
    assert done.returncode == 0, done.stderr[-2000:]
    seen = everything(prefect_server, settings, done.stdout + done.stderr)
    assert "discreet" in seen  # it does see the run
    assert not [secret for secret in (*SECRETS.values(), PASSWORD) if secret in seen]


@pytest.mark.slow
def test_secrets_are_not_in_the_error_of_a_store_that_refuses(make_settings: Callable[..., SelectSettings], prefect_server: str) -> None:
    settings = make_settings(name="refused", store="s3://a-bucket/store")
    # A port that nobody listens on: the client says all that it knows.
    done = run(settings, PREFECT_API_URL=prefect_server, AWS_ENDPOINT_URL="http://127.0.0.1:9")
    assert done.returncode != 0
    seen = everything(prefect_server, settings, done.stdout + done.stderr)
    assert "a-bucket" in seen
    assert not [secret for secret in (*SECRETS.values(), PASSWORD) if secret in seen]


@pytest.mark.parametrize("key", ["store", "runs", "data_dir"])
@pytest.mark.parametrize(
    "address", ["s3://key:thisIsASecret@bucket/store", "https://user:thisIsASecret@example.org/x", "s3://thisIsASecret@bucket/store"]
)
def test_address_with_a_password_in_it_is_refused_and_not_repeated(
    make_settings: Callable[..., SelectSettings], key: str, address: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        make_settings(**{key: address})
    assert "thisIsASecret" not in str(caught.value)
    assert key in str(caught.value)


@pytest.mark.parametrize("section", ["pools", "targets", "model"])
def test_path_with_a_password_in_it_is_refused_and_not_repeated(make_settings: Callable[..., SelectSettings], section: str) -> None:
    path = "s3://key:thisIsASecret@bucket/a.jsonl"
    given: dict[str, Any] = {section: {"path": path} if section == "model" else [{"name": "x", "path": path}]}
    with pytest.raises(ConfigError) as caught:
        make_settings(**given)
    assert "thisIsASecret" not in str(caught.value)
