from __future__ import annotations

from typing import Any

from forensics.observations.dns_summary import TRANSACTION
from forensics.observations.dns_transactions import UDP, Carried, Transactions
from forensics.protocols.dns import parse_message
from tests.observations.test_dns import message

SECOND = 1_000_000_000


def packet(number: int, src: int, dst: int, ports: tuple[int, int], at: int = 0) -> Carried:
    return Carried(number, at, at, 0, src, dst, *ports, 64, 0, False, 40, 0, 40, False)  # noqa: FBT003 - a row


def collected(*packets: tuple[Carried, bytes], most: int = 100) -> list[dict[str, Any]]:
    made: list[tuple[Any, ...]] = []
    transactions = Transactions(UDP, most, made.append)
    for carried, data in packets:
        transactions.add(carried, parse_message(data, multicast=5353 in carried[6:8]), data, whole=True)
    before = transactions.rows()
    transactions.close()
    assert made[len(made) - len(before) :] == before
    assert transactions.rows() == []
    return [dict(zip(TRANSACTION.names(), row, strict=True)) for row in made]


ASK = message("printer", 0, 1, 9, ())
TELL = message("printer", 0x8000, 1, 9, ("192.168.1.9",))
OTHER = message("printer", 0x8000, 1, 9, ("192.168.1.10",))


def test_neighbours_that_answer_a_query_to_their_group_are_no_race():
    """RFC 4795: the query goes to 224.0.0.252, answers come from the hosts' own addresses."""
    group, asker = 0xE00000FC, 0xC0A80101
    (row,) = collected(
        (packet(1, asker, group, (50000, 5355)), ASK),
        (packet(2, 7, asker, (5355, 50000)), TELL),
        (packet(3, 8, asker, (5355, 50000)), OTHER),
    )
    assert (row["service"], row["resolver"], row["responses"], row["answers_differ"]) == (
        "llmnr",
        group,
        2,
        False,
    )
    assert row["distinct_answers"] == 2


def test_the_same_over_port_53_is_one():
    (row,) = collected(
        (packet(1, 5, 6, (50000, 53)), ASK),
        (packet(2, 6, 5, (53, 50000)), TELL),
        (packet(3, 6, 5, (53, 50000)), OTHER),
    )
    assert (row["service"], row["answers_differ"]) == ("dns", True)


def test_multicast_responses_to_all_stand_by_themselves():
    group = 0xE00000FB
    found = collected(
        (packet(1, 5, group, (5353, 5353)), message("a.local", 0, 1, 0, ())),
        (packet(2, 6, group, (5353, 5353)), message("a.local", 0x8400, 1, 0, ("192.168.1.9",))),
        (packet(3, 7, group, (5353, 5353)), message("a.local", 0x8400, 1, 0, ("192.168.1.10",))),
    )
    assert [(row["client"], row["resolver"], row["query_seen"], row["answers"]) for row in found] == [
        (5, group, True, []),
        (group, 6, False, ["192.168.1.9"]),
        (group, 7, False, ["192.168.1.10"]),
    ]
    assert {row["service"] for row in found} == {"mdns"}


def test_only_ports_of_resolvers_are_asked():
    made: list[tuple[Any, ...]] = []
    transactions = Transactions(UDP, 4, made.append)
    assert not transactions.add(packet(1, 5, 6, (53, 50000)), parse_message(ASK), ASK, whole=True)
    assert not transactions.add(packet(1, 5, 6, (50000, 53)), parse_message(TELL), TELL, whole=True)
    assert transactions.rows() == []


def test_the_oldest_is_closed_first():
    rows = collected(*((packet(n, 5, n, (50000, 53)), ASK) for n in range(1, 7)), most=2)
    assert [row["first_frame"] for row in rows] == [1, 2, 3, 4, 5, 6]


def test_what_only_some_have():
    wire = b"\x03www\x03org\x00"

    def record(kind: int, data: bytes, owner: bytes = b"\xc0\x0c", rclass: int = 1) -> bytes:
        return (
            owner + kind.to_bytes(2) + rclass.to_bytes(2) + (300).to_bytes(4) + len(data).to_bytes(2) + data
        )

    def told(flags: int, answers: int, others: int, *records: bytes) -> bytes:
        head = (
            b"\x00\x09"
            + flags.to_bytes(2)
            + b"\x00\x01"
            + answers.to_bytes(2)
            + b"\x00\x00"
            + others.to_bytes(2)
        )
        return head + wire + b"\x00\x41\x00\x01" + b"".join(records)

    opt = record(41, b"\x00\x08\x00\x04\x00\x01\x00\x00", b"\x00", 1232)
    blocked = record(41, b"\x00\x0f\x00\x02\x00\x0f", b"\x00", 1232)
    https = record(
        65,
        b"\x00\x01\x00\x00\x01\x00\x03\x02h3\x00\x04\x00\x04\xc0\x00\x02\x01\x00\x05\x00\x01x",
    )
    (row,) = collected(
        (packet(1, 5, 6, (50000, 53)), told(0x0100, 0, 1, opt)),
        (packet(2, 6, 5, (53, 50000)), told(0x8380, 1, 1, https, blocked) + b"leak"),
    )
    expected = {
        "qtype": "HTTPS", "questions": 1, "query_flags": 0x0100, "edns_udp_size": 1232, "edns_do": False,
        "edns_client_subnet": True, "response_trailing": [4], "response_min_ttls": [300], "truncated": True,
        "response_answers": ["192.0.2.1"], "answers": [], "svcb": ["HTTPS 1 . alpn=h3 ech hint=192.0.2.1"],
        "svcb_hints": ["192.0.2.1"], "svcb_alpn": ["h3"], "svcb_ech": True, "extended_errors": [15],
    }  # fmt: skip
    assert {name: row[name] for name in expected} == expected
