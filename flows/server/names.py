"""Names that the service, its processes and the commands that look for it share."""

from ipaddress import ip_address

POOL = "less"  # the work pool
WORKER = "less-worker"
FORM = "reselect"  # the flow, and its deployment in prefect.yaml, that selections on a schedule are made after
SELECTION_TAG = "less-selection"  # of the deployments that `less-flow schedule` makes, one a selection
SKIPPED = "concurrency limit reached"  # what Prefect says of a tick that found the selection's last run still at work
RECENT = 50  # runs among which the last one that was not skipped is looked for
PROJECT = "prefect.yaml"

API_URL, HOME, PROFILES = "PREFECT_API_URL", "PREFECT_HOME", "PREFECT_PROFILES_PATH"
SERVER_AUTH, CLIENT_AUTH = "PREFECT_SERVER_API_AUTH_STRING", "PREFECT_API_AUTH_STRING"  # user:password, asked for and shown
RESULTS_URL, RESULTS_HOME = "LESS_RESULTS_URL", "LESS_RESULTS_HOME"

EVERYWHERE = ("0.0.0.0", "::")  # all addresses of this machine


def is_loopback(host: str) -> bool:
    """Tell whether only this machine reaches an address; of a name that is not `localhost` nobody knows."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def web_address(host: str, port: int) -> str:
    """Return the URL of a host and port; an IPv6 address takes brackets."""
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
