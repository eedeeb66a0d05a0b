from __future__ import annotations

import random
import struct
from itertools import pairwise
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forensics.decode.addresses import AddressBook
from forensics.flows.arrays import NEVER
from forensics.observations.dns import DnsCollector
from forensics.observations.dns_stream import DnsReader, looks_like_dns
from forensics.observations.dns_summary import TRANSACTION
from forensics.observations.dns_transactions import TCP, Transactions
from forensics.observations.streams import Heads, Opening, StreamCollector, Wire
from tests.flows.made import Pkt, Talk
from tests.observations.following import feed
from tests.observations.test_dns import message

CLIENT, SERVER = 1, 2
MS = 1_000_000


class Fed:
    """A reader of a connection whose side 0 is the client, and what it made."""

    def __init__(self, ports: tuple[int, int] = (40000, 53)) -> None:
        self.made: list[tuple[Any, ...]] = []
        self.counted: list[str] = []
        self.opening = Opening(
            flow=0,
            side=0,
            ports=ports,
            frame=1,
            time=0,
            first=b"",
            wire=Wire(57, 7, df=True, window=9, flags=0x18),
        )
        transactions = Transactions(TCP, 4, self.made.append)
        self.reader = DnsReader(self.opening, (CLIENT, SERVER), 5, transactions, self.counted.append)
        self.place = [0, 0]
        self.frame = 0

    def send(self, side: int, data: bytes) -> int:
        """One segment, as the streams give it: bytes that are not wanted are left out."""
        self.frame += 1
        begin = self.place[side]
        self.place[side] += len(data)
        wanted = self.next[side] if hasattr(self, "next") else 0
        if not hasattr(self, "next"):
            self.next = [0, 0]
        if self.place[side] <= wanted:
            return wanted
        piece = data[max(wanted - begin, 0) :]
        self.next[side] = self.reader.take(side, max(begin, wanted), piece, self.frame, self.frame * MS)
        return self.next[side]

    def lose(self, side: int, count: int) -> int:
        begin = self.place[side]
        self.place[side] += count
        if not hasattr(self, "next"):
            self.next = [0, 0]
        self.next[side] = self.reader.lost(side, begin, begin + count)
        return self.next[side]

    def rows(self) -> list[dict[str, Any]]:
        self.reader.finish()
        found = [dict(zip(TRANSACTION.names(), row, strict=True)) for row in self.made]
        return sorted(found, key=lambda row: (row["first_frame"], row["txid"]))


def framed(data: bytes) -> bytes:
    return struct.pack("!H", len(data)) + data


def ask(txid: int = 7, name: str = "www.example.com", qtype: int = 1) -> bytes:
    return framed(message(name, 0x0100, qtype, txid, ()))


def reply(*addresses: str, txid: int = 7, name: str = "www.example.com") -> bytes:
    return framed(message(name, 0x8180, 1, txid, addresses))


def test_a_query_and_its_answer():
    fed = Fed()
    fed.send(0, ask())
    fed.send(1, reply("192.0.2.1")[:2])
    fed.send(1, reply("192.0.2.1")[2:])
    (row,) = fed.rows()
    told = {
        "transport": "tcp", "service": "dns", "stream": 5, "client": CLIENT, "resolver": SERVER, "client_port": 40000,
        "resolver_port": 53, "qname": "www.example.com", "query_frames": [1], "response_frames": [3],
        "answers": ["192.0.2.1"], "response_ttls": [57], "response_ipids": [7], "response_df": [True],
        "response_lengths": [len(reply("192.0.2.1")) - 2], "first_delay_ms": 2.0, "truncated": False,
    }  # fmt: skip
    assert {name: row[name] for name in told} == told
    assert fed.counted == []


