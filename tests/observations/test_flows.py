"""Columns of the flow table: against tshark on the corpus, and by hand where tshark has no word for them."""

from __future__ import annotations

from collections import Counter, defaultdict

import pytest

from forensics.observations.dictionary import FLOW
from tests.conftest import REPO_ROOT
from tests.flows.made import (
    ACK,
    CLIENT,
    FIN,
    PSH,
    RST,
    SERVER,
    SYN,
    Pkt,
    Talk,
    ask_tshark,
    flow,
    frames,
    read,
    tables,
)

CAPTURES = [path for path in sorted((REPO_ROOT / "pcaps").glob("*/capture.*")) if "hostile" not in str(path)]
FIELDS = (
    "tcp.stream", "frame.number", "ip.src", "ipv6.src", "tcp.srcport", "tcp.flags", "tcp.len", "ip.len", "ipv6.plen",
    "tcp.analysis.initial_rtt", "tcp.analysis.retransmission", "tcp.analysis.fast_retransmission",
    "tcp.analysis.spurious_retransmission", "tcp.analysis.out_of_order",
)  # fmt: skip


def seen_by_tshark(path):
    """Stream → what tshark shows of it, under the names of our columns; sides by the sender of the first SYN."""
    streams = defaultdict(list)
    for values in ask_tshark(path, *FIELDS, where="tcp && !icmp && !icmpv6"):
        row = dict(zip(FIELDS, values, strict=True))
        streams[int(row["tcp.stream"])].append(row)
    found = {}
    for stream, rows in streams.items():
        count: Counter[str] = Counter()
        first: dict[str, int] = {}
        sender = [(row["ip.src"] or row["ipv6.src"], int(row["tcp.srcport"])) for row in rows]
        flags = [int(row["tcp.flags"], 16) for row in rows]
        syn = [who for who, flag in zip(sender, flags, strict=True) if flag & (SYN | ACK) == SYN]
        client = syn[0] if syn else None
        for row, who, flag in zip(rows, sender, flags, strict=True):
            frame = int(row["frame.number"])
            to = "to_server" if who == client else "to_client"
            reset = bool(flag & RST)
            count[f"packets_{to}"] += 1
            count[f"bytes_{to}"] += 0 if reset else int(row["tcp.len"])
            count[f"ip_bytes_{to}"] += int(row["ip.len"] or int(row["ipv6.plen"]) + 40)
            count[f"rst_{to}"] += reset
            count[f"repeats_{to}"] += any(row[name] for name in FIELDS[10:])
            if flag & FIN:
                first.setdefault(f"fin_{to}_frame", frame)
            if int(row["tcp.len"]) and not reset:
                first.setdefault(f"first_data_{to}_frame", frame)
            if flag & (SYN | ACK) == SYN | ACK:
                first.setdefault("syn_ack_frame", frame)
            if flag & (SYN | ACK) == SYN and who == client:
                first.setdefault("syn_frame", frame)
                first["last_syn_frame"] = frame
        rtts = {row["tcp.analysis.initial_rtt"] for row in rows} - {""}
        found[stream] = {
            "client": client and (client[0], client[1]),
            "first_frame": int(rows[0]["frame.number"]),
            "last_frame": int(rows[-1]["frame.number"]),
            "rtt": [round(float(rtt) * 1e3, 5) for rtt in rtts],
            **count, **first,
        }  # fmt: skip
    return found


# Of a mirror port every packet comes twice: tshark counts both, we count the copies apart.
ONCE = [path for path in CAPTURES if path.parent.name != "quality-mirror-port"]


@pytest.mark.usefixtures("tshark")
@pytest.mark.parametrize("path", ONCE, ids=lambda path: path.parent.name)
def test_columns_equal_those_of_tshark(path):
    truth = seen_by_tshark(path)
    ours = {row["stream"]: row for row in frames(read(path))["flow"].to_dicts() if row["proto"] == "tcp"}
    assert ours.keys() == truth.keys()
    for stream, expected in truth.items():
        row = ours[stream]
        if expected["client"] is None:  # sides are told apart otherwise: not tshark's matter
            assert row["role_basis"] != "syn"
            continue
        assert (row["client"], row["client_port"]) == expected["client"]
        for to in ("to_server", "to_client"):
            row[f"repeats_{to}"] = row[f"retransmissions_{to}"] + row[f"out_of_order_{to}"]
            for name in ("packets", "bytes", "ip_bytes", "rst", "repeats"):
                assert row[f"{name}_{to}"] == expected.get(f"{name}_{to}", 0), (stream, name, to)
            for name in (f"fin_{to}_frame", f"first_data_{to}_frame"):
                assert row[name] == expected.get(name), (stream, name)
        for name in ("first_frame", "last_frame", "syn_frame", "last_syn_frame", "syn_ack_frame"):
            assert row[name] == expected.get(name), (stream, name)
        mine = [] if row["handshake_rtt_ms"] is None else [round(row["handshake_rtt_ms"], 5)]
        assert mine == expected["rtt"], stream


