"""YAML text as nodes that know their place, with limits that make a hostile file harmless.

Only composing is done here: no object is ever constructed from a tag, and aliases and anchors are refused, so a
document can neither run code nor grow when it is read.
"""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any, Final

import yaml

from forensics.errors import Place, RuleError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

MAX_BYTES: Final = 65_536
MAX_DEPTH: Final = 12
MAX_TEXT: Final = 4_000
MAX_DIGITS: Final = 9


def plain(text: str, limit: int = 120) -> str:
    """Text from a rule or a capture on one line, without control characters, cut to a readable length."""
    clean = "".join(char if char.isprintable() else " " for char in text)
    return clean if len(clean) <= limit else clean[: limit - 1] + "…"


def nearest(word: str, known: Iterable[str]) -> str:
    """``; did you mean a, b?`` for the known words most like this one, or nothing."""
    close = difflib.get_close_matches(word, sorted(known), n=3, cutoff=0.6)
    return f"; did you mean {', '.join(close)}?" if close else ""


class Source:
    """One YAML file; every error it raises is a RuleError with file, line and column."""

    def __init__(self, file: str, data: bytes) -> None:
        """Decode ``data``; raises RuleError when it is too large or no UTF-8."""
        self.file = file
        if len(data) > MAX_BYTES:
            raise RuleError(
                Place(file, 1, 1), f"the file has {len(data)} bytes; at most {MAX_BYTES} are read"
            )
        try:
            self.text = data.decode("utf-8")
        except UnicodeDecodeError as error:
            before = data[: error.start]
            line = before.count(b"\n") + 1
            column = error.start - before.rfind(b"\n")
            raise RuleError(Place(file, line, column), "this byte is not UTF-8") from None

    def root(self) -> yaml.Node:
        """Compose the one document of the file."""
        try:
            self._check_events()
            node = yaml.compose(self.text, Loader=yaml.SafeLoader)
        except yaml.reader.ReaderError as error:
            before = self.text[: error.position]
            place = Place(self.file, before.count("\n") + 1, error.position - before.rfind("\n"))
            raise RuleError(place, "this character is not allowed in YAML") from None
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            raise RuleError(
                self._place(mark), f"not valid YAML: {plain(error.problem or 'unreadable')}"
            ) from None
        if node is None:
            raise RuleError(Place(self.file, 1, 1), "the file is empty; a mapping with an id is expected")
        return node

    def _check_events(self) -> None:
        depth = 0
        for event in yaml.parse(self.text, Loader=yaml.SafeLoader):
            place = self._place(event.start_mark)
            if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
                raise RuleError(place, "anchors and aliases are not allowed; write the value out")
            if isinstance(event, yaml.CollectionStartEvent):
                depth += 1
                if depth > MAX_DEPTH:
                    raise RuleError(place, f"nested deeper than {MAX_DEPTH} levels")
            elif isinstance(event, yaml.CollectionEndEvent):
                depth -= 1
            elif isinstance(event, yaml.ScalarEvent) and len(event.value) > MAX_TEXT:
                raise RuleError(place, f"a text longer than {MAX_TEXT} characters")

    def _place(self, mark: Any) -> Place:  # noqa: ANN401 - PyYAML has two Mark classes without a common base
        return Place(self.file, mark.line + 1, mark.column + 1) if mark else Place(self.file, 1, 1)

    def place(self, node: yaml.Node) -> Place:
        """Where the node starts."""
        return self._place(node.start_mark)

    def place_of(self, node: yaml.Node, word: str) -> Place:
        """Where a word stands inside a node, else where the node starts."""
        begin, end = node.start_mark.index, node.end_mark.index
        start = begin
        while (at := self.text.find(word, start, end)) >= 0:
            before = self.text[at - 1 : at]
            after = self.text[at + len(word) : at + len(word) + 1]
            if not (before.isalnum() or before == "_" or after.isalnum() or after == "_"):
                line = self.text.count("\n", 0, at) + 1
                return Place(self.file, line, at - self.text.rfind("\n", 0, at))
            start = at + 1
        return self.place(node)

    def mapping(self, node: yaml.Node, what: str, known: Mapping[str, bool]) -> dict[str, yaml.Node]:
        """Keys and value nodes of a mapping; ``known`` says of each allowed key whether it is required."""
        if not isinstance(node, yaml.MappingNode):
            raise RuleError(self.place(node), f"{what} must be a mapping with the keys {', '.join(known)}")
        found: dict[str, yaml.Node] = {}
        for key, value in node.value:
            # the raw word, so that the key `on` stays a word (YAML 1.1 reads it as a truth value)
            name = key.value if isinstance(key, yaml.ScalarNode) else ""
            if name not in known:
                hint = nearest(name, known) or f"; known keys are {', '.join(known)}"
                raise RuleError(self.place(key), f"unknown key {plain(name)!r} in {what}{hint}")
            if name in found:
                raise RuleError(self.place(key), f"the key {name!r} stands twice in {what}")
            found[name] = value
        for name, required in known.items():
            if required and name not in found:
                raise RuleError(self.place(node), f"{what} lacks the key {name!r}")
        return found

    def items(self, node: yaml.Node, what: str) -> list[yaml.Node]:
        """Item nodes of a sequence."""
        if not isinstance(node, yaml.SequenceNode):
            raise RuleError(self.place(node), f"{what} must be a list")
        return list(node.value)

    def string(self, node: yaml.Node, what: str) -> str:
        """Text; a number or truth value is refused unless quoted."""
        if not isinstance(node, yaml.ScalarNode) or not node.tag.endswith(":str"):
            raise RuleError(self.place(node), f"{what} must be a text, not {_kind(node)}")
        text = " ".join(str(node.value).split())
        if not text:
            raise RuleError(self.place(node), f"{what} must not be empty")
        if not text.isprintable():
            raise RuleError(self.place(node), f"{what} must not hold control characters")
        return text

    def expression(self, node: yaml.Node, what: str) -> str:
        """Text of a condition; a bare ``true`` or number is passed on as text."""
        if not isinstance(node, yaml.ScalarNode) or not str(node.value).strip():
            raise RuleError(self.place(node), f"{what} must be an SQL condition, not {_kind(node)}")
        return " ".join(str(node.value).split())

    def integer(self, node: yaml.Node, what: str) -> int:
        """A whole number of at most nine digits."""
        value = str(node.value) if isinstance(node, yaml.ScalarNode) and node.tag.endswith(":int") else ""
        digits = value.removeprefix("-").removeprefix("+")
        if not (digits.isascii() and digits.isdigit() and len(digits) <= MAX_DIGITS):
            raise RuleError(self.place(node), f"{what} must be a whole number, not {_kind(node)}")
        return int(value)

    def boolean(self, node: yaml.Node, what: str) -> bool:
        """``true`` or ``false``."""
        word = str(node.value) if isinstance(node, yaml.ScalarNode) else ""
        if word not in {"true", "false"}:
            raise RuleError(self.place(node), f"{what} must be true or false, not {_kind(node)}")
        return word == "true"

    def word(self, node: yaml.Node, what: str, known: Collection[str]) -> str:
        """A word from a closed list."""
        text = self.string(node, what)
        if text not in known:
            hint = nearest(text, known) or f"; known are {', '.join(known)}"
            raise RuleError(self.place(node), f"unknown {what} {plain(text)!r}{hint}")
        return text


def _kind(node: yaml.Node) -> str:
    if isinstance(node, yaml.MappingNode):
        return "a mapping"
    if isinstance(node, yaml.SequenceNode):
        return "a list"
    return f"{plain(str(node.value), 40)!r}" if str(node.value) else "nothing"
