"""What DTLS says of flows and in the tls table, however the capture is cut into batches, and as tshark sees it."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forensics.analysis import analyze_capture
from forensics.decode import AddressBook
from forensics.flows.ending import Limits
from forensics.observations import collect, dtls
from forensics.observations.collect import Collectors
from forensics.observations.collector import Asked
from forensics.observations.dtls import MOST_LOOKED, DtlsCollector
from forensics.observations.table import fact_table
from tests.flows.made import CLIENT, SERVER, Pkt, ask_tshark, table
from tests.observations.test_dtls_connection import LONG, pieces
from tests.protocols.test_dtls import ALERT, FINISHED, FLIGHT, HELLO, VERIFY, record

ALL = Asked(frozenset({"tls"}), frozenset({"ja3", "ja4", "ja3s"}))
DATA = record(bytes(60), 23, epoch=1)
RTP = b"\x80\x60\x00\x01" + bytes(60)
STUN = b"\x00\x01\x00\x00\x21\x12\xa4\x42" + bytes(12)


@pytest.fixture
def only_dtls(monkeypatch):
    monkeypatch.setattr(collect, "PROTOCOLS", (DtlsCollector,))


def up(data, **more):
    return Pkt(CLIENT, SERVER, data=data, proto=17, **more)


def down(data, **more):
    return Pkt(SERVER, CLIENT, data=data, proto=17, **more)


def tables(packets, cuts=(), asked=ALL, limits=None):
    book = AddressBook()
    collectors = Collectors(book, asked=asked, limits=limits or Limits())
    begin = 0
    for end in [*sorted(set(cuts)), len(packets)]:
        collectors.add(table(packets[begin:end], book, begin + 1))
        begin = end
    return {name: fact_table(name, rows).frame() for name, rows in collectors.finish().items()}


def one_row(packets):
    whole = tables(packets)
    part = tables(packets, range(len(packets)))
    for name in ("tls", "flow"):
        assert part[name].equals(whole[name])
    rows, flows = whole["tls"].to_dicts(), whole["flow"].to_dicts()
    assert len(flows) == 1
    return rows[0] if rows else None, flows[0]


def shaken():
    return [
        up(HELLO),
        down(VERIFY),
        up(HELLO),
        down(FLIGHT),
        up(FINISHED),
        down(FINISHED),
        up(DATA),
        down(DATA),
    ]


@pytest.mark.usefixtures("only_dtls")
def test_a_whole_handshake():
    row, flow = one_row(shaken())
    assert (row["client_hello"], row["client_hello_frame"], row["sni"]) == (True, 1, "example.org")
    assert (row["hello_verify_frame"], row["server_hello_frame"], row["established"]) == (2, 4, True)
    assert (row["version"], row["cipher"], row["proto"], row["client_port"]) == (
        "dtls1.2",
        0xC02F,
        "udp",
        40000,
    )
    assert (flow["sni"], flow["alpn"]) == ("example.org", ["webrtc-c"])
    assert (flow["protocol"], flow["protocol_source"]) == ("dtls", "client_hello")
    assert (flow["dtls_client_hello_tries"], flow["dtls_open_tries"], flow["dtls_open_frames"]) == (
        2,
        0,
        None,
    )
    assert (flow["dtls_packets_to_server"], flow["dtls_packets_to_client"]) == (4, 4)
    assert flow["dtls_packets_to_client_after_hello"] == 4
    assert flow["dtls_packets_to_server_after_server_hello"] == 2
    assert flow["dtls_packets_to_client_after_server_hello"] == 2
    assert (flow["dtls_last_to_client_frame"], flow["dtls_established"], flow["dtls_from"]) == (
        8,
        True,
        "client",
    )
    for name in ("ja3", "ja4", "ja3s"):
        assert flow[name] == row[name] is not None
    assert flow["ja4"].startswith("dd2d03")


@pytest.mark.usefixtures("only_dtls")
def test_fingerprints_are_told_only_where_they_are_asked_for():
    found = tables(shaken(), asked=Asked())
    assert found["flow"]["ja4"].to_list() == [None]
    assert "tls" not in found


@pytest.mark.usefixtures("only_dtls")
def test_hellos_that_nobody_answers():
    row, flow = one_row([up(HELLO)] * 20)
    assert (flow["dtls_client_hello_tries"], flow["dtls_open_tries"]) == (20, 20)
    assert flow["dtls_open_frames"] == list(range(1, 17))
    assert (flow["dtls_packets_to_client"], flow["dtls_last_to_client_frame"]) == (0, None)
    assert (row["server_hello"], row["established"]) == (False, False)


@pytest.mark.usefixtures("only_dtls")
def test_what_comes_after_the_server_hello_is_lost():
    """The client goes on, the server only repeats itself: it hears nothing."""
    _, flow = one_row([up(HELLO), down(FLIGHT), up(FINISHED), down(FLIGHT), up(FINISHED), down(FLIGHT)])
    assert flow["dtls_packets_to_client_after_server_hello"] == 2
    assert flow["dtls_established"] is False


@pytest.mark.usefixtures("only_dtls")
def test_in_a_call_either_end_may_ask():
    row, flow = one_row(
        [up(STUN), down(STUN), up(RTP), down(HELLO), up(FLIGHT), down(FINISHED), up(FINISHED)]
    )
    assert (flow["client_port"], flow["dtls_from"], flow["dtls_established"]) == (40000, "server", True)
    assert (flow["dtls_packets_to_server"], flow["dtls_packets_to_client"]) == (2, 2)
    assert (row["first_frame"], row["dtls_from"], row["client_port"]) == (4, "server", 40000)


@pytest.mark.usefixtures("only_dtls")
def test_a_server_hello_that_comes_first_tells_who_is_the_client():
    _, flow = one_row([down(FLIGHT), up(FINISHED), down(FINISHED)])
    assert (flow["client_port"], flow["dtls_from"], flow["dtls_client_hello"]) == (40000, "client", False)
    assert (flow["protocol"], flow["protocol_source"]) == ("dtls", "server_hello")


@pytest.mark.usefixtures("only_dtls")
def test_alerts():
    row, flow = one_row([up(HELLO), down(ALERT), up(record(bytes(30), 21, epoch=1))])
    assert (flow["dtls_alert_to_client"], flow["dtls_alert_to_client_frame"]) == ("handshake_failure", 2)
    assert (flow["dtls_alert_to_server"], flow["dtls_alert_to_server_frame"]) == ("encrypted", 3)
    assert (row["alert_to_client_level"], row["alert_to_server_level"]) == ("fatal", None)


@pytest.mark.usefixtures("only_dtls")
def test_a_hello_that_the_capture_cut():
    row, flow = one_row([up(HELLO[:60], size=len(HELLO))])
    assert (row["client_hello"], row["client_hello_partial"], row["sni"]) == (False, True, None)
    assert (flow["dtls_client_hello"], flow["dtls_client_hello_frame"]) == (False, None)


@pytest.mark.usefixtures("only_dtls")
def test_conversations_without_a_hello_are_left_alone():
    for packets in ([up(RTP), down(RTP)], [up(DATA), down(DATA)], [up(STUN)], [up(b"\x2e" + bytes(60))]):
        row, flow = one_row(packets)
        assert (row, flow["dtls_client_hello"], flow["dtls_established"]) == (None, None, None)


@pytest.mark.usefixtures("only_dtls")
def test_no_more_than_the_first_datagrams_are_looked_into():
    first, second = pieces(LONG, 200)
    few = [up(first)] * (MOST_LOOKED - 1) + [up(second)]
    assert one_row(few)[1]["dtls_client_hello"]
    assert not one_row([up(first), *few])[1]["dtls_client_hello"]


@pytest.mark.usefixtures("only_dtls")
def test_unfinished_hellos_make_room(monkeypatch):
    monkeypatch.setattr(dtls, "_HELD", 500)
    first, second = pieces(LONG, 300)
    other = ("192.0.2.9", 41000)
    packets = [up(first), *(Pkt(other, SERVER, data=piece, proto=17) for piece in (first, second))]
    assert tables([*packets, up(second)])["flow"]["dtls_client_hello"].to_list() == [False, True]
    monkeypatch.setattr(dtls, "_HELD", 5000)
    assert tables([*packets, up(second)])["flow"]["dtls_client_hello"].to_list() == [True, True]


@pytest.mark.usefixtures("only_dtls")
def test_numbers_of_ended_flows_are_used_again():
    packets = [
        Pkt(
            (f"192.0.2.{1 + i // 4}", 40000),
            SERVER,
            data=HELLO if i % 4 < 2 else RTP,
            proto=17,
            ms=i * 60_000,
        )
        for i in range(40)
    ]
    limits = Limits(frames=4)
    found, whole = tables(packets, range(40), limits=limits), tables(packets, limits=limits)
    assert found["tls"].equals(whole["tls"])
    assert len(found["tls"]) >= 10
    assert found["flow"]["dtls_client_hello_tries"].fill_null(0).sum() == 20


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.booleans(),
            st.sampled_from([HELLO, FLIGHT, VERIFY, FINISHED, DATA, ALERT, RTP, STUN, *pieces(LONG, 9)]),
        ),
        min_size=1,
        max_size=12,
    ),
    st.sets(st.integers(1, 11)),
)
def test_batches_make_no_difference(said, cuts):
    packets = [(up if mine else down)(data) for mine, data in said]
    whole, part = tables(packets), tables(packets, [cut for cut in cuts if cut < len(packets)])
    for name in ("tls", "flow"):
        assert part[name].equals(whole[name])


FIELDS = (
    "udp.stream",
    "frame.number",
    "dtls.handshake.ja3",
    "dtls.handshake.ja3s",
    "dtls.handshake.extensions_server_name",
)
CAPTURES = (
    "tls/zeek_dtls1_2.pcap",
    "voice/ndpi_stun_dtls_rtp.pcapng",
    "voice/ndpi_stun_google_meet.pcapng",
    "voice/zeek_webrtc-stun.pcap",
)


@pytest.mark.usefixtures("tshark")
@pytest.mark.parametrize("name", CAPTURES)
def test_hellos_equal_those_of_tshark(shared_captures, name):
    path = shared_captures / name
    seen: dict[int, dict[str, object]] = {}
    for stream, frame, client, server, sni in ask_tshark(path, *FIELDS, where="dtls.handshake"):
        row = seen.setdefault(int(stream), {})
        if client and "ja3" not in row:
            row |= {"ja3": client, "client_hello_frame": int(frame), "sni": sni or None}
        if server and "ja3s" not in row:
            row |= {"ja3s": server, "server_hello_frame": int(frame)}
    found = analyze_capture(str(path), asked=ALL).tables["tls"].frame()
    assert seen
    names = ("ja3", "client_hello_frame", "sni", "ja3s", "server_hello_frame")
    assert {
        row["stream"]: {key: row[key] for key in names} for row in found.to_dicts() if row["proto"] == "udp"
    } == seen
