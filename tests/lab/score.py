"""What the analysis said of a scenario, held against its truth."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from tests.lab.scenario import Conversation, Expect, Scenario
from tests.lab.truth import Capture, Key

LEVELS: Final = ("observed", "suspected", "likely", "strong", "conclusive")
ACCUSES: Final = LEVELS.index("likely")
NOT_YET: Final = Path(__file__).with_name("not_yet.yaml")


@dataclass(frozen=True)
class Seen:
    """How far one expectation was met at one end."""

    scenario: str
    end: str
    mechanism: str
    conversations: int
    """How many the findings should have among their subjects…"""
    found: int
    """… and how many they have."""
    forged: int
    """How many forged packets arrived there…"""
    named: int
    """… and how many of them are among the frames of the findings."""
    weaker: str = ""
    """The level of findings that are right but not sure enough, when only such were made."""

    @property
    def met(self) -> bool:
        """Everything was seen."""
        return self.found == self.conversations and self.named == self.forged

    @property
    def key(self) -> str:
        """How the list of what is not yet seen calls it."""
        return f"{self.scenario} {self.end} {self.mechanism}"

    def __str__(self) -> str:
        words = f"{self.end}: {self.mechanism} {self.found}/{self.conversations}"
        words += f" (only {self.weaker})" if self.weaker else ""
        return f"{words}, forged frames {self.named}/{self.forged}" if self.forged else words


@dataclass(frozen=True)
class Accusation:
    """A finding at ``likely`` or above that the truth does not bear out."""

    scenario: str
    end: str
    signature: str
    level: str
    conversation: str

    def __str__(self) -> str:
        return f"{self.end}: {self.signature} {self.level} on {self.conversation}"


def key_of(conversation: Conversation) -> Key:
    """How captures know it."""
    return (conversation.proto, conversation.client, conversation.client_port,
            conversation.server, conversation.server_port)  # fmt: skip


def _keys(finding: Mapping[str, Any]) -> set[Key]:
    names = ("proto", "client", "client_port", "server", "server_port")
    return {tuple(subject[name] for name in names) for subject in finding["subjects"]}  # type: ignore[misc]


def _frames(findings: Iterable[Mapping[str, Any]]) -> set[int]:
    named: set[int] = set()
    for finding in findings:
        named.update(row["frame"] for row in finding["frames"])
        for reason in finding["evidence"]:
            named.update(reason["frames"])
    return named


def seen(  # noqa: PLR0913 - what was done, and what was said of it
    scenario: Scenario, end: str, report: Mapping[str, Any], ledger: Sequence[Conversation],
    capture: Capture, events: Sequence[Mapping[str, Any]],
) -> list[Seen]:  # fmt: skip
    """The expectations of the scenario at this end; those with the same mechanism are one."""
    rows: dict[str, Seen] = {}
    for expect in scenario.expect:
        if end not in expect.ends:
            continue
        wanted = {key_of(row) for row in ledger if row.label in expect.labels}
        least = LEVELS.index(expect.level)
        fitting = [one for one in report["findings"] if _covers(expect, one) and _keys(one) & wanted]
        right = [one for one in fitting if LEVELS.index(one["level"]) >= least]
        found = wanted & set().union(*(_keys(finding) for finding in right))
        forged = _forged(capture, events, end, wanted) if expect.forged else set()
        named = forged & _frames(right)
        before = rows.get(expect.mechanism, Seen(scenario.name, end, expect.mechanism, 0, 0, 0, 0))
        rows[expect.mechanism] = dataclasses.replace(
            before,
            conversations=before.conversations + len(wanted),
            found=before.found + len(found),
            forged=before.forged + len(forged),
            named=before.named + len(named),
            weaker=before.weaker
            or ("" if right else max((one["level"] for one in fitting), key=LEVELS.index, default="")),
        )
    return list(rows.values())


def _forged(capture: Capture, events: Sequence[Mapping[str, Any]], end: str, wanted: set[Key]) -> set[int]:
    """Frames of the packets that were forged for this end in these conversations."""
    made = {event["packet"] for event in events if event["event"] == "forged" and event["to"] == end}
    return {frame.number for frame in capture.frames if frame.digest in made and frame.key in wanted}


def accusations(
    scenario: Scenario, end: str, report: Mapping[str, Any], ledger: Sequence[Conversation]
) -> list[Accusation]:
    """Findings at ``likely`` or above on conversations, or with mechanisms, that the scenario does not have."""
    labels = {key_of(row): row.label for row in ledger}
    wrong = []
    for finding in report["findings"]:
        if LEVELS.index(finding["level"]) < ACCUSES:
            continue
        free = {
            label
            for expect in (*scenario.expect, *scenario.may)
            if _covers(expect, finding)
            for label in expect.labels
        }
        for key in sorted(_keys(finding)):
            if labels.get(key) not in free:
                told = labels.get(key) or "{} {}:{} → {}:{}".format(*key)
                wrong.append(Accusation(scenario.name, end, finding["signature"], finding["level"], told))
    return wrong


def _covers(expect: Expect, finding: Mapping[str, Any]) -> bool:
    return finding["mechanism"] in {expect.mechanism, *expect.instead}


def misnumbered(report: Mapping[str, Any], capture: Capture) -> list[str]:
    """Subjects whose stream number is not tshark's."""
    streams = capture.streams()
    wrong = []
    for finding in report["findings"]:
        for subject in finding["subjects"]:
            key = tuple(subject[name] for name in ("proto", "client", "client_port", "server", "server_port"))
            if streams.get((subject["proto"], subject["stream"])) != key:
                wrong.append(
                    f"{finding['id']}: {subject['proto']} stream {subject['stream']} is another one in tshark"
                )
    return wrong


def not_yet(path: Path = NOT_YET) -> set[str]:
    """What the rules cannot see so far: "SCENARIO END MECHANISM" for each expectation."""
    listed = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    return {
        f"{scenario} {end} {mechanism}"
        for scenario, ends in listed.items()
        for end, mechanisms in ends.items()
        for mechanism in mechanisms
    }
