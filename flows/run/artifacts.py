"""The keys of artifacts in the Prefect UI."""


def artifact_key(name: str, what: str) -> str:
    """Return an artifact's key: Prefect takes lower case letters, digits and dashes."""
    return "".join(c if c.isalnum() and c.isascii() else "-" for c in f"{name}-{what}".lower())
