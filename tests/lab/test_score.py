from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.lab import score
from tests.lab.scenario import MECHANISMS, Conversation, Expect, Scenario
from tests.lab.scenarios import every
from tests.lab.truth import Capture, Frame

PHOTO = Conversation("photo", "tcp", "192.168.43.17", 40_001, "203.0.113.10", 443)
TEXT = Conversation("text", "tcp", "192.168.43.17", 40_002, "203.0.113.10", 443)
LEDGER = [PHOTO, TEXT]
RESET = {"event": "forged", "packet": "reset", "to": "client"}
CAPTURE = Capture(
    (
        Frame(1, 1, from_client=True, digest="hello", key=score.key_of(PHOTO), stream=0),
        Frame(2, 2, from_client=False, digest="reset", key=score.key_of(PHOTO), stream=0),
        Frame(3, 3, from_client=True, digest="other", key=score.key_of(TEXT), stream=1),
    )
)


def scenario(*expect: Expect, may: tuple[Expect, ...] = ()) -> Scenario:
    return Scenario("staged", "", lambda _session: None, expect=expect, may=may)


def finding(
    mechanism: str, *rows: Conversation, level: str = "likely", frames: tuple[int, ...] = (), stream: int = 0
) -> dict[str, Any]:
    subjects = [
        {"proto": row.proto, "stream": stream, "client": row.client, "client_port": row.client_port,
         "server": row.server, "server_port": row.server_port} for row in rows
    ]  # fmt: skip
    named = [{"frame": frame, "role": "reset"} for frame in frames]
    return {"id": "F1", "signature": "a.rule", "mechanism": mechanism, "level": level, "subjects": subjects,
            "frames": named, "evidence": []}  # fmt: skip


def seen(one: Scenario, *findings: dict[str, Any], end: str = "client") -> list[score.Seen]:
    return score.seen(one, end, {"findings": list(findings)}, LEDGER, CAPTURE, [RESET])


EXPECTED = scenario(Expect("sni-reset", ("photo",)))


def test_met_when_conversation_and_forged_frames_are_named() -> None:
    (row,) = seen(EXPECTED, finding("sni-reset", PHOTO, frames=(1, 2)))
    assert row.met
    assert (row.conversations, row.found, row.forged, row.named) == (1, 1, 1, 1)


@pytest.mark.parametrize(
    "found",
    [
        finding("sni-reset", PHOTO, frames=(1,)),
        finding("sni-reset", TEXT, frames=(2,)),
        finding("sni-drop", PHOTO, frames=(2,)),
        finding("sni-reset", PHOTO, frames=(2,), level="suspected"),
    ],
    ids=["frame not named", "another conversation", "another mechanism", "not sure enough"],
)
def test_not_met(found: dict[str, Any]) -> None:
    (row,) = seen(EXPECTED, found)
    assert not row.met


def test_it_is_told_when_a_finding_is_right_but_not_sure_enough() -> None:
    (row,) = seen(EXPECTED, finding("sni-reset", PHOTO, frames=(2,), level="suspected"))
    assert str(row) == "client: sni-reset 0/1 (only suspected), forged frames 0/1"


def test_expectations_with_one_mechanism_are_one() -> None:
    two = scenario(Expect("sni-reset", ("photo",)), Expect("sni-reset", ("text",)))
    (row,) = seen(two, finding("sni-reset", PHOTO, frames=(2,)))
    assert (row.conversations, row.found, row.met) == (2, 1, False)


def test_another_word_may_be_as_right() -> None:
    (row,) = seen(
        scenario(Expect("sni-reset", ("photo",), instead=("sni-drop",))),
        finding("sni-drop", PHOTO, frames=(2,)),
    )
    assert row.met


def test_nothing_is_expected_at_an_end_that_does_not_show_it() -> None:
    assert seen(EXPECTED, end="server") == []


def accused(one: Scenario, *findings: dict[str, Any]) -> list[str]:
    return [
        row.conversation for row in score.accusations(one, "client", {"findings": list(findings)}, LEDGER)
    ]


def test_whoever_is_innocent_must_not_be_accused() -> None:
    assert accused(scenario(), finding("sni-reset", TEXT)) == ["text"]
    assert accused(EXPECTED, finding("sni-reset", PHOTO, TEXT)) == ["text"]
    assert accused(EXPECTED, finding("sni-drop", PHOTO)) == ["photo"]
    assert accused(EXPECTED, finding("sni-reset", PHOTO)) == []


def test_a_suspicion_is_no_accusation() -> None:
    assert accused(scenario(), finding("sni-reset", TEXT, level="suspected")) == []


def test_what_may_be_said_is_no_accusation() -> None:
    assert accused(scenario(may=(Expect("sni-reset", ("text",)),)), finding("sni-reset", TEXT)) == []


def test_streams_are_those_of_tshark() -> None:
    assert score.misnumbered({"findings": [finding("sni-reset", PHOTO)]}, CAPTURE) == []
    assert score.misnumbered({"findings": [finding("sni-reset", PHOTO, stream=1)]}, CAPTURE)


def test_the_list_of_what_is_not_seen_is_read(tmp_path: Path) -> None:
    path = tmp_path / "list.yaml"
    path.write_text("one:\n  client: [sni-reset, sni-drop]\n  server: [sni-reset]\n")
    assert score.not_yet(path) == {"one client sni-reset", "one client sni-drop", "one server sni-reset"}


def test_the_list_holds_only_what_is_expected() -> None:
    expected = {
        f"{one.name} {end} {expect.mechanism}"
        for one in every().values()
        for expect in one.expect
        for end in expect.ends
    }
    assert score.not_yet() - expected == set()


@pytest.mark.parametrize("one", every().values(), ids=lambda one: one.name)
def test_scenarios_are_told_well(one: Scenario) -> None:
    words = {expect.mechanism for expect in (*one.expect, *one.may)}
    words |= {word for expect in (*one.expect, *one.may) for word in expect.instead}
    assert words <= set(MECHANISMS)
    assert one.name.startswith("benign-" if one.benign else MECHANISMS)
    assert one.about.endswith(".")
    assert all(expect.labels and set(expect.ends) <= {"client", "server"} for expect in one.expect)


def test_every_mechanism_is_staged_in_three_ways() -> None:
    staged = dict.fromkeys(MECHANISMS, 0)
    for one in every().values():
        for word in {expect.mechanism for expect in one.expect}:
            staged[word] += 1
    assert {word for word, count in staged.items() if count < 3} == set()
