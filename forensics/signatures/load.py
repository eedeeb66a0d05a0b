"""Reading rules: from YAML files to checked rules, or one error that says where and what was expected."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeVar

import yaml

from forensics.data import signature_root
from forensics.errors import ForensicsError, RuleError
from forensics.observations.dictionary import GATES, TABLES, Table
from forensics.signatures.condition import Condition, compile_condition
from forensics.signatures.model import LEVELS, MECHANISMS
from forensics.signatures.rule import MATURITIES, BenignItem, Cap, EvidenceItem, Rule, RuleTest
from forensics.signatures.source import Source, nearest, plain
from forensics.signatures.statement import Statement, read_statement

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path


RULE_KEYS: Final = {
    "id": True,
    "title": True,
    "mechanism": True,
    "maturity": True,
    "on": True,
    "requires": False,
    "has_data": False,
    "when": True,
    "prior": False,
    "evidence": True,
    "benign": False,
    "caps": False,
    "group_caps": False,
    "frames": True,
    "target": True,
    "yields_to": False,
    "references": False,
    "tests": False,
}
"""Keys of a rule file, and whether each is required; the other ``*_KEYS`` are those of its lists."""
EVIDENCE_KEYS: Final = {
    "id": True,
    "when": False,
    "distinct": False,
    "at_least": False,
    "points": True,
    "because": True,
    "frames": False,
    "group": False,
}
BENIGN_KEYS: Final = {
    "id": True,
    "when": False,
    "testable": False,
    "points": False,
    "because": False,
    "otherwise": False,
    "untested": False,
    "suppress": False,
    "frames": False,
}
CAP_KEYS: Final = {"when": False, "level": True, "because": True}
TEST_KEYS: Final = {"capture": True, "expect": True}
RULE_FOLDER: Final = "interference"

ID_PATTERN: Final = r"^[a-z0-9]+(-[a-z0-9]+)*(\.[a-z0-9]+(-[a-z0-9]+)*)+$"
"""A rule's id: words joined by dots, such as ``tls.sni.reset``."""
ITEM_PATTERN: Final = r"^[a-z0-9]+(-[a-z0-9]+)*$"
"""The id of one reason, such as ``late-real``."""
CAPTURE_PATTERN: Final = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"
"""The name of a case of the corpus: one folder, never a path."""
MAX_POINTS: Final = 20
_TABLE_NAMES: Final = ("flow", "dns", "reset")
_T = TypeVar("_T")


@dataclass(frozen=True)
class SignatureSet:
    """All rules of one run."""

    rules: tuple[Rule, ...]
    """Sorted by id."""
    sha256: str
    """Over the names and bytes of the rule files, so that a report says which rules judged."""

    @property
    def count(self) -> int:
        """How many rules there are."""
        return len(self.rules)

    def rule(self, name: str) -> Rule:
        """The rule with this id; ForensicsError with the nearest ids when there is none."""
        for rule in self.rules:
            if rule.id == name:
                return rule
        known = [rule.id for rule in self.rules]
        hint = nearest(name, known) or f"; known are {', '.join(known)}"
        raise ForensicsError(f"there is no signature {plain(name)!r}{hint}")

    @classmethod
    def load(cls, root: Path | None = None) -> SignatureSet:
        """Read ``interference/*.yaml`` below ``root`` (the shipped signatures when None); raises RuleError."""
        folder = (signature_root() if root is None else root) / RULE_FOLDER
        return cls.read(sorted(folder.glob("*.yaml")))

    @classmethod
    def read(cls, files: Iterable[Path]) -> SignatureSet:
        """Read these rule files; raises RuleError at the first that cannot be used."""
        rules: dict[str, Rule] = {}
        digest = hashlib.sha256()
        for file in sorted(files, key=lambda path: path.name):
            data = _bytes(file)
            digest.update(f"{file.name}\0{len(data)}\0".encode())
            digest.update(data)
            rule = read_rule(str(file), data, stem=file.name.removesuffix(".yaml"))
            if rule.id in rules:
                raise RuleError(
                    rule.place, f"the id {rule.id} is already that of {rules[rule.id].place.file}"
                )
            rules[rule.id] = rule
        _check_yields(rules)
        return cls(tuple(rules[name] for name in sorted(rules)), digest.hexdigest())


