"""One training conversation, and its address."""

from dataclasses import dataclass
from functools import cached_property

from less_core.files.fingerprint import fingerprint


@dataclass(frozen=True)
class Message:
    """One turn. `role` is system, user or assistant."""

    role: str
    content: str


@dataclass(frozen=True)
class Example:
    """A conversation, or the exact strings of a target: `messages` is empty where `prompt` and `completion` are used as they are."""

    messages: tuple[Message, ...] = ()
    prompt: str = ""
    completion: str = ""

    @property
    def text(self) -> str:
        """The conversation for a person to read."""
        return "\n\n".join(f"{message.role}:\n{message.content}" for message in self.messages)

    @cached_property
    def example_id(self) -> str:
        """The address of the content: equal conversations have equal ids, wherever they stand."""
        if self.messages:
            return fingerprint({"messages": [[m.role, m.content] for m in self.messages]})
        return fingerprint({"prompt": self.prompt, "completion": self.completion})
