"""Names of runs: the name that a person typed, else one that says what the run is about, instead of Prefect's random name."""

import re
from collections.abc import Callable, Iterator
from typing import Any

from coolname.data import config as WORD_LISTS
from prefect.context import FlowRunContext

LONGEST = 100  # characters
# The forms of Prefect's UIs fill in a random name. V2: an adjective and an animal of at most six letters. V1: a star.
V2 = re.compile(
    r"(Awesome|Rustic|Small|Gorgeous|Fantastic|Sleek|Intelligent|Unbranded|Refined|Licensed|Generic|Practical|Ergonomic|Handcrafted|Tasty"
    r"|Handmade|Incredible)-[A-Z][A-Za-z' ]{1,5}"
)
V1 = re.compile(
    r"(alpha|beta|gamma|delta|epsilon|zeta|eta|theta|iota|kappa|lambda|mu|nu|xi|omicron|pi|rho|sigma|tau|upsilon|phi|chi|psi|omega)"
    r"[0-9]*-[a-z-]+"
)


def typed_or(template: str | Callable[[dict[str, Any]], str]) -> Callable[[], str]:
    """Return a function for `flow_run_name` that keeps a typed name and else fills a template.

    Args:
        template: Filled with the flow's parameters, the values of a list joined by commas; or a function of the parameters.
    """

    def name() -> str:
        context = FlowRunContext.get()
        assert context is not None
        assert context.flow_run is not None
        if not is_made_up(context.flow_run.name):
            return context.flow_run.name
        parameters = context.parameters or {}
        if callable(template):
            return template(parameters)[:LONGEST]
        values = {key: ", ".join(value) if isinstance(value, list) else value for key, value in parameters.items()}
        return template.format(**values)[:LONGEST]

    return name


def is_made_up(name: str) -> bool:
    """Tell whether Prefect made a name up: the server joins an adjective and an animal, the forms have words of their own."""
    adjective, _, animal = name.partition("-")
    by_server = adjective in _words("adj_any") and animal in _words("subj")
    return by_server or bool(V2.fullmatch(name) or V1.fullmatch(name))


def _words(name: str) -> set[str]:
    """Return all words of a list of coolname, which the server draws names from, with those of nested lists."""
    return set(_spelled(name))


def _spelled(name: str) -> Iterator[str]:
    found: dict[str, Any] = WORD_LISTS[name]  # type: ignore[assignment]
    yield from found.get("words", ())
    for inner in found.get("lists", ()):
        yield from _spelled(inner)
