"""How all pages are made: text of others is escaped and visible, and a name that a template misspells is an error."""

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from less_core.data.visible_text import visible


def page_environment(package: str) -> Environment:
    """Return the environment of the templates in a package."""
    return Environment(
        loader=PackageLoader(package, ""),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _shown(value: object) -> object:
    """Make every string that a template prints visible; markup has come through here already, piece by piece."""
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value
