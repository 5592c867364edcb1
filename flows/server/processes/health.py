"""Whether a Prefect server answers, asked without importing Prefect."""

import base64
import urllib.error
import urllib.request

ASKS_SECONDS = 2


def is_healthy(api_url: str) -> bool:
    """Tell whether a Prefect server at that API URL says that it is well. Servers with a password answer this to everyone."""
    return _status(f"{api_url}/health", "") == 200


def is_there(api_url: str) -> bool:
    """Tell whether any server answers there: one that wants a password or a certificate does, a proxy without its server does not."""
    return _status(f"{api_url}/health", "") not in (None, 502, 503, 504)


def lets_in(api_url: str, user_and_password: str) -> bool:
    """Tell whether a Prefect server takes that user and password; empty for none."""
    return _status(f"{api_url}/admin/version", user_and_password) != 401


def _status(address: str, user_and_password: str) -> int | None:
    """Return the status of the answer; 0 where the connection is refused for its certificate; None without an answer."""
    request = urllib.request.Request(address)
    if user_and_password:
        request.add_header("Authorization", f"Basic {base64.b64encode(user_and_password.encode()).decode()}")
    try:
        with urllib.request.urlopen(request, timeout=ASKS_SECONDS) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except urllib.error.URLError as error:
        return 0 if "CERTIFICATE" in str(error.reason) else None
    except (OSError, ValueError):
        return None
