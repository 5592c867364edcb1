"""The keys of artifacts in the Prefect UI."""

import re

from less_core.files.fingerprint import fingerprint


def artifact_key(name: str, what: str) -> str:
    """Return an artifact's key: Prefect takes lower case letters, digits and dashes.

    A key in which more than spaces was replaced ends in a hash, so that `maths.1`, `maths-1` and `Maths_1` do not share artifacts.
    """
    whole = f"{name}-{what}"
    key = re.sub("[^a-z0-9]", "-", whole.lower())
    return key if re.fullmatch("[a-z0-9 -]*", whole) else f"{key}-{fingerprint(whole)[:8]}"
