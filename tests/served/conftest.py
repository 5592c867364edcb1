"""One service for all tests of this folder."""

from collections.abc import Iterator

import pytest
from service import Service, deployment, serving


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """What `less-flow serve` serves, once a session: `select`, `reselect` and its schedule, which have no selection of their own."""
    folder = tmp_path_factory.mktemp("service")
    runs = {"selection": "none", "runs": str(folder / "runs")}
    deployments = [deployment("select", {"config": {}}), *(deployment(name, runs) for name in ("reselect", "reselect-nightly"))]
    with serving(folder, deployments) as found:
        yield found