def full():
    """A whole connection: both sides speak, both close."""
    talk = Talk().shake()
    talk.c(ACK | PSH, 1, 1, data=bytes(100))
    talk.s(ACK, 1, 101)
    talk.s(ACK | PSH, 1, 101, data=bytes(50))
    talk.c(FIN | ACK, 101, 51)
    talk.s(FIN | ACK, 51, 102)
    talk.c(ACK, 102, 52)
    return talk


def test_a_whole_connection():
    row = flow(full().packets)
    assert row["history"] == "ShADadFf"
    assert row["stage"] == "server-data"
    assert (row["acked_to_server"], row["acked_to_client"]) == (100, 50)
    assert row["duration_ms"] == 80.0
    assert (row["syn_rtt_ms"], row["handshake_rtt_ms"]) == (10.0, 20.0)
    assert (row["fin_to_server_frame"], row["fin_to_client_frame"]) == (7, 8)
    assert row["role_basis"] == "syn"
    assert row["start_seen"]
    assert row["complete_capture"]
    assert row["both_directions"]
    assert row["ip_version"] == 4


@pytest.mark.parametrize(
    ("length", "stage", "history"),
    [
        (1, "syn", "S"), (2, "syn-ack", "Sh"), (3, "established", "ShA"), (4, "client-data", "ShAD"),
        (5, "client-data", "ShADa"), (6, "server-data", "ShADad"),
    ],
)  # fmt: skip
def test_stages(length, stage, history):
    row = flow(full().packets[:length])
    assert (row["stage"], row["history"]) == (stage, history)


def test_history_letters_of_one_packet_come_in_a_fixed_order():
    talk = Talk(gap=50).shake()
    talk.s(ACK | PSH | FIN, 1, 1, data=b"bye", window=0)
    talk.s(ACK | PSH | FIN, 1, 1, data=b"bye", window=0)
    talk.c(RST | ACK, 1, 1)
    talk.c(ACK, 1, 1, window=0)
    assert flow(talk.packets)["history"] == "ShAdftRW"


@pytest.mark.parametrize(
    ("acks", "acked"),
    [([1], 0), ([51], 50), ([51, 21], 50), ([101], 100), ([102], 100), ([500], 498)],
)
def test_acknowledged_bytes(acks, acked):
    talk = Talk().shake()
    talk.c(ACK | PSH, 1, 1, data=bytes(100))
    talk.c(FIN | ACK, 101, 1)
    for ack in acks:
        talk.s(ACK, 1, ack)
    row = flow(talk.packets)
    assert row["acked_to_server"] == acked
    assert row["complete_capture"] == (acked <= 101)


def test_without_an_ack_nothing_is_known_to_be_acknowledged():
    row = flow([Pkt(flags=SYN, seq=1, ms=0), Pkt(SERVER, CLIENT, RST, seq=0, ms=1)])
    assert row["acked_to_server"] is None
    assert row["acked_to_client"] is None


def test_a_refused_connection_acknowledges_in_its_reset():
    """The ACK of a reset is the injector's to choose, and tells nothing of the peer's progress."""
    talk = Talk()
    talk.c(SYN, 0)
    talk.s(RST | ACK, -5000, 1)
    row = flow(talk.packets)
    assert row["acked_to_server"] is None
    assert (row["stage"], row["history"]) == ("syn", "Sr")
    assert row["rst_before_syn_ack"]


def told(*steps):
    """Packets of a conversation: who sends, from port to port."""
    hosts = {"c": "192.0.2.1", "s": "198.51.100.7"}
    packets = []
    for ms, (who, sport, dport, flags, size, proto) in enumerate(steps):
        src, dst = (hosts["c"], hosts["s"]) if who == "c" else (hosts["s"], hosts["c"])
        packets.append(Pkt((src, sport), (dst, dport), flags, 7, 9, size=size, ms=ms, proto=proto))
    return packets