def _bytes(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise ForensicsError(f"{plain(str(file))}: cannot be read: {error.strerror}") from None


def _check_yields(rules: dict[str, Rule]) -> None:
    for rule in rules.values():
        for other in rule.yields_to:
            # a rule may be read alone; then there is nothing it could yield to
            if other in rules and rules[other].table.name != rule.table.name:
                raise RuleError(rule.place, f"yields_to: {other} is on another table")


def read_rule(file: str, data: bytes, stem: str | None = None) -> Rule:
    """Read and check one rule.

    ``file`` names it in errors; the id must equal ``stem``, the file name without ``.yaml`` (None: not checked).
    Raises RuleError with file, line and column.
    """
    source = Source(plain(file, 400), data)
    return _RuleReader(source, source.root()).rule(stem)


class _RuleReader:
    """Reads the keys of one rule file."""

    def __init__(self, source: Source, root: yaml.Node) -> None:
        self.source = source
        self.root = root
        self.keys = source.mapping(root, "a rule", RULE_KEYS)
        table = source.word(self.keys["on"], "table", _TABLE_NAMES)
        self.table: Table = TABLES[table]

    def rule(self, stem: str | None) -> Rule:
        keys, source = self.keys, self.source
        evidence = self._many("evidence", self._evidence)
        benign = self._many("benign", self._benign)
        seen: set[str] = set()
        for name, place in [(item.id, item.place) for item in evidence] + [(b.id, b.place) for b in benign]:
            if name in seen:
                raise RuleError(place, f"the id {name} stands twice in this rule")
            seen.add(name)
        return Rule(
            id=self._id(stem),
            title=source.string(keys["title"], "title"),
            mechanism=source.word(keys["mechanism"], "mechanism", MECHANISMS),
            maturity=source.word(keys["maturity"], "maturity", MATURITIES),
            table=self.table,
            requires=self._many("requires", self._gate),
            has_data=self._optional(keys, "has_data"),
            when=self._condition(keys["when"], "when"),
            prior=self._points(keys["prior"], "prior", -MAX_POINTS) if "prior" in keys else 1,
            evidence=evidence,
            benign=benign,
            caps=self._many("caps", self._cap),
            group_caps=self._group_caps(evidence),
            frames=self._many("frames", self._frame_column),
            target=self._target(),
            yields_to=self._many("yields_to", lambda node: self._pattern(node, "yields_to", ID_PATTERN)),
            references=self._many("references", lambda node: source.string(node, "reference")),
            tests=self._many("tests", self._test),
            place=source.place(self.root),
        )

    def _many(self, key: str, read: Callable[[yaml.Node], _T]) -> tuple[_T, ...]:
        if key not in self.keys:
            return ()
        return tuple(read(node) for node in self.source.items(self.keys[key], key))

    def _condition(self, node: yaml.Node, what: str) -> Condition:
        return compile_condition(self.source, node, self.table, what)

    def _optional(self, keys: dict[str, yaml.Node], key: str) -> Condition | None:
        return self._condition(keys[key], key) if key in keys else None

    def _statement(self, node: yaml.Node, what: str, extra: dict[str, str] | None = None) -> Statement:
        return read_statement(self.source, node, self.table, what, extra)

    def _maybe(self, keys: dict[str, yaml.Node], key: str) -> Statement | None:
        return self._statement(keys[key], key) if key in keys else None

    def _pattern(self, node: yaml.Node, what: str, pattern: str) -> str:
        text = self.source.string(node, what)
        if not re.fullmatch(pattern, text):
            raise RuleError(self.source.place(node), f"{what} {plain(text)!r} must have the form {pattern}")
        return text

    def _points(self, node: yaml.Node, what: str, least: int, most: int = MAX_POINTS) -> int:
        value = self.source.integer(node, what)
        if not least <= value <= most:
            raise RuleError(
                self.source.place(node), f"{what} must be between {least} and {most}, not {value}"
            )
        return value

    def _id(self, stem: str | None) -> str:
        name = self._pattern(self.keys["id"], "id", ID_PATTERN)
        if stem is not None and name != stem:
            message = f"the id {name} differs from the file name {plain(stem)}.yaml"
            raise RuleError(self.source.place(self.keys["id"]), message)
        return name

    def _column(self, node: yaml.Node, what: str) -> str:
        name = self.source.string(node, what)
        known = [column.name for column in self.table.columns]
        if name not in known:
            message = (
                f"{what}: the table {self.table.name} has no column {plain(name)!r}{nearest(name, known)}"
            )
            raise RuleError(self.source.place(node), message)
        return name

    def _frame_column(self, node: yaml.Node) -> str:
        name = self._column(node, "frames")
        if self.table.column(name).unit != "frame":
            known = [column.name for column in self.table.columns if column.unit == "frame"]
            message = f"frames: {name} holds no frame numbers{nearest(name, known)}"
            raise RuleError(self.source.place(node), message)
        return name

    def _gate(self, node: yaml.Node) -> str:
        known = [gate for gate in GATES if gate in self.table.schema()]
        return self.source.word(node, "gate", known)

    def _target(self) -> tuple[str, ...]:
        node = self.keys["target"]
        if isinstance(node, yaml.ScalarNode):
            return (self._column(node, "target"),)
        return self._many("target", lambda item: self._column(item, "target"))

    def _frames_of(self, keys: dict[str, yaml.Node]) -> tuple[str, ...]:
        if "frames" not in keys:
            return ()
        return tuple(self._frame_column(node) for node in self.source.items(keys["frames"], "frames"))

    def _evidence(self, node: yaml.Node) -> EvidenceItem:
        source = self.source
        keys = source.mapping(node, "evidence", EVIDENCE_KEYS)
        counts = "distinct" in keys
        if counts == ("when" in keys) or counts != ("at_least" in keys):
            raise RuleError(
                source.place(node), "evidence has either `when`, or `distinct` together with `at_least`"
            )
        return EvidenceItem(
            id=self._pattern(keys["id"], "id", ITEM_PATTERN),
            points=self._points(keys["points"], "points", 0),
            because=self._statement(keys["because"], "because", {"distinct": ""} if counts else None),
            when=self._optional(keys, "when"),
            distinct=self._column(keys["distinct"], "distinct") if counts else None,
            at_least=self._points(keys["at_least"], "at_least", 2, 1000) if counts else 0,
            frames=self._frames_of(keys),
            group=self._pattern(keys["group"], "group", ITEM_PATTERN) if "group" in keys else None,
            place=source.place(node),
        )

    def _benign(self, node: yaml.Node) -> BenignItem:
        source = self.source
        keys = source.mapping(node, "benign", BENIGN_KEYS)
        said = {"when", "points", "because", "otherwise"}
        tested = said <= keys.keys() and ("testable" in keys) == ("untested" in keys)
        if not tested and keys.keys() != {"id", "untested"}:
            message = "benign has when, points, because, otherwise (testable together with untested), or only untested"
            raise RuleError(source.place(node), message)
        return BenignItem(
            id=self._pattern(keys["id"], "id", ITEM_PATTERN),
            points=self._points(keys["points"], "points", -MAX_POINTS, 0) if "points" in keys else 0,
            because=self._maybe(keys, "because"),
            otherwise=self._maybe(keys, "otherwise"),
            when=self._optional(keys, "when"),
            testable=self._optional(keys, "testable"),
            untested=self._maybe(keys, "untested"),
            suppress="suppress" in keys and source.boolean(keys["suppress"], "suppress"),
            frames=self._frames_of(keys),
            place=source.place(node),
        )

    def _cap(self, node: yaml.Node) -> Cap:
        keys = self.source.mapping(node, "caps", CAP_KEYS)
        return Cap(
            when=self._optional(keys, "when"),
            level=self.source.word(keys["level"], "level", LEVELS),
            because=self._statement(keys["because"], "because"),
            place=self.source.place(node),
        )

    def _test(self, node: yaml.Node) -> RuleTest:
        keys = self.source.mapping(node, "tests", TEST_KEYS)
        return RuleTest(
            capture=self._pattern(keys["capture"], "capture", CAPTURE_PATTERN),
            expect=self._points(keys["expect"], "expect", 0, 10**6),
            place=self.source.place(node),
        )

    def _group_caps(self, evidence: tuple[EvidenceItem, ...]) -> tuple[tuple[str, int], ...]:
        node = self.keys.get("group_caps")
        if node is None:
            return ()
        groups = {item.group: False for item in evidence if item.group}
        found = self.source.mapping(node, "group_caps", groups)
        return tuple((name, self._points(value, "points", 0)) for name, value in found.items())
