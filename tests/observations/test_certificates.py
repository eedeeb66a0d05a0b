"""The certificate table and the columns of the flow table, however the connection reaches the capture."""

from __future__ import annotations

import itertools
import random

import numpy as np
import polars as pl
import pytest

from forensics.observations import certificates as module
from forensics.observations.certificates import CertificateCollector, covers_sni, looks_like_server
from forensics.observations.collector import Asked
from forensics.observations.dictionary import CERTIFICATE
from forensics.observations.dictionary.certificate import FLOW_CERTIFICATE
from forensics.observations.readers import Heads
from forensics.observations.sides import Sides
from forensics.observations.streams import StreamCollector
from forensics.protocols.certificate import read_certificate
from pcaps.generate import tls
from pcaps.generate.certificate_samples import CLIENT, LEAF, ROOT
from pcaps.generate.certificates import certificates, message, request, server_hello
from tests.flows.made import ACK, Talk
from tests.flows.made import SERVER as SERVER_END
from tests.observations.following import feed
from tests.observations.test_http_reader import talk

RNG = random.Random(1)  # noqa: S311 - the same bytes each time
HELLO = tls.client_hello(RNG, b"www.example.org")
BEGIN = tls.record(22, server_hello(bytes(32)))
CHAIN = tls.record(22, certificates(LEAF, ROOT))
REST = tls.record(22, message(12, bytes(148)) + message(14, b""))
SECRET = tls.record(20, b"\x01") + tls.record(22, bytes(40))
ANSWER = tls.record(22, message(16, bytes(66))) + SECRET
NOBODY = np.array([0])
SIDES = Sides(NOBODY, 2 * NOBODY, 2 * NOBODY + 1)


class Both:
    """A StreamCollector and the CertificateCollector it feeds, as one."""

    def __init__(self, engine):
        self.certificates = CertificateCollector(Asked(frozenset({"certificate"})))
        self.streams = StreamCollector(engine, self.certificates.openers)

    def add(self, arrived):
        self.streams.add(arrived)
        self.certificates.add(arrived)

    def finish(self, flows):
        self.streams.finish(flows)
        self.certificates.finish(flows)


def shown(packets, cuts=()):
    """(sender, place, SHA-256, frames, whole) of each row."""
    rows = feed(packets, cuts, Both).certificates.rows("certificate", SIDES).to_dicts()
    return [(r["sender"], r["place"], r["sha256"], r["frames"], r["chain_whole"]) for r in rows]


def every_cut(packets):
    found = shown(packets)
    assert shown(packets, range(len(packets))) == found
    return found


def one(sender, place, der, frames, *, whole=True):
    return sender, place, read_certificate(der).sha256, frames, whole


def test_a_server_shows_its_chain():
    packets = talk(("c", HELLO), ("s", BEGIN + CHAIN + REST), ("c", ANSWER), ("s", SECRET))
    assert every_cut(packets) == [one("server", 0, LEAF, [5]), one("server", 1, ROOT, [5])]
    both = feed(packets, (), Both)
    (leaf, _) = both.certificates.rows("certificate", SIDES).to_dicts()
    assert (leaf["flow"], leaf["first_frame"], leaf["chain_length"], leaf["length"]) == (0, 5, 2, len(LEAF))
    assert leaf["time"] == 1_700_000_000_050_000_000
    assert (leaf["names"][0], leaf["malformed"]) == ("www.example.org", None)
    assert leaf["valid_when_seen"] is False  # the packets are of 2023
    columns = both.certificates.flow_columns(SIDES)
    assert columns["certificate_frames"].to_list() == [[5]]
    assert columns["certificate_subject"].to_list() == [leaf["subject"]]
    assert columns["client_certificate_frames"].to_list() == [None]


def test_reordered_repeated_and_overlapping_segments():
    flight = BEGIN + CHAIN + REST
    cut = [0, 300, 700, 900, len(flight)]
    pieces = [("s", flight[a:b], {"at": a}) for a, b in itertools.pairwise(cut)]
    expected = {read_certificate(LEAF).sha256, read_certificate(ROOT).sha256}
    for order in ([0, 1, 2, 3], [0, 2, 1, 3], [0, 3, 2, 1], [1, 0, 2, 3], [0, 0, 1, 1, 3, 2, 3]):
        found = every_cut(talk(("c", HELLO), *(pieces[n] for n in order), ("c", ANSWER)))
        assert {row[2] for row in found} == expected
        assert all(row[4] for row in found)
    overlapping = [("s", flight[:800]), ("s", flight[200:], {"at": 200})]
    found = every_cut(talk(("c", HELLO), *overlapping))
    assert [row[3] for row in found] == [[5, 6] if flight.index(LEAF) + len(LEAF) > 800 else [5], [5, 6]]