def test_pipelined_queries_are_answered_in_any_order():
    fed = Fed()
    fed.send(0, ask(1, "a.org") + ask(2, "b.org") + ask(3, "c.org")[:9])
    fed.send(0, ask(3, "c.org")[9:])
    fed.send(1, reply("192.0.2.3", txid=3, name="c.org") + reply("192.0.2.1", txid=1, name="a.org"))
    fed.send(1, reply("192.0.2.2", txid=2, name="b.org"))
    assert [
        (row["qname"], row["answers"], row["query_frames"], row["response_frames"]) for row in fed.rows()
    ] == [
        ("a.org", ["192.0.2.1"], [1], [3]),
        ("b.org", ["192.0.2.2"], [1], [4]),
        ("c.org", ["192.0.2.3"], [2], [3]),
    ]


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32), cuts=st.lists(st.integers(1, 400), max_size=12))
def test_where_segments_are_cut_makes_no_difference(seed: int, cuts: list[int]):
    dice = random.Random(seed)  # noqa: S311 - test data
    names = [f"n{number}.org" for number in range(dice.randrange(1, 5))]
    asked = b"".join(ask(number, name) for number, name in enumerate(names))
    told = b"".join(reply("192.0.2.1", txid=number, name=name) for number, name in enumerate(names))
    whole, pieces = Fed(), Fed()
    whole.send(0, asked)
    whole.send(1, told)
    for side, data in ((0, asked), (1, told)):
        edges = [0, *sorted({cut for cut in cuts if cut < len(data)}), len(data)]
        for begin, end in pairwise(edges):
            pieces.send(side, data[begin:end])
    ignored = {
        "first_frame",
        "query_frames",
        "response_frames",
        "query_time",
        "response_delays_ms",
        "first_delay_ms",
    }
    facts = [
        [{k: v for k, v in row.items() if k not in ignored} for row in fed.rows()] for fed in (whole, pieces)
    ]
    assert facts[0] == facts[1]
    assert [row["qname"] for row in facts[0]] == names


def test_lost_bytes_cost_one_message_only():
    fed = Fed()
    fed.send(0, ask(1, "a.org") + ask(2, "b.org"))
    first = reply("192.0.2.1", txid=1, name="a.org")
    fed.send(1, first[:25])  # header and question
    assert fed.lose(1, len(first) - 30) == len(first)
    fed.send(1, first[-5:] + reply("192.0.2.2", txid=2, name="b.org"))
    rows = fed.rows()
    assert [(row["qname"], row["answers"], row["malformed_responses"]) for row in rows] == [
        ("a.org", [], 0),
        ("b.org", ["192.0.2.2"], 0),
    ]


def test_a_start_in_the_middle_finds_the_next_message_at_the_beginning_of_a_segment():
    fed = Fed()
    fed.lose(1, 0)
    fed.send(1, b"\x01\x02\x03\x04the rest of something")
    fed.send(1, reply("192.0.2.2"))
    fed.send(1, reply("192.0.2.3")[:20])
    fed.send(1, reply("192.0.2.3")[20:])
    (row,) = fed.rows()
    assert (row["query_seen"], row["answers"], row["response_frames"]) == (
        False,
        ["192.0.2.2", "192.0.2.3"],
        [2, 4],
    )


def test_lost_bytes_of_unknown_length_are_got_over():
    fed = Fed()
    fed.send(1, reply("192.0.2.1"))
    fed.lose(1, 3000)
    fed.send(1, reply("192.0.2.2"))
    (row,) = fed.rows()
    assert row["answers"] == ["192.0.2.1", "192.0.2.2"]


def test_what_is_not_dns_is_given_up():
    for stream in (
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"\x00\x05abcde",
        framed(b"\x00" * 40),
        b"\x00\x0c" + b"\x71" * 12,
    ):
        fed = Fed()
        assert fed.send(0, stream + bytes(40000)) == NEVER
        assert fed.rows() == []
        assert fed.counted == ["not_dns"]
    fed = Fed()
    fed.lose(0, 0)
    for _ in range(7):
        assert fed.send(0, b"\xff" * 50) != NEVER
    assert fed.send(0, b"\xff" * 50) == NEVER


def test_of_a_message_that_is_too_long_the_beginning_is_read():
    many = tuple(f"192.0.2.{number % 250}" for number in range(4000))
    long = reply(*many)
    fed = Fed()
    fed.send(0, ask())
    answers = [fed.send(1, (long + ask())[at : at + 1400]) for at in range(0, len(long), 1400)]
    assert answers.count(len(long)) > 10  # once the beginning is read, the rest is not wanted
    fed.send(1, reply("198.51.100.1", txid=8))
    first, second = fed.rows()
    assert len(first["answers"]) == 250
    assert (first["malformed_responses"], first["response_lengths"]) == (0, [len(long) - 2])
    assert second["txid"] == 8


def test_a_second_version_of_a_message_is_one_more_response():
    fed = Fed()
    fed.send(0, ask())
    fed.send(1, reply("192.0.2.1"))
    fed.frame = 9
    fed.reader.differs(1, 0, reply("198.51.100.1"), 9, 9 * MS)
    fed.reader.differs(1, 3, reply("198.51.100.9"), 9, 9 * MS)  # no message begins there
    (row,) = fed.rows()
    assert (row["answers"], row["response_frames"], row["answers_differ"]) == (
        ["192.0.2.1", "198.51.100.1"],
        [2, 9],
        True,
    )


