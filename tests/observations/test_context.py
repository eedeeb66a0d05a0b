"""The vectorised context columns against a slow reading of the dictionary's words, flow by flow."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forensics.observations.context import add_context
from forensics.observations.dictionary import TABLES
from tests.observations.frames import table

S = 1_000_000_000
COLUMNS = [
    "control_goodput_bps", "control_frame", "name_attempts", "name_ok", "name_reset", "name_silent",
    "endpoint_other_names_ok", "endpoint_control_frame", "endpoint_control_hello_bytes", "others_answered",
    "others_answered_frame", "others_failed", "endpoint_answered", "endpoint_answered_frame",
]  # fmt: skip


@st.composite
def flow_rows(draw):
    rows = []
    for i in range(draw(st.integers(0, 14))):
        first = draw(st.integers(0, 400)) * S
        last = first + draw(st.sampled_from([0, 1, 9, 11, 130, 300])) * S
        frame = 10 * i + 1
        tcp = draw(st.booleans())
        sni = draw(st.sampled_from([None, "a.example", "b.example", "c.example"])) if tcp else None
        server_hello = draw(st.booleans()) if sni else False
        reset = (
            draw(st.sampled_from([[], [], [frame + 2], [frame + 4], [frame + 2, frame + 6], [frame + 8]]))
            if tcp
            else []
        )
        data = 0 if not draw(st.booleans()) else 700
        syn_ack = frame + 1 if tcp and (server_hello or draw(st.booleans())) else None
        named = sni or draw(st.sampled_from([None, "a.example", "d.example"]))
        rows.append({
            "proto": "tcp" if tcp else "udp",
            "client": draw(st.sampled_from(["10.0.0.1", "10.0.0.2"])),
            "server": draw(st.sampled_from(["192.0.2.1", "192.0.2.2", "192.0.2.3"])),
            "server_port": draw(st.sampled_from([443, 5222])),
            "first_frame": frame, "last_frame": frame + 9, "first_time": first, "last_time": last,
            "start_seen": draw(st.booleans()), "sni": sni, "server_name": named,
            "tls_client_hello": sni is not None, "tls_client_hello_frame": frame + 3 if sni else None,
            "tls_hello_bytes": draw(st.sampled_from([300, 517, 1800])) if sni else None,
            "tls_server_hello": server_hello, "tls_server_hello_frame": frame + 5 if server_hello else None,
            "rst_to_client_frames": reset, "rst_to_client": len(reset),
            "bytes_to_client": data, "to_client_bytes_after_hello": data if sni else None,
            "first_data_to_client_frame": frame + 5 if data else None,
            "packets_to_client": 1 if data or syn_ack else 0, "syn_ack_frame": syn_ack,
            "syn_span_ms": 0.0 if syn_ack else None, "syn_rtt_ms": 0.0 if syn_ack else None,
            "goodput_bps": draw(st.sampled_from([None, 1e5, 1e6, 1e7])),
        })  # fmt: skip
    return rows


def in_time(row, frame):
    """Nothing reset the client before this frame."""
    return not row["rst_to_client_frames"] or (
        row[frame] is not None and row[frame] < row["rst_to_client_frames"][0]
    )


def hello_ok(row):
    return row["tls_server_hello"] and in_time(row, "tls_server_hello_frame")


def answered(row):
    if row["proto"] == "tcp":
        return row["syn_ack_frame"] is not None or row["bytes_to_client"] > 0
    return row["packets_to_client"] > 0


def answer_frame(row):
    return min(
        (f for f in (row["syn_ack_frame"], row["first_data_to_client_frame"]) if f is not None), default=None
    )


def answer_time(row):
    if row["syn_ack_frame"] is not None:
        return row["first_time"]
    share = (answer_frame(row) - row["first_frame"]) / (row["last_frame"] - row["first_frame"])
    return row["first_time"] + round(share * (row["last_time"] - row["first_time"]))


def other_name(row, other):
    if row["server_name"] and other["server_name"]:
        return row["server_name"] != other["server_name"]
    return row["server"] != other["server"]


def slow(rows):
    out = []
    for row in rows:
        mine = [o for o in rows if o["client"] == row["client"]]
        control = [
            o for o in mine
            if o["goodput_bps"] and other_name(row, o)
            and o["first_time"] <= row["last_time"] + 120 * S
            and o["last_time"] >= row["first_time"] - 120 * S
        ]  # fmt: skip
        control.sort(key=lambda o: (-o["goodput_bps"], o["first_frame"]))
        same = [
            o for o in mine
            if o["server_name"] and (o["server_name"], o["proto"]) == (row["server_name"], row["proto"])
        ]  # fmt: skip
        resets = [
            any(f > (o["tls_client_hello_frame"] or 1e9) for f in o["rst_to_client_frames"]) for o in same
        ]
        hello_first = [
            reset and o["tls_server_hello"]
            and not any(
                o["tls_client_hello_frame"] < f < o["tls_server_hello_frame"]
                for f in o["rst_to_client_frames"]
            )
            for o, reset in zip(same, resets, strict=True)
        ]  # fmt: skip
        end = [
            o for o in mine
            if (o["server"], o["server_port"]) == (row["server"], row["server_port"])
            and o["sni"] and o["sni"] != row["sni"] and hello_ok(o)
        ]  # fmt: skip
        low, high = row["first_time"] - 10 * S, row["last_time"] + 10 * S
        others = [o for o in mine if o["server"] != row["server"]]
        good = [o for o in others if answered(o) and low <= answer_time(o) <= high]
        good.sort(key=lambda o: (answer_time(o), answer_frame(o)))
        bad = [
            o for o in others
            if o["proto"] == "tcp" and o["start_seen"] and not answered(o)
            and o["first_time"] <= high and o["last_time"] >= low
        ]  # fmt: skip
        there = [o for o in rows if o["server"] == row["server"] and answered(o)]
        named = row["server_name"] is not None
        out.append({
            "control_goodput_bps": control[0]["goodput_bps"] if control else None,
            "control_frame": control[0]["first_frame"] if control else None,
            "name_attempts": len(same) if named else None,
            "name_ok": sum(
                hello_ok(o)
                or (
                    not o["tls_client_hello"] and not o["tls_server_hello"] and o["bytes_to_client"] > 0
                    and in_time(o, "first_data_to_client_frame")
                )
                for o in same
            ) if named else None,
            "name_reset": sum(r > h for r, h in zip(resets, hello_first, strict=True)) if named else None,
            "name_silent": sum(
                o["tls_client_hello"] and not r and not o["bytes_to_client"]
                for o, r in zip(same, resets, strict=True)
            ) if named else None,
            "endpoint_other_names_ok": len(end),
            "endpoint_control_frame": min((o["tls_server_hello_frame"] for o in end), default=None),
            "endpoint_control_hello_bytes": max((o["tls_hello_bytes"] for o in end), default=None),
            "others_answered": len(good),
            "others_answered_frame": answer_frame(good[0]) if good else None,
            "others_failed": len(bad),
            "endpoint_answered": len(there),
            "endpoint_answered_frame": min((answer_frame(o) for o in there), default=None),
        })  # fmt: skip
    return out


@settings(max_examples=200, deadline=None)
@given(flow_rows())
def test_agrees_with_the_slow_reading(rows):
    # A UDP flow with packets but no payload has no answer frame in this model: keep the two together.
    for row in rows:
        if row["proto"] == "udp":
            row["packets_to_client"] = 1 if row["bytes_to_client"] else 0
    flows, _ = add_context(table("flow", rows), table("dns", []), 1000 * S)
    assert flows.select(COLUMNS).to_dicts() == slow(rows)
    assert flows.schema == TABLES["flow"].schema()


def test_capture_after_and_ratio():
    rows = [
        {"proto": "tcp", "client": "10.0.0.1", "server": "192.0.2.1", "first_time": 0, "last_time": 5 * S,
         "first_frame": 1, "last_frame": 2, "server_name": "a.example", "goodput_bps": 1e5},
        {"proto": "tcp", "client": "10.0.0.1", "server": "192.0.2.1", "first_time": 0, "last_time": 8 * S,
         "first_frame": 3, "last_frame": 4, "server_name": "b.example", "goodput_bps": 8e5},
    ]  # fmt: skip
    flows, _ = add_context(table("flow", rows), table("dns", []), 9 * S)
    assert flows["capture_after_ms"].to_list() == [4000.0, 1000.0]
    assert flows["control_ratio"].to_list() == [8.0, 0.125]
    assert flows["control_frame"].to_list() == [3, 1]


def test_what_comes_after_a_reset_is_no_success():
    tls = {"proto": "tcp", "client": "10.0.0.1", "server": "192.0.2.1", "server_port": 443, "first_time": 0,
           "last_time": S, "first_frame": 1, "last_frame": 9, "sni": "a.example", "server_name": "a.example",
           "tls_client_hello": True, "tls_client_hello_frame": 4, "tls_server_hello": True,
           "tls_server_hello_frame": 6, "first_data_to_client_frame": 6, "bytes_to_client": 900,
           "tls_hello_bytes": 517}  # fmt: skip
    late = {**tls, "rst_to_client": 1, "rst_to_client_frames": [5]}
    ended = {
        **tls,
        "sni": "b.example",
        "server_name": "b.example",
        "rst_to_client": 1,
        "rst_to_client_frames": [9],
    }
    plain = {
        **late,
        "sni": None,
        "server_name": "c.example",
        "tls_client_hello": False,
        "tls_server_hello": False,
    }
    flows, _ = add_context(table("flow", [late, ended, plain]), table("dns", []), S)
    assert flows["name_ok"].to_list() == [0, 1, 0]
    assert flows["name_reset"].to_list() == [1, 0, 0]
    assert flows["endpoint_other_names_ok"].to_list() == [1, 0, 1]


def test_which_servers_are_not_on_the_internet():
    special = [
        "10.0.0.1", "100.64.0.1", "100.127.255.255", "127.0.0.1", "169.254.1.1", "172.16.0.1", "172.31.255.255",
        "192.168.1.1", "198.18.0.7", "224.0.0.1", "240.0.0.1", "255.255.255.255", "192.0.0.8", "::1",
        "fe80::1", "fd00::1", "fc00::1", "ff02::1", "d0::11", "2a::1",
    ]  # fmt: skip
    public = [
        "1.1.1.1", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "172.15.0.1", "172.32.0.0",
        "192.0.0.9", "192.1.0.1", "198.17.255.255", "198.20.0.0", "223.255.255.255", "192.0.2.1", "203.0.113.5",
        "2001:db8::1", "2a03:2880::1", "2001:4860:4860::8888", "64:ff9b::102:304",
    ]  # fmt: skip
    rows = [{"proto": "tcp", "client": "10.0.0.1", "server": server, "first_time": 0, "last_time": 0,
             "first_frame": 1, "last_frame": 1} for server in special + public]  # fmt: skip
    flows, _ = add_context(table("flow", rows), table("dns", []), 0)
    assert flows["server_private"].to_list() == [True] * len(special) + [False] * len(public)


def test_a_control_further_than_two_minutes_away_does_not_count():
    def run(gap_s):
        rows = [
            {"proto": "tcp", "client": "10.0.0.1", "server": f"192.0.2.{i}", "first_time": i * gap_s * S,
             "last_time": i * gap_s * S, "first_frame": i, "last_frame": i, "goodput_bps": 1e6}
            for i in (1, 2)
        ]  # fmt: skip
        return add_context(table("flow", rows), table("dns", []), 0)[0]["control_frame"].to_list()

    assert run(120) == [2, 1]
    assert run(121) == [None, None]


def test_a_flow_that_ran_long_before_was_not_answered_meanwhile():
    rows = [
        {"proto": "tcp", "client": "10.0.0.1", "server": "192.0.2.1", "first_time": 0, "last_time": 3600 * S,
         "first_frame": 1, "last_frame": 99, "syn_ack_frame": 2, "syn_span_ms": 0.0, "syn_rtt_ms": 20.0},
        {"proto": "tcp", "client": "10.0.0.1", "server": "192.0.2.2", "first_time": 1800 * S,
         "last_time": 1900 * S, "first_frame": 50, "last_frame": 60},
    ]  # fmt: skip
    flows, _ = add_context(table("flow", rows), table("dns", []), 0)
    assert flows["others_answered"].to_list() == [0, 0]


def test_dns_answers_that_served_the_name():
    flow = {"proto": "tcp", "client": "10.0.0.1", "server": "192.0.2.1", "first_time": 0, "last_time": 0,
            "first_frame": 5, "last_frame": 6, "sni": "a.example", "tls_server_hello": True}  # fmt: skip
    rows = [
        flow,
        {**flow, "server": "192.0.2.9"},
        {**flow, "sni": "b.example"},
        {**flow, "tls_server_hello": False},
    ]
    dns = table("dns", [
        {"client": "10.0.0.1", "qname": "a.example", "answers": ["192.0.2.1", "192.0.2.2"]},
        {"client": "10.0.0.2", "qname": "a.example", "answers": ["192.0.2.1"]},
        {"client": "10.0.0.1", "qname": "a.example", "answers": []},
        {"client": "10.0.0.1", "qname": "a.example"},
    ])  # fmt: skip
    _, found = add_context(table("flow", rows), dns, 0)
    assert found["answers_tls_ok"].to_list() == [1, 0, 0, 0]
    assert found["answers_tls_ok"].dtype == pl.Int64


@pytest.mark.parametrize(("reply", "went"), [("quic_server_hello", 1), ("quic_established", 1), ("", 0)])
def test_quic_counts_by_itself_and_only_when_it_is_answered(reply, went):
    shared = {"client": "10.0.0.2", "server_port": 443, "server_name": "a.example", "sni": "a.example"}
    rows = [
        {**shared, "server": "192.0.2.1", "proto": "udp", "quic_client_hello": True, "bytes_to_client": 60,
         "first_frame": 1, "last_frame": 2, **({reply: True} if reply else {})},
        {**shared, "server": "192.0.2.1", "proto": "tcp", "tls_client_hello": True, "tls_client_hello_frame": 4,
         "tls_server_hello": True, "tls_server_hello_frame": 5, "first_frame": 3, "last_frame": 6},
    ]  # fmt: skip
    times = {"first_time": 0, "last_time": S}
    filled, _ = add_context(table("flow", [{**times, **row} for row in rows]), table("dns", []), 10 * S)
    assert filled["name_attempts"].to_list() == [1, 1]
    assert filled["name_ok"].to_list() == [went, 1]


def test_a_reset_is_measured_by_the_shortest_round_trip_to_its_server():
    shared = {"client": "10.0.0.2", "server_port": 443, "proto": "tcp", "first_time": 0, "last_time": S}
    rows = [
        {**shared, "server": "192.0.2.1", "first_frame": 1, "last_frame": 2, "handshake_rtt_ms": 150.0,
         "rst_after_hello_ms": 75.0, "rst_after_hello_rtts": 0.5},
        {**shared, "server": "192.0.2.1", "first_frame": 3, "last_frame": 4, "handshake_rtt_ms": 50.0},
        {**shared, "server": "192.0.2.2", "first_frame": 5, "last_frame": 6, "handshake_rtt_ms": 20.0,
         "rst_after_hello_ms": 10.0},
    ]  # fmt: skip
    flows, _ = add_context(table("flow", rows), table("dns", []), 10 * S)
    assert flows["server_rtt_ms"].to_list() == [50.0, 50.0, 20.0]
    assert flows["rst_after_hello_rtts"].to_list() == [1.5, None, None]
