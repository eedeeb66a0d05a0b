"""Strict reading of the project's YAML files: every value knows its line and column, and nothing is guessed.

Aliases, anchors, tags, duplicate keys and deep nesting are refused, so that a file cannot expand in memory,
and a misspelt key is an error that names the nearest known one.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeAlias

import yaml

from forensics.errors import Place, RuleError

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

MAX_BYTES: Final = 1 << 20
MAX_DEPTH: Final = 20
MAX_TEXT: Final = 4000
"""Longest text of one value."""

# libyaml reads ten times as fast; where PyYAML came without it, its own reader says the same.
_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_FORBIDDEN: Final = yaml.reader.Reader.NON_PRINTABLE

Value: TypeAlias = "dict[str, Item] | list[Item] | str | int | float | bool | None"


@dataclass(frozen=True)
class Item:
    """A YAML value and where it stands. The reading methods raise RuleError with that place."""

    value: Value
    place: Place
    key_places: dict[str, Place]
    """Of a mapping: where each key stands; empty otherwise."""
    raw: str = ""
    """Of a scalar: as it is written, quotes and folding undone."""
    document: str = field(default="", repr=False, compare=False)
    """The whole text that the item stands in, from ``span[0]`` to ``span[1]``."""
    span: tuple[int, int] = (0, 0)

    def place_of(self, word: str) -> Place:
        """Where a whole word stands within the item, else where the item starts."""
        begin, end = self.span
        for found in re.finditer(
            rf"(?<![A-Za-z0-9_]){re.escape(word)}(?![A-Za-z0-9_])", self.document[begin:end]
        ):
            at = begin + found.start()
            line = self.document.count("\n", 0, at) + 1
            return Place(self.place.file, line, at - self.document.rfind("\n", 0, at))
        return self.place

    def fields(self, required: Collection[str], optional: Collection[str] = ()) -> dict[str, Item]:
        """The entries of a mapping that must hold the required keys and may hold the optional ones."""
        found = self.mapping()
        known = [*required, *optional]
        for key in found:
            if key not in known:
                raise RuleError(self.key_places[key], f"unknown key {quote(key)}{nearest(key, known)}")
        for key in required:
            if key not in found:
                raise RuleError(self.place, f"the key {key} is missing; add it")
        return found

    def mapping(self) -> dict[str, Item]:
        """The entries of a mapping with free keys."""
        if not isinstance(self.value, dict):
            raise RuleError(self.place, f"expected a mapping of keys to values, found {self._kind()}")
        return self.value

    def items(self) -> list[Item]:
        """The elements of a list."""
        if not isinstance(self.value, list):
            raise RuleError(self.place, f"expected a list, found {self._kind()}")
        return self.value

    def text(self) -> str:
        """A non-empty text on one line, without control characters."""
        if not isinstance(self.value, str):
            quotes = "" if isinstance(self.value, dict | list) else "; put it in quotes"
            raise RuleError(self.place, f"expected a text, found {self._kind()}{quotes}")
        found = " ".join(self.value.split())
        if not found:
            raise RuleError(self.place, "expected a text, found an empty one")
        if not found.isprintable():
            raise RuleError(self.place, "the text holds control characters; remove them")
        return found

    def expression(self) -> str:
        """A text that may look like a truth value or a number, on one line."""
        found = " ".join(self.raw.split())
        if isinstance(self.value, dict | list) or not found:
            raise RuleError(self.place, f"expected an expression, found {self._kind()}")
        return found

    def texts(self) -> list[str]:
        """A list of non-empty texts."""
        return [item.text() for item in self.items()]

    def integer(self, low: int, high: int) -> int:
        """A whole number within ``low`` and ``high``."""
        if isinstance(self.value, bool) or not isinstance(self.value, int):
            raise RuleError(self.place, f"expected a whole number, found {self._kind()}")
        if not low <= self.value <= high:
            raise RuleError(self.place, f"expected a whole number from {low} to {high}, found {self.value}")
        return self.value

    def boolean(self) -> bool:
        """A truth value: true or false."""
        if not isinstance(self.value, bool):
            raise RuleError(self.place, f"expected true or false, found {self._kind()}")
        return self.value

    def word(self, known: Collection[str], what: str = "word") -> str:
        """One of the known words; ``what`` they are called in the error."""
        found = self.text()
        if found not in known:
            raise RuleError(self.place, f"unknown {what} {quote(found)}{nearest(found, known)}")
        return found

    def _kind(self) -> str:
        kinds = {
            dict: "a mapping",
            list: "a list",
            bool: "true or false",
            str: "a text",
            type(None): "nothing",
        }
        return kinds.get(type(self.value), "a number")


def read_yaml(path: Path, name: str | None = None) -> Item:
    """The one document of a YAML file; ``name`` is what errors call the file (default: its own name).

    Raises RuleError with file, line and column.
    """
    name = clean(path.name if name is None else name)
    start = Place(name, 1, 1)
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise RuleError(
            start, f"cannot be read ({error.strerror or 'input error'}); check the path"
        ) from error
    return decode_yaml(data, name)


def decode_yaml(data: bytes, name: str) -> Item:
    """The one document of a YAML file's bytes; as :func:`read_yaml`."""
    name = clean(name)
    if len(data) > MAX_BYTES:
        raise RuleError(Place(name, 1, 1), f"is longer than {MAX_BYTES} bytes; split it")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        column = error.start - data.rfind(b"\n", 0, error.start)
        raise RuleError(Place(name, line, column), "is not UTF-8; save it as UTF-8") from error
    return parse_yaml(text, name)