def test_waiting_look_ups_are_bounded():
    fed = Fed()
    for number in range(50):
        fed.send(0, ask(number))
    assert len(fed.made) == 46
    assert len(fed.rows()) == 50


@settings(max_examples=150, deadline=None)
@given(
    events=st.lists(
        st.tuples(
            st.sampled_from(["send", "lose", "differs"]),
            st.integers(0, 1),
            st.binary(max_size=40),
            st.booleans(),
        ),
        max_size=12,
    )
)
def test_any_bytes_are_borne(events: list[tuple[str, int, bytes, bool]]):
    fed = Fed((53, 53))
    for what, side, data, dns in events:
        piece = reply("192.0.2.1") + data if dns else data
        if hasattr(fed, "next") and fed.next[side] == NEVER:
            continue
        if what == "send" and piece:
            assert fed.send(side, piece) >= fed.place[side] - len(piece)
        elif what == "lose":
            assert fed.lose(side, len(data)) >= fed.place[side] - len(data)
        else:
            fed.reader.differs(side, 0, piece, 1, 1)
    for row in fed.rows():
        assert row["responses"] + row["queries"] > 0


@pytest.mark.parametrize(
    ("first", "ports", "expected"),
    [
        (ask(), (40000, 53), True),
        (ask(), (53, 40000), True),
        (ask(), (40000, 853), False),
        (ask()[:1], (40000, 53), True),
        (ask()[:2], (40000, 53), True),
        (ask()[:7], (40000, 53), True),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", (40000, 53), False),  # a TLS record
        (b"SSH-2.0-OpenSSH_9.6\r\n", (40000, 53), False),
        (b"GET / HTTP/1.1\r\n", (40000, 53), False),
        (b"\x00\x0b", (40000, 53), False),
    ],
)
def test_first_bytes(first: bytes, ports: tuple[int, int], expected: bool):  # noqa: FBT001 - a parameter
    head = np.zeros((1, 32), dtype=np.uint8)
    head[0, : min(len(first), 32)] = list(first[:32])
    one = np.ones(1, dtype=np.int64)
    heads = Heads(head, one * len(first), one * ports[0], one * ports[1], one * 0, one * 0, head.ravel())
    assert looks_like_dns(heads).tolist() == [expected]


def collected(packets: list[Pkt], cuts: list[int]) -> pl.DataFrame:
    """The dns table of packets in frame order, through the streams as they are followed in a capture."""
    collector = DnsCollector()
    feed(packets, cuts, lambda engine: StreamCollector(engine, [collector.opener(engine)]))
    return collector.finish(AddressBook())


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32), cuts=st.lists(st.integers(1, 60), max_size=6))
def test_segments_may_come_out_of_order_and_twice_and_batches_end_anywhere(seed: int, cuts: list[int]):
    dice = random.Random(seed)  # noqa: S311 - test data
    talk = Talk(server=("198.51.100.7", 53), gap=1.0).shake()
    for side, say in ((talk.c, ask), (talk.s, reply)):
        words = [say(txid=n, name=f"n{n}.org") if say is ask else reply(f"192.0.2.{n}", txid=n, name=f"n{n}.org")
                 for n in range(4)]  # fmt: skip
        stream = b"".join(words)
        edges = [0, *sorted(dice.sample(range(1, len(stream)), 6)), len(stream)]
        pieces = [(begin, stream[begin:end]) for begin, end in pairwise(edges)]
        later = [dice.choice(pieces) for _ in range(2)]
        order = sorted(
            [*enumerate(pieces), *((dice.randrange(8), piece) for piece in later)], key=lambda one: one[0]
        )
        if dice.random() < 0.5:
            at = dice.randrange(1, len(order) - 1)
            order[at], order[at + 1] = order[at + 1], order[at]
        for _, (begin, piece) in order:
            side(rel=1 + begin, data=piece)
    expected = [(f"n{n}.org", [f"192.0.2.{n}"], 1, 1) for n in range(4)]
    whole, split = (
        collected(talk.packets, []),
        collected(talk.packets, [c for c in cuts if c < len(talk.packets)]),
    )
    assert split.equals(whole)
    assert sorted(whole.select("qname", "answers", "queries", "responses").rows()) == expected
    assert collected(talk.packets, list(range(1, len(talk.packets)))).equals(whole)
