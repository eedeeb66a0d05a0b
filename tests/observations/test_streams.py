"""Which connections are followed, what their readers get, and that the cut into batches makes no difference."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forensics.flows.arrays import NEVER
from forensics.flows.reassembly import Wire
from forensics.observations import connections, streams
from forensics.observations.streams import StreamCollector
from tests.flows.made import ACK, CLIENT, FIN, PSH, RST, SERVER, SYN, Pkt, Talk
from tests.observations.following import feed, follow, opener


def every_cut(packets, *words, answer=None):
    """The readers' notes, which must be the same in one batch, packet by packet, and cut once anywhere."""
    found = follow(packets, (), *words, answer=answer)
    for cuts in (range(len(packets)), *([n] for n in range(1, min(len(packets), 12)))):
        again = follow(packets, cuts, *words, answer=answer)
        assert [n.calls for n in again] == [n.calls for n in found]
        assert [n.name for n in again] == [n.name for n in found]
    return found


def talk(*steps, shake=True):
    """Steps: (who, place, payload[, more])."""
    told = Talk()
    if shake:
        told.shake()
    for who, place, payload, *more in steps:
        options = more[0] if more else {}
        getattr(told, who)(ACK | PSH, 1 + place, options.pop("ack", 1), data=payload, **options)
    return told.packets


def names(notes):
    return [(n.name, n.opening.side, n.opening.first, n.opening.frame) for n in notes]


def test_a_connection_is_opened_by_its_first_bytes_and_both_sides_are_read():
    (notes,) = every_cut(
        talk(("c", 0, b"HELO a"), ("s", 0, b"250 b"), ("c", 6, b"QUIT"), ("s", 5, b"x")), b"HELO"
    )
    assert notes.text(0) == b"HELO aQUIT"
    assert notes.text(1) == b"250 bx"
    assert names([notes]) == [("HELO", 0, b"HELO a", 4)]
    assert notes.opening.ports == (40000, 443)
    assert [call[0] for call in notes.calls] == ["take"] * 4
    assert notes.calls[0][4:] == (
        4,
        1_700_000_000_040_000_000,
        Wire(60, 7, df=True, window=512, flags=ACK | PSH),
    )


def test_nothing_is_read_of_what_nobody_wants():
    assert every_cut(talk(("c", 0, b"EHLO"), ("s", 0, b"HELX")), b"HELO") == []
    assert (
        every_cut(
            talk(("c", 0, b"HELO")),
        )
        == []
    )


def test_the_first_opener_gets_it():
    both = every_cut(talk(("c", 0, b"HELO")), b"HE", b"HELO")
    assert [n.name for n in both] == ["HE"]
    # the side that speaks first decides, whichever opener likes the other
    swapped = every_cut(talk(("s", 0, b"HELO"), ("c", 0, b"HE..")), b"HE..", b"HELO")
    assert [(n.name, n.opening.side) for n in swapped] == [("HELO", 1)]


def test_a_side_that_was_turned_away_is_read_from_where_the_other_opens():
    (notes,) = every_cut(
        talk(("c", 0, b"junk"), ("c", 4, b"more"), ("s", 0, b"HELO"), ("c", 8, b"tail")), b"HELO"
    )
    assert notes.calls[1][:4] == ("lost", 0, 0, 8)
    assert notes.text(0) == b"........tail"


def test_reordered_beginnings_still_open():
    (notes,) = every_cut(
        talk(("c", 4, b" abc"), ("c", 8, b"d"), ("c", 0, b"HELO"), ("s", 3, b"de"), ("s", 0, b"abc")), b"HELO"
    )
    assert notes.text(0) == b"HELO abcd"
    assert notes.text(1) == b"abcde"
    assert notes.opening.frame == 6
    assert every_cut(talk(("c", 4, b" abc"), ("c", 0, b"EHLO"), ("c", 8, b"d")), b"HELO") == []


def test_a_beginning_that_never_comes():
    (notes,) = every_cut(talk(("c", 4, b"HELO"), ("s", 0, b"hi")), b"HELO")
    assert notes.text(0) == b"HELO"
    assert notes.opening.first == b"HELO"


def test_a_start_in_mid_flow_says_so():
    (notes,) = every_cut(talk(("c", 0, b"HELO"), ("s", 0, b"hi"), shake=False), b"HELO")
    assert [call[:4] for call in notes.calls] == [
        ("lost", 0, 0, 0), ("take", 0, 0, b"HELO"), ("lost", 1, 0, 0), ("take", 1, 0, b"hi"),
    ]  # fmt: skip


def test_one_direction_is_enough():
    only_server = [
        p for p in talk(("c", 0, b"HELO"), ("s", 0, b"hi "), ("s", 3, b"there")) if p.src == SERVER
    ]
    (notes,) = every_cut(only_server, b"hi")
    assert notes.text(1) == b"hi there"


def test_resets_carry_no_stream_and_a_syn_may():
    packets = Talk()
    packets.c(SYN, 0, -packets.server_isn, data=b"HELO")
    packets.s(SYN | ACK, 0, 5)
    packets.s(RST | ACK, 1, 5, data=b"injected")
    packets.c(ACK | PSH, 5, 1, data=b" you")
    packets.s(FIN | ACK, 1, 5, data=b"bye")
    (notes,) = every_cut(packets.packets, b"HELO")
    assert (notes.text(0), notes.text(1)) == (b"HELO you", b"bye")


