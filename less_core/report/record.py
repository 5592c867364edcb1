"""The base of everything that a report shows."""

from pydantic import BaseModel, ConfigDict


class Record(BaseModel):
    """Base of all records: frozen."""

    model_config = ConfigDict(frozen=True, extra="forbid")
