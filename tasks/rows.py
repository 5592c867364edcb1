"""The rows of a run's pools or targets, read again as examples."""

import json

from less_core.data.example import Example
from less_core.data.pools import RowSource, open_pool, read_example
from less_core.data.rows.shapes import to_target_example
from less_core.data.targets import open_target
from less_core.refs import Side
from less_core.settings.select import SelectSettings


class Rows:
    """Each file is opened once."""

    def __init__(self, settings: SelectSettings, side: Side) -> None:
        self._settings = settings
        self._side = side
        self._sources: dict[str, RowSource] = {}

    def example(self, name: str, file: str, offset: int) -> Example:
        """Return the example in a row of the pool or target of that name."""
        if self._side == "target":
            return to_target_example(json.loads(self.read(name, file, offset)))
        return read_example(self._source(name), file, offset, self._settings.pool(name).format)

    def read(self, name: str, file: str, offset: int) -> bytes:
        """Return the row itself, as `RowSource.read`."""
        return self._source(name).read(file, offset)

    def _source(self, name: str) -> RowSource:
        if name not in self._sources:
            pool = self._side == "pool"
            self._sources[name] = open_pool(self._settings, name) if pool else open_target(self._settings, self._settings.target(name))
        return self._sources[name]