def test_other_bytes_for_the_same_places():
    (notes,) = every_cut(
        talk(("c", 0, b"HELO"), ("s", 0, b"forged"), ("s", 0, b"genuine!", {"ttl": 44}), ("s", 8, b"end")),
        b"HELO",
    )
    take, other, rest = notes.calls[1:4]
    assert take[:4] == ("take", 1, 0, b"forged")
    assert other[:5] == ("differs", 1, 0, b"genuin", 6)
    assert other[6].ttl == 44
    assert rest[:5] == ("take", 1, 6, b"e!", 6)


def test_acknowledged_loss_is_told_while_the_flow_goes_on():
    steps = [("c", 0, b"HELO"), ("s", 0, b"abc"), ("s", 6, b"ghi")]
    packets = Talk().shake()
    for who, place, payload in steps:
        getattr(packets, who)(ACK, 1 + place, 1, data=payload)
    for _ in range(20):
        packets.c(ACK, 5, 10)
    packets.s(ACK, 4, 5, data=b"def")
    (notes,) = every_cut(packets.packets, b"HELO")
    assert notes.text(1) == b"abc...ghi"
    # an acknowledgement of less says nothing, and the segment may come yet
    waits = [p if p.ack != 5010 else Pkt(p.src, p.dst, ACK, p.seq, 5004, ms=p.ms) for p in packets.packets]
    (notes,) = every_cut(waits, b"HELO")
    assert notes.text(1) == b"abcdefghi"


def test_what_the_capture_cut_off_is_lost():
    (notes,) = every_cut(
        talk(("c", 0, b"HELO"), ("s", 0, b"abc", {"size": 10}), ("s", 10, b"", {"size": 5}), ("s", 15, b"z")),
        b"HELO",
    )
    assert notes.text(1) == b"abc" + b"." * 12 + b"z"


def test_a_long_skip_reaches_no_reader_and_no_python(monkeypatch):
    packets = talk(("c", 0, b"HELO"))
    packets += talk(*[("s", 100 * n, bytes([n % 250]) * 100) for n in range(400)])[3:]
    seen = []
    plain = connections.Connections.packet
    monkeypatch.setattr(streams, "_CHUNK", 16)
    monkeypatch.setattr(connections.Connections, "packet", lambda s, *a: (seen.append(a), plain(s, *a)))

    def answer(side, place, end):
        return 39_000 if side and place < 39_000 else NEVER if place >= 39_500 else end

    (notes,) = follow(packets, (), b"HELO", answer=answer)
    assert [call[2] for call in notes.calls if call[1]] == [0, 39000, 39100, 39200, 39300, 39400, 39500]
    assert len(seen) < 40
    assert every_cut(packets, b"HELO", answer=answer)[0].calls == notes.calls


@st.composite
def conversations(draw):
    """Two streams in segments that overlap, repeat, come in any order, are lost, or differ."""
    size = {"c": 120, "s": 300}
    text = {"c": b"HELO" + bytes(range(116)), "s": bytes(range(256)) + bytes(44)}
    steps = [("c", 0, text["c"][:10])] if draw(st.booleans()) else []
    for _ in range(draw(st.integers(1, 30))):
        who = draw(st.sampled_from("cs"))
        place = draw(st.integers(0, size[who] - 1))
        payload = bytearray(text[who][place : place + draw(st.integers(1, 60))])
        if draw(st.integers(0, 7)) == 0:
            payload[0] ^= 0x80
        ack = draw(st.sampled_from([1, 1, 60, 120, 300]))
        steps.append((who, place, bytes(payload), {"ack": ack, "size": draw(st.sampled_from([0, 0, 0, 70]))}))
    return talk(*steps, shake=draw(st.booleans()))


@settings(max_examples=100, deadline=None)
@given(conversations(), st.integers(0, 2**32), st.sampled_from([None, "skip", "never"]))
def test_nothing_depends_on_where_batches_are_cut(packets, seed, mode):
    def answer(_side, place, end):
        if mode == "skip":
            return end + 40 if place % 3 else end
        return NEVER if mode == "never" and place > 50 else end

    found = [n.calls for n in follow(packets, (), b"HELO", b"\x00\x01", answer=answer)]
    rng = random.Random(seed)  # noqa: S311 - reproducible cuts
    some = [n for n in range(len(packets)) if rng.random() < 0.4]
    for cuts in (range(len(packets)), some):
        assert [n.calls for n in follow(packets, cuts, b"HELO", b"\x00\x01", answer=answer)] == found


@settings(max_examples=100, deadline=None)
@given(conversations())
def test_readers_get_each_place_once_and_in_order(packets):
    for notes in follow(packets, (), b"HELO"):
        at = {0: 0, 1: 0}
        for kind, side, place, what, *_ in notes.calls:
            if kind == "differs":
                assert place + len(what) <= at[side]
                continue
            assert place == at[side]
            at[side] = what if kind == "lost" else place + len(what)


@pytest.mark.parametrize("side", [CLIENT, SERVER])
def test_many_flows_without_a_reader_keep_nothing(side):
    packets = [Pkt((side[0], 1000 + n), ("198.51.100.9", 80), ACK, 1, 1, b"other") for n in range(50)]
    kept = []
    made = feed(packets, (10, 30), lambda engine: StreamCollector(engine, [opener(b"HELO", kept)]))
    assert kept == []
    assert made.connections.holes() == []
