"""What is inside a composite: values by key, in the order in which they stand on the wire."""

from collections.abc import Iterator, Mapping
from typing import Any, Union

from msgspec import Struct

from iso8583.errors import Key, key_hint

Value = str | bytes  # bytes for binary fields (kind B), str for all others
Node = Union[Value, "Parts"]
# What a caller may write: plain mappings too, at any depth.
Given = Node | Mapping[Key, "Given"]


class Parts(Struct, frozen=True):
    """The parts of one composite. Like a mapping, but a tag may stand in it more than once.

    Silent about its contents when printed, like the message that it comes from.
    """

    pairs: tuple[tuple[Key, Node], ...]

    def get(self, key: Key, default: Any = None) -> Any:
        """The first one under this key."""
        for name, value in self.pairs:
            if name == key:
                return value
        return default

    def all(self, key: Key) -> list[Node]:
        return [value for name, value in self.pairs if name == key]

    def __getitem__(self, key: Key) -> Node:
        for name, value in self.pairs:
            if name == key:
                return value
        hint = key_hint(key, self)
        raise KeyError(f"{key!r}: {hint}" if hint else key)

    def __contains__(self, key: object) -> bool:
        return any(name == key for name, _ in self.pairs)

    def __iter__(self) -> Iterator[Key]:
        return (name for name, _ in self.pairs)

    def __len__(self) -> int:
        return len(self.pairs)

    def items(self) -> Iterator[tuple[Key, Node]]:
        return iter(self.pairs)

    def to_dict(self) -> dict[Key, Any]:
        """Plain dictionaries all the way down; of a key that stands twice, the first."""
        plain: dict[Key, Any] = {}
        for key, value in self.pairs:
            plain.setdefault(key, value.to_dict() if isinstance(value, Parts) else value)
        return plain

    def __repr__(self) -> str:
        return f"Parts({', '.join(map(str, self))})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        """msgspec would list the values here, and rich prints what it is given."""
        return [("keys", tuple(self))]
