"""Content addresses: canonical JSON, then SHA-256."""

import hashlib
import json
from collections.abc import Iterable

LENGTH = 32  # hexadecimal digits kept: 128 bits


def fingerprint(value: object) -> str:
    """Return the 32-digit address of a JSON-able value; equal values have equal addresses.

    Canonical form: keys sorted, no white space, UTF-8. Lone surrogates, which UTF-8 cannot carry, are kept by
    ``surrogatepass`` so that every string that JSON can hold has an address.
    """
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:LENGTH]


def fingerprint_ids(example_ids: Iterable[str]) -> str:
    """Return the address of a set of example ids, whatever their order."""
    return hashlib.sha256("\n".join(sorted(example_ids)).encode()).hexdigest()[:LENGTH]


def fingerprint_bytes(chunks: Iterable[bytes]) -> str:
    """Return the address of a byte stream given in pieces."""
    digest = hashlib.sha256()
    for chunk in chunks:
        digest.update(chunk)
    return digest.hexdigest()[:LENGTH]