def test_a_lost_segment_leaves_what_stands_before_it():
    flight = BEGIN + CHAIN + REST
    cut = flight.index(ROOT) + 50
    steps = ("c", HELLO), ("s", flight[:cut]), ("s", SECRET, {"at": len(flight)}), ("c", ANSWER)
    assert every_cut(talk(*steps)) == [one("server", 0, LEAF, [5], whole=False)]
    short = ("c", HELLO), ("s", flight[:cut], {"size": len(flight)}), ("c", ANSWER)  # cut off by the capture
    assert every_cut(talk(*short)) == [one("server", 0, LEAF, [5], whole=False)]


def test_one_direction_alone_and_a_start_in_mid_flow():
    packets = talk(("c", HELLO), ("s", BEGIN + CHAIN + REST), ("c", ANSWER), ("s", SECRET))
    alone = [packet for packet in packets if packet.src == SERVER_END]
    assert [row[1] for row in every_cut(alone)] == [0, 1]
    late = talk(("s", BEGIN + CHAIN + REST), ("c", ANSWER), ("s", SECRET), shake=False)
    assert [row[1] for row in every_cut(late)] == [0, 1]
    assert every_cut(talk(("s", CHAIN + REST), ("c", ANSWER), shake=False)) == []


@pytest.mark.parametrize("asks", [False, True])
def test_a_client_shows_its_own_where_it_is_asked(asks):
    server = BEGIN + CHAIN + tls.record(22, request() * asks + message(14, b""))
    answer = tls.record(22, certificates(CLIENT) + message(16, bytes(66))) + SECRET
    found = every_cut(
        talk(("c", HELLO), ("s", server), ("c", answer[:90]), ("c", answer[90:]), ("s", SECRET))
    )
    assert found[2:] == ([one("client", 0, CLIENT, [6, 7])] if asks else [])


def test_a_client_that_sends_its_first_byte_alone_is_still_the_client():
    steps = ("c", HELLO[:1]), ("c", HELLO[1:]), ("s", BEGIN + CHAIN + REST), ("c", ANSWER)
    assert [row[:2] for row in every_cut(talk(*steps))] == [("server", 0), ("server", 1)]


def heads(*firsts):
    data = np.frombuffer(b"".join(firsts), np.uint8)
    head = np.zeros((len(firsts), 32), np.uint8)
    for row, first in enumerate(firsts):
        head[row, : len(first[:32])] = np.frombuffer(first[:32], np.uint8)
    length = np.array([len(first) for first in firsts])
    zeros = np.zeros(len(firsts), np.int64)
    return Heads(head, length, zeros, zeros, zeros, np.cumsum(length) - length, data)


def test_what_is_followed():
    newer = tls.server_flight(RNG)
    warning = tls.record(21, b"\x01\x70")
    yes = [BEGIN, BEGIN[:1], BEGIN[:5], BEGIN[:40], newer[:40], warning, warning + BEGIN, warning[:3]]
    no = [
        b"",
        HELLO,
        newer,
        newer[:80],
        tls.alert(40),
        SECRET,
        b"HTTP/1.1 200",
        b"\x16\x02",
        CHAIN,
        b"\x16\x03\x07",
    ]
    assert looks_like_server(heads(*yes, *no)).tolist() == [True] * len(yes) + [False] * len(no)


def test_nothing_is_followed_unless_somebody_asks():
    assert CertificateCollector(Asked()).openers == ()
    assert CertificateCollector(Asked(columns=frozenset({"ja4"}))).openers == ()
    for asked in (Asked(frozenset({"certificate"})), Asked(columns=frozenset({"certificate_covers_sni"}))):
        assert len(CertificateCollector(asked).openers) == 1


