"""Reading rules: from YAML files to checked rules, or one error that says where and what was expected."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeVar

from forensics.data import signature_root
from forensics.errors import ForensicsError, RuleError
from forensics.observations.collector import Asked
from forensics.observations.dictionary import FLOW, GATES, TABLES, Table
from forensics.signatures.condition import Condition, compile_condition
from forensics.signatures.model import LEVELS, MECHANISMS
from forensics.signatures.rule import MATURITIES, BenignItem, Cap, EvidenceItem, Rule, RuleTest
from forensics.signatures.statement import Statement, read_statement
from forensics.yamlfile import Item, clean, decode_yaml, nearest, quote

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
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

    @property
    def count(self) -> int:
        """How many rules there are."""
        return len(self.rules)

    def asked(self) -> Asked:
        """The tables, and the columns of flows, that rules read."""
        return Asked(
            frozenset(rule.table.name for rule in self.rules),
            frozenset(name for rule in self.rules if rule.table is FLOW for name in rule.columns()),
        )

    def rule(self, name: str) -> Rule:
        """The rule with this id; ForensicsError with the nearest ids when there is none."""
        for rule in self.rules:
            if rule.id == name:
                return rule
        raise ForensicsError(
            f"there is no signature {quote(name)}{nearest(name, [rule.id for rule in self.rules])}"
        )

    @classmethod
    def load(cls, root: Path | None = None) -> SignatureSet:
        """Read ``interference/*.yaml`` below ``root`` (the shipped signatures when None); raises RuleError."""
        folder = (signature_root() if root is None else root) / RULE_FOLDER
        return cls.read(sorted(folder.glob("*.yaml")))

    @classmethod
    def read(cls, files: Iterable[Path]) -> SignatureSet:
        """Read these rule files; raises RuleError at the first that cannot be used."""
        rules: dict[str, Rule] = {}
        for file in sorted(files, key=lambda path: path.name):
            data = _bytes(file)
            rule = read_rule(str(file), data, stem=file.name.removesuffix(".yaml"))
            if rule.id in rules:
                raise RuleError(
                    rule.place, f"the id {rule.id} is already that of {rules[rule.id].place.file}"
                )
            rules[rule.id] = rule
        _check_yields(rules)
        return cls(tuple(rules[name] for name in sorted(rules)))


def _bytes(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise ForensicsError(f"{clean(str(file), 400)}: cannot be read: {error.strerror}") from None


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
    return _RuleReader(decode_yaml(data, clean(file, 400))).rule(stem)


def _entries(item: Item, known: Mapping[str, bool]) -> dict[str, Item]:
    """The entries of a mapping; ``known`` says of each allowed key whether it is required."""
    return item.fields(
        [key for key, required in known.items() if required],
        [key for key, required in known.items() if not required],
    )


class _RuleReader:
    """Reads the keys of one rule file."""

    def __init__(self, root: Item) -> None:
        self.root = root
        self.keys = _entries(root, RULE_KEYS)
        self.table: Table = TABLES[self.keys["on"].word(_TABLE_NAMES, "table")]

    def rule(self, stem: str | None) -> Rule:
        keys = self.keys
        evidence = self._many("evidence", self._evidence)
        benign = self._many("benign", self._benign)
        seen: set[str] = set()
        for name, place in [(item.id, item.place) for item in evidence] + [(b.id, b.place) for b in benign]:
            if name in seen:
                raise RuleError(place, f"the id {name} stands twice in this rule")
            seen.add(name)
        return Rule(
            id=self._id(stem),
            title=keys["title"].text(),
            mechanism=keys["mechanism"].word(MECHANISMS, "mechanism"),
            maturity=keys["maturity"].word(MATURITIES, "maturity"),
            table=self.table,
            requires=self._many("requires", self._gate),
            has_data=self._optional(keys, "has_data"),
            when=self._condition(keys["when"], "when"),
            prior=keys["prior"].integer(-MAX_POINTS, MAX_POINTS) if "prior" in keys else 1,
            evidence=evidence,
            benign=benign,
            caps=self._many("caps", self._cap),
            group_caps=self._group_caps(evidence),
            frames=self._many("frames", self._frame_column),
            target=self._target(),
            yields_to=self._many("yields_to", lambda item: self._pattern(item, "yields_to", ID_PATTERN)),
            references=self._many("references", Item.text),
            tests=self._many("tests", self._test),
            place=self.root.place,
        )

    def _many(self, key: str, read: Callable[[Item], _T]) -> tuple[_T, ...]:
        return tuple(read(item) for item in self.keys[key].items()) if key in self.keys else ()

    def _condition(self, item: Item, what: str) -> Condition:
        return compile_condition(item, self.table, what)

    def _optional(self, keys: dict[str, Item], key: str) -> Condition | None:
        return self._condition(keys[key], key) if key in keys else None

    def _statement(self, item: Item, what: str, extra: dict[str, str] | None = None) -> Statement:
        return read_statement(item, self.table, what, extra)

    def _maybe(self, keys: dict[str, Item], key: str) -> Statement | None:
        return self._statement(keys[key], key) if key in keys else None

    def _pattern(self, item: Item, what: str, pattern: str) -> str:
        text = item.text()
        if not re.fullmatch(pattern, text):
            raise RuleError(item.place, f"{what} {quote(text)} must have the form {pattern}")
        return text

    def _id(self, stem: str | None) -> str:
        name = self._pattern(self.keys["id"], "id", ID_PATTERN)
        if stem is not None and name != stem:
            message = f"the id {name} differs from the file name {clean(stem, 120)}.yaml"
            raise RuleError(self.keys["id"].place, message)
        return name

    def _column(self, item: Item, what: str) -> str:
        name = item.text()
        known = [column.name for column in self.table.columns]
        if name not in known:
            hint = nearest(name, known)
            raise RuleError(
                item.place, f"{what}: the table {self.table.name} has no column {quote(name)}{hint}"
            )
        return name

    def _frame_column(self, item: Item) -> str:
        name = self._column(item, "frames")
        if self.table.column(name).unit != "frame":
            known = [column.name for column in self.table.columns if column.unit == "frame"]
            raise RuleError(item.place, f"frames: {name} holds no frame numbers{nearest(name, known)}")
        return name

    def _gate(self, item: Item) -> str:
        return item.word([gate for gate in GATES if gate in self.table.schema()], "gate")

    def _target(self) -> tuple[str, ...]:
        item = self.keys["target"]
        if isinstance(item.value, list):
            return self._many("target", lambda child: self._column(child, "target"))
        return (self._column(item, "target"),)

    def _frames_of(self, keys: dict[str, Item]) -> tuple[str, ...]:
        return tuple(self._frame_column(item) for item in keys["frames"].items()) if "frames" in keys else ()

    def _evidence(self, item: Item) -> EvidenceItem:
        keys = _entries(item, EVIDENCE_KEYS)
        counts = "distinct" in keys
        if counts == ("when" in keys) or counts != ("at_least" in keys):
            raise RuleError(item.place, "evidence has either `when`, or `distinct` together with `at_least`")
        return EvidenceItem(
            id=self._pattern(keys["id"], "id", ITEM_PATTERN),
            points=keys["points"].integer(0, MAX_POINTS),
            because=self._statement(keys["because"], "because", {"distinct": ""} if counts else None),
            when=self._optional(keys, "when"),
            distinct=self._column(keys["distinct"], "distinct") if counts else None,
            at_least=keys["at_least"].integer(2, 1000) if counts else 0,
            frames=self._frames_of(keys),
            group=self._pattern(keys["group"], "group", ITEM_PATTERN) if "group" in keys else None,
            place=item.place,
        )

    def _benign(self, item: Item) -> BenignItem:
        keys = _entries(item, BENIGN_KEYS)
        said = {"when", "points", "because", "otherwise"}
        tested = said <= keys.keys() and ("testable" in keys) == ("untested" in keys)
        if not tested and keys.keys() != {"id", "untested"}:
            message = "benign has when, points, because, otherwise (testable together with untested), or only untested"
            raise RuleError(item.place, message)
        return BenignItem(
            id=self._pattern(keys["id"], "id", ITEM_PATTERN),
            points=keys["points"].integer(-MAX_POINTS, 0) if "points" in keys else 0,
            because=self._maybe(keys, "because"),
            otherwise=self._maybe(keys, "otherwise"),
            when=self._optional(keys, "when"),
            testable=self._optional(keys, "testable"),
            untested=self._maybe(keys, "untested"),
            suppress="suppress" in keys and keys["suppress"].boolean(),
            frames=self._frames_of(keys),
            place=item.place,
        )

    def _cap(self, item: Item) -> Cap:
        keys = _entries(item, CAP_KEYS)
        return Cap(
            when=self._optional(keys, "when"),
            level=keys["level"].word(LEVELS, "level"),
            because=self._statement(keys["because"], "because"),
            place=item.place,
        )

    def _test(self, item: Item) -> RuleTest:
        keys = _entries(item, TEST_KEYS)
        return RuleTest(
            capture=self._pattern(keys["capture"], "capture", CAPTURE_PATTERN),
            expect=keys["expect"].integer(0, 10**6),
            place=item.place,
        )

    def _group_caps(self, evidence: tuple[EvidenceItem, ...]) -> tuple[tuple[str, int], ...]:
        item = self.keys.get("group_caps")
        if item is None:
            return ()
        groups = {reason.group: False for reason in evidence if reason.group}
        found = _entries(item, groups)
        return tuple((name, value.integer(0, MAX_POINTS)) for name, value in found.items())
