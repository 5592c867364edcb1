"""Names that the service, its processes and the commands that look for it share."""

from ipaddress import ip_address

POOL = "less"  # the work pool
WORKER = "less-worker"
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
