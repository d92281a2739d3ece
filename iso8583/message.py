"""A message as the rest of the house sees it: an MTI and values by field number."""

from collections.abc import Iterable, Iterator
from typing import Any, TypeVar, overload

from msgspec import Struct

Value = str | bytes  # bytes for binary fields (kind B), str for all others
T = TypeVar("T")


class Layout(Struct, frozen=True, gc=False):
    """Which fields a message has, and where each one's value stands.

    Messages of one bitmap share one layout, which makes a message as cheap as a tuple.
    """

    fields: tuple[int, ...]  # ascending
    index: dict[int, int]  # field number to position

    @classmethod
    def of(cls, fields: Iterable[int]) -> "Layout":
        ordered = tuple(fields)
        return cls(ordered, {number: position for position, number in enumerate(ordered)})


class Message(Struct, frozen=True, gc=False):
    """One decoded message. Immutable, and silent about its contents when printed."""

    mti: str
    values: tuple[Value, ...]
    layout: Layout

    @classmethod
    def of(cls, mti: str, fields: dict[int, Value]) -> "Message":
        numbers = sorted(fields)
        return cls(mti, tuple(fields[number] for number in numbers), Layout.of(numbers))

    @overload
    def get(self, number: int) -> Value | None: ...
    @overload
    def get(self, number: int, default: T) -> Value | T: ...
    def get(self, number: int, default: Any = None) -> Any:
        position = self.layout.index.get(number)
        return default if position is None else self.values[position]

    def __getitem__(self, number: int) -> Value:
        return self.values[self.layout.index[number]]

    def __contains__(self, number: object) -> bool:
        return number in self.layout.index

    def __iter__(self) -> Iterator[int]:
        return iter(self.layout.fields)

    def items(self) -> Iterator[tuple[int, Value]]:
        return zip(self.layout.fields, self.values)

    def to_dict(self) -> dict[int, Value]:
        return dict(zip(self.layout.fields, self.values))

    def __repr__(self) -> str:
        return f"Message({self.mti}, fields {', '.join(map(str, self.layout.fields))})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        """msgspec would list the values here, and rich prints what it is given."""
        return [("mti", self.mti), ("fields", self.layout.fields)]