def parse_yaml(text: str, name: str) -> Item:
    """The one document of a YAML text; as :func:`read_yaml`."""
    name = clean(name)
    text = text.removeprefix("\ufeff")
    if forbidden := _FORBIDDEN.search(text):
        at = forbidden.start()
        place = Place(name, text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at))
        raise RuleError(place, "a character that YAML does not allow; remove it")
    try:
        _refuse_tricks(text, name)
        node = yaml.compose(text, Loader=_LOADER)
        if node is None:
            raise RuleError(Place(name, 1, 1), "is empty; expected a mapping")
        return _item(node, name, text)
    except yaml.MarkedYAMLError as error:
        place = _place(error.problem_mark or error.context_mark, name)
        problem = clean(error.problem or "cannot be read")
        raise RuleError(place, f"is no valid YAML: {problem}") from error
    except yaml.YAMLError as error:
        raise RuleError(Place(name, 1, 1), f"is no valid YAML: {clean(str(error))}") from error


def nearest(word: str, known: Collection[str]) -> str:
    """The end of an error sentence: known words near ``word``, or all known ones when none is near and they are few."""
    close = difflib.get_close_matches(word[:80], known, n=3, cutoff=0.6)
    if close:
        return "; did you mean " + " or ".join(close) + "?"
    return "; known are " + ", ".join(known) if len(known) <= 20 else ""  # noqa: PLR2004 - one line


def quote(text: str) -> str:
    """A piece of a file for an error message: in quotes, shortened, harmless to a terminal."""
    return f'"{clean(text, 60)}"'


def clean(text: str, length: int | None = None) -> str:
    """The text as one line without control characters, cut to a length."""
    line = " ".join(text.split())
    shown = (
        line if line.isprintable() else "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in line)
    )
    return shown if length is None or len(shown) <= length else shown[: length - 1] + "…"


def _refuse_tricks(text: str, name: str) -> None:
    """Walk the events, which cost no more than the text itself, and refuse what could expand or surprise."""
    depth = 0
    documents = 0
    for event in yaml.parse(text, Loader=_LOADER):
        place = _place(event.start_mark, name)
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None:
            raise RuleError(place, "aliases and anchors are not allowed; write the value out")
        if getattr(event, "tag", None) is not None:
            raise RuleError(place, "tags are not allowed; remove it")
        if isinstance(event, yaml.DocumentStartEvent):
            documents += 1
            if documents > 1:
                raise RuleError(place, "holds a second document; one file is one document")
        if isinstance(event, (yaml.MappingStartEvent, yaml.SequenceStartEvent)):
            depth += 1
            if depth > MAX_DEPTH:
                raise RuleError(place, f"is nested deeper than {MAX_DEPTH} levels")
        elif isinstance(event, (yaml.MappingEndEvent, yaml.SequenceEndEvent)):
            depth -= 1
        elif isinstance(event, yaml.ScalarEvent) and len(event.value) > MAX_TEXT:
            raise RuleError(place, f"is a text longer than {MAX_TEXT} characters")


def _place(mark: yaml.error.Mark | yaml._yaml.Mark | None, name: str) -> Place:
    return Place(name, mark.line + 1, mark.column + 1) if mark is not None else Place(name, 1, 1)


def _item(node: yaml.Node, name: str, text: str) -> Item:
    place = _place(node.start_mark, name)
    if isinstance(node, yaml.SequenceNode):
        return Item([_item(child, name, text) for child in node.value], place, {})
    if isinstance(node, yaml.MappingNode):
        return _mapping(node, name, place, text)
    span = (node.start_mark.index, node.end_mark.index)
    return Item(_scalar(node, place), place, {}, str(node.value), text, span)


def _mapping(node: yaml.MappingNode, name: str, place: Place, text: str) -> Item:
    entries: dict[str, Item] = {}
    places: dict[str, Place] = {}
    for key_node, value_node in node.value:
        key_place = _place(key_node.start_mark, name)
        # A key is taken as it is written: YAML 1.1 would read the key "on" as a truth value.
        if not isinstance(key_node, yaml.ScalarNode) or not key_node.value:
            raise RuleError(key_place, "a key must be a word")
        key = str(key_node.value)
        if key in entries:
            raise RuleError(key_place, f"the key {quote(key)} stands twice; remove one")
        entries[key] = _item(value_node, name, text)
        places[key] = key_place
    return Item(entries, place, places)


def _scalar(node: yaml.Node, place: Place) -> str | int | float | bool | None:
    value = str(node.value)
    kind = str(node.tag).rpartition(":")[2]
    if kind == "null":
        return None
    # "on", "off", "yes" and "no" stay words, as in YAML 1.2: a country or a table may be called so.
    if kind == "bool" and value.lower() in {"true", "false"}:
        return value.lower() == "true"
    try:
        if kind == "int" and re.fullmatch(r"[-+]?[0-9]{1,18}", value):
            return int(value)
        if kind == "float" and ":" not in value:
            return float(value.replace("_", ""))
    except ValueError as error:
        raise RuleError(place, f"{quote(value)} is no number") from error
    return value