@pytest.mark.parametrize(
    ("steps", "client_port", "basis"),
    [
        ([("c", 5, 443, SYN, 0, 6)], 5, "syn"),
        ([("s", 443, 5, SYN, 0, 6)], 443, "syn"),
        ([("c", 500, 443, SYN, 0, 6), ("s", 443, 500, SYN, 0, 6)], 500, "syn"),
        ([("s", 443, 5000, SYN | ACK, 0, 6), ("c", 5000, 443, ACK, 0, 6)], 5000, "syn"),
        ([("s", 443, 5000, ACK, 9, 6), ("c", 5000, 443, ACK, 0, 6)], 5000, "port"),
        ([("c", 50000, 5222, ACK, 9, 6)], 50000, "port"),
        ([("s", 5222, 50000, ACK, 9, 6)], 50000, "port"),
        ([("s", 30000, 50000, ACK, 9, 6)], 30000, "first-speaker"),
        ([("c", 50000, 53, 0, 9, 17)], 50000, "first-speaker"),
        ([("s", 53, 50000, 0, 9, 17)], 50000, "port"),
        ([("s", 53, 123, 0, 9, 17)], 53, "first-speaker"),
        ([("s", 40001, 50000, 0, 9, 17)], 40001, "first-speaker"),
    ],
)
def test_roles(steps, client_port, basis):
    row = flow(told(*steps))
    assert (row["client_port"], row["role_basis"]) == (client_port, basis)


def test_capture_loss_is_told_from_a_fin_that_was_missed():
    talk = Talk().shake()
    talk.s(ACK, 1, 1, size=1000)
    talk.c(ACK, 1, 1002)  # one more than was seen: a FIN
    assert flow(talk.packets)["complete_capture"]
    talk.c(ACK, 1, 5001)
    row = flow(talk.packets)
    assert not row["complete_capture"]
    assert row["acked_to_client"] == 5000


def test_an_initial_ttl_tells_where_the_capture_was_taken():
    talk = Talk()
    talk.c(SYN, 0, ttl=64)
    talk.s(SYN | ACK, 0, ttl=57)
    talk.c(ACK, ttl=64)
    row = flow(talk.packets)
    assert (row["client_local"], row["server_local"]) == (True, False)
    talk.c(ACK, ttl=63)
    assert not flow(talk.packets)["client_local"]


def test_waiting_and_silence():
    talk = Talk(gap=100).shake()
    for ms in (400, 1000, 2500):
        talk.c(ACK | PSH, 1, 1, size=100, ms=ms)
    row = flow(talk.packets)
    # the handshake runs from 100 to 300 ms, the server's only packet came at 200 ms
    assert row["waited_ms"] == 2400.0
    assert row["silent_ms"] == 2300.0


def test_the_other_direction_may_be_in_another_flow():
    one_way = [Pkt(flags=SYN, ms=0)]
    answered = [
        Pkt(("192.0.2.1", 7), SERVER, SYN, 3, ms=1),
        Pkt(SERVER, ("192.0.2.1", 7), SYN | ACK, 3, 4, ms=2),
    ]
    assert not flow(one_way)["both_directions"]
    assert tables(one_way + answered)["flow"]["both_directions"].to_list() == [True, True]


def test_rows_are_numbered_by_first_frame():
    packets = [
        Pkt(("10.0.0.9", 1), SERVER, SYN, ms=0, icmp=(3, 1)),
        Pkt(proto=17, size=4, ms=1),
        Pkt(flags=SYN, ms=2),
        Pkt(("10.0.0.9", 1), SERVER, SYN, ms=3),
    ]
    table = tables(packets)["flow"]
    assert table.select("flow", "proto", "stream", "first_frame").rows() == [
        (0, "udp", 0, 2),
        (1, "tcp", 1, 3),
        (2, "tcp", 0, 4),
    ]
    assert table.schema == FLOW.schema()


def test_udp_conversations():
    row = flow([Pkt(proto=17, size=30, ms=0), Pkt(SERVER, CLIENT, proto=17, size=0, ms=4)])
    assert (row["stage"], row["history"]) == ("client-data", "D")
    assert row["start_seen"]
    assert row["acked_to_server"] is None
    row = flow([Pkt(proto=17, size=30, ms=0), Pkt(SERVER, CLIENT, proto=17, size=10, ms=4)])
    assert (row["stage"], row["history"], row["bytes_to_client"]) == ("server-data", "Dd", 10)
