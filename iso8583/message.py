"""A message as the rest of the house sees it: an MTI and values by field number."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeVar, overload

from msgspec import Struct

from iso8583.composite_reader import glance, look_into
from iso8583.element import Inside
from iso8583.errors import Key
from iso8583.parts import Node, Parts
from iso8583.parts import Value as Value

Path = tuple[Key, ...]  # a field's number, then keys of parts: (48, "92"), (55, "01", "9F26")
NO_COMPOSITES: Mapping[int, Inside] = {}
NO_PARTS: Mapping[Key, Value] = {}
T = TypeVar("T")


class Layout(Struct, frozen=True, gc=False):
    """Which fields a message has, and where each one's value stands.

    Messages of one bitmap share one layout, which makes a message as cheap as a tuple.
    """

    fields: tuple[int, ...]  # ascending
    index: dict[int, int]  # field number to position
    insides: Mapping[int, Inside]  # the composites of its dialect

    @classmethod
    def of(cls, fields: Iterable[int], insides: Mapping[int, Inside] = NO_COMPOSITES) -> "Layout":
        ordered = tuple(fields)
        return cls(ordered, {number: place for place, number in enumerate(ordered)}, insides)


class Message(Struct, frozen=True, gc=False):
    """One decoded message. Immutable, and silent about its contents when printed.

    Composites stay closed until somebody looks into one, by a path or by `parts`: that
    keeps reading fast, and it means that a fault inside is found then, as a PartError.
    """

    mti: str
    values: tuple[Value, ...]
    layout: Layout

    @classmethod
    def of(
        cls, mti: str, fields: dict[int, Value], insides: Mapping[int, Inside] = NO_COMPOSITES
    ) -> "Message":
        numbers = sorted(fields)
        return cls(mti, tuple(fields[number] for number in numbers), Layout.of(numbers, insides))

    @overload
    def get(self, number: int) -> Value | None: ...
    @overload
    def get(self, number: Path) -> Node | None: ...
    @overload
    def get(self, number: int, default: T) -> Value | T: ...
    @overload
    def get(self, number: Path, default: T) -> Node | T: ...
    def get(self, number: Any, default: Any = None) -> Any:
        """The value of a field, or of a part.

        Raises: PartError, for a path into a composite that is broken anywhere.
        """
        position = self.layout.index.get(number)
        if position is not None:
            return self.values[position]
        if isinstance(number, tuple):
            try:
                return self._part(number)
            except KeyError:
                return default
        return default

    @overload
    def __getitem__(self, number: int) -> Value: ...
    @overload
    def __getitem__(self, number: Path) -> Node: ...
    def __getitem__(self, number: Any) -> Any:
        position = self.layout.index.get(number)
        if position is not None:
            return self.values[position]
        if isinstance(number, tuple):
            return self._part(number)
        raise KeyError(number)

    def _part(self, path: Path) -> Node:
        number, *keys = path
        assert isinstance(number, int), "a path begins with a field's number"
        node: Node = self[number]
        if not keys:
            return node
        inside = self.layout.insides[number]
        assert not isinstance(node, Parts)
        node = look_into(inside, number, node)
        for key in keys:
            if not isinstance(node, Parts):
                raise KeyError(path)
            node = node[key]
        return node

    def parts(self, number: int) -> Parts | None:
        """What is inside a field: None if it is not there, or its dialect sees it as one piece.

        Raises: PartError.
        """
        inside, value = self.layout.insides.get(number), self.get(number)
        return None if inside is None or value is None else look_into(inside, number, value)

    def glance(self, number: int, *keys: Key) -> Mapping[Key, Value]:
        """Those of a field's parts that are there, unopened: cheaper than `parts` (1 to 3 µs).

        Raises: PartError.
        """
        inside, position = self.layout.insides.get(number), self.layout.index.get(number)
        if inside is None or position is None:
            return NO_PARTS
        return glance(inside, number, self.values[position], keys)

    def in_one_piece(self) -> "Message":
        """The same without its composites: looking into one finds nothing, and no fault."""
        return Message(
            self.mti, self.values, Layout(self.layout.fields, self.layout.index, NO_COMPOSITES)
        )

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
