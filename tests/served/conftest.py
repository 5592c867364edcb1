"""One service for all tests of this folder, and a browser to look at it."""

import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, sync_playwright
from service import HEIGHT, Service, deployment, serving


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """What `less-flow serve` serves, once a session: forms that are filled with nothing."""
    folder = tmp_path_factory.mktemp("service")
    deployments = [deployment("select", {"config": {}}), deployment("quick-select", {}), deployment("reselect", {})]
    with serving(folder, deployments) as found:
        yield found


@pytest.fixture
def page() -> Iterator[Page]:
    """A page of Debian's Chromium."""
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("needs Debian's chromium")
    with sync_playwright() as playwright:
        flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync"]
        browser = playwright.chromium.launch(executable_path=chromium, args=flags)
        yield browser.new_page(viewport={"width": 1400, "height": HEIGHT})
        browser.close()