def test_tls_1_3_is_not_followed():
    packets = talk(("c", HELLO), ("s", tls.server_flight(RNG)), ("c", SECRET))
    both = feed(packets, (), Both)
    assert 0 not in both.streams.connections
    assert both.certificates.flow_columns(SIDES) == {}
    assert both.certificates.rows("certificate", SIDES).height == 0


def test_what_is_kept_for_all_is_bounded(monkeypatch):
    flight = BEGIN + CHAIN + REST
    cut = flight.index(ROOT) + 50
    first, rest = [], []
    for port in range(40000, 40004):
        told = Talk(client=("192.0.2.1", port)).shake()
        told.c(ACK, 1, 1, data=HELLO)
        told.s(ACK, 1, 1, data=flight[:cut])
        told.s(ACK, 1 + cut, 1, data=flight[cut:])
        first += told.packets[:-1]
        rest += told.packets[-1:]
    waiting = cut - len(BEGIN) - 5  # of each, without the header of the record
    flows = np.arange(4)
    for limit, given_up in ((2 * waiting, 2), (3 * waiting, 1), (4 * waiting, 0), (10, 4)):
        monkeypatch.setattr(module, "HELD_BYTES", limit)
        for cuts in ((), range(len(first + rest))):
            both = feed(first + rest, cuts, Both)
            rows = both.certificates.rows("certificate", Sides(flows, 2 * flows, 2 * flows + 1))
            found = rows.group_by("flow", maintain_order=True).agg("chain_whole").sort("flow")
            whole = [[False]] * given_up + [[True, True]] * (4 - given_up)
            assert found["chain_whole"].to_list() == whole
            assert both.certificates.held == 0


def test_small_records_are_not_taken_for_tls_1_3():
    # where a hello in one record has the length of its session id, and the cipher suite behind it
    flight = b"".join(tls.record(22, server_hello(bytes(32))[at : at + 2]) for at in range(0, 38, 2))
    lies = bytearray(flight)
    lies[43], lies[44] = 0, 0x13
    assert looks_like_server(heads(bytes(lies))).tolist() == [True]


def test_flows_are_forgotten():
    both = feed(talk(("c", HELLO), ("s", BEGIN + CHAIN + REST)), (), Both)
    both.certificates.clear(NOBODY)
    assert both.certificates.rows("certificate", SIDES).height == 0


@pytest.mark.parametrize(
    ("names", "common", "sni", "found"),
    [
        (["*.example.org"], "a.test", "www.example.org", True),
        (["*.example.org"], "a.test", "a.test", False),  # names there are: the common one does not count
        ([], "A.test", "a.test", True),
        ([], None, "a.test", False),
        (["a.test"], None, "a.test.", True),
        (["a.test"], None, None, None),
    ],
)
def test_whether_it_is_for_the_name_that_was_asked_for(names, common, sni, found):
    columns = {
        "certificate_sha256": pl.Series(["00", None], dtype=pl.String),
        "certificate_names": pl.Series([names, None], dtype=pl.List(pl.String)),
        "certificate_cn": pl.Series([common, None], dtype=pl.String),
        "sni": pl.Series([sni, "a.test"], dtype=pl.String),
    }
    assert covers_sni(columns)["certificate_covers_sni"].to_list() == [found, None]
    assert "certificate_cn" not in columns
    assert covers_sni({"sni": columns["sni"]}) == {}


def test_every_column_is_in_the_dictionary_and_filled_in_its_type():
    both = feed(talk(("c", HELLO), ("s", BEGIN + CHAIN + REST), ("c", ANSWER)), (), Both)
    rows = both.certificates.rows("certificate", SIDES)
    filled = {"proto", "stream", "client", "client_port", "server", "server_port"}
    assert set(rows.columns) == set(CERTIFICATE.schema().names()) - filled
    assert dict(rows.schema) == {
        name: dtype for name, dtype in CERTIFICATE.schema().items() if name in rows.columns
    }
    columns = dict(both.certificates.flow_columns(SIDES))
    columns |= covers_sni(columns | {"sni": ["www.example.org"]})
    del columns["certificate_cn"]
    assert {name: values.dtype for name, values in columns.items()} == {
        c.name: c.dtype for c in FLOW_CERTIFICATE
    }
    with pytest.raises(KeyError):
        both.certificates.rows("tls", SIDES)
