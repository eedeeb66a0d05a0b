"""Runs that are kept in the corpus: which, what is written of them, and that they tell of nobody's machine."""

from __future__ import annotations

import struct

import pytest

from forensics.data import signature_root
from tests.lab import keep
from tests.lab.middlebox import Setup
from tests.lab.scenario import Conversation, Expect, Scenario
from tests.lab.scenarios import every
from tests.lab.truth import Capture, Frame, Key

KEY = ("tcp", "192.168.43.17", 40_000, "203.0.113.10", 443)
QUERY = ("udp", "192.168.43.17", 40_001, "203.0.113.53", 53)


def frame(number: int, key: Key, digest: str = "", *, back: bool = False) -> Frame:
    return Frame(number, number, not back, digest, key, 0)


FRAMES = Capture(
    (
        frame(1, QUERY, "query"),
        frame(2, QUERY, "answer", back=True),
        frame(3, KEY, "hello"),
        frame(4, KEY, "reset", back=True),
    )
)
ROWS = [
    keep.Row(1, "", "0", "", "photo.example", "1", "0x1", "0"),
    keep.Row(2, "", "0", "", "photo.example", "1", "0x1", "1"),
    keep.Row(3, "0", "", "photo.example", "", "", "", ""),
]
LEDGER = [
    Conversation("names", *QUERY, name="photo.example", ok=True),
    Conversation("photo", *KEY, name="photo.example"),
]


def test_all_that_is_kept_lies_in_the_corpus_and_nothing_else() -> None:
    assert {path.name for path in keep.CORPUS.glob("lab-*")} == {f"lab-{name}" for name in keep.KEPT}


@pytest.mark.parametrize("name", keep.KEPT)
def test_what_is_kept_is_a_scenario_and_its_rule_a_rule(name: str) -> None:
    rule = keep.KEPT[name]
    assert every()[name].benign == (not rule)
    assert not rule or (signature_root() / "interference" / f"{rule}.yaml").exists()


@pytest.mark.parametrize("name", keep.KEPT)
def test_captures_are_small_and_have_no_room_for_what_recorded_them(name: str) -> None:
    raw = (keep.CORPUS / f"lab-{name}" / "capture.pcap").read_bytes()
    assert len(raw) < keep.LARGEST
    # pcap of nanoseconds: its header has no place for a name of a machine, a system or an interface
    assert raw[:4] == bytes.fromhex("4d3cb2a1")


def test_what_was_forged_is_expected_with_what_called_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(keep.KEPT, "sni-reset-staged", "tls.sni.reset")
    scenario = Scenario(
        "sni-reset-staged",
        "",
        lambda _session: None,
        setup=Setup(),
        expect=(Expect("sni-reset", ("photo",)),),
    )
    events = [
        {"event": "forged", "to": "client", "packet": "reset"},
        {"event": "forged", "to": "server", "packet": "answer"},
        {"event": "dropped", "to": "client", "packet": "hello"},
    ]
    (row,) = keep.findings(scenario, LEDGER, events, FRAMES, ROWS)
    assert (row["mechanism"], row["target"]) == ("sni-reset", "photo.example")
    assert row["subjects"] == [{"proto": "tcp", "stream": 0}]
    assert row["frames_include"] == [{"frame": 3, "role": "client_hello"}, {"frame": 4, "role": "reset"}]


def test_answers_stand_with_their_question() -> None:
    assert keep.look_ups(ROWS) == [
        {"qname": "photo.example", "qtype": "A", "stream": 0, "query_frames": [1], "response_frames": [2]}
    ]


def test_late_packets_are_cut_and_keep_their_length() -> None:
    count = keep.WHOLE + 2
    packet = bytes(range(200))
    record = struct.pack("<IIII", 1, 2, len(packet), len(packet)) + packet
    capture = Capture(tuple(frame(number, KEY) for number in range(1, count + 1)))
    cut = keep.cut_short(bytes(24) + record * count, capture)
    whole = cut[24 : 24 + keep.WHOLE * len(record)]
    assert whole == record * keep.WHOLE
    assert cut[24 + len(whole) :] == 2 * (
        struct.pack("<IIII", 1, 2, keep.HEADERS, len(packet)) + packet[: keep.HEADERS]
    )
