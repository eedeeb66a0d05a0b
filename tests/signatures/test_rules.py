"""The shipped rules on hand-made rows: each positive beside its near misses."""

from __future__ import annotations

from typing import Any

import pytest

from forensics.signatures import SignatureSet, evaluate
from forensics.signatures.model import LEVELS, Finding
from tests.signatures.tables import flows, lookups

RULES = SignatureSet.load()


def judge(kind: str, *rows: dict[str, Any]) -> tuple[Finding, ...]:
    dns = lookups(*rows) if kind == "dns" else lookups()
    return evaluate(RULES, {"flow": flows(*rows) if kind == "flow" else flows(), "dns": dns}).findings


def only(kind: str, *rows: dict[str, Any]) -> Finding:
    (finding,) = judge(kind, *rows)
    return finding


def rank(finding: Finding) -> int:
    return LEVELS.index(finding.level)


RESET = {
    "rst_to_client": 3, "rst_to_client_frames": [5, 6, 7], "rst_ack_to_client": 3, "rst_identical_to_client": 3,
    "rst_seq_change": False, "rst_after_hello_ms": 5.0, "rst_after_hello_rtts": 0.05, "rst_ttl": 57, "server_ttl": 57,
    "server_ttl_packets": 2, "rst_ttl_delta": 0, "server_ipid_class": "unknown", "rst_df_differs": False,
    "rst_payload_bytes": 0, "fin_to_client_before_rst": False, "rst_to_server_before_rst": False,
    "tls_alert_before_rst": False, "to_client_packets_after_rst": 2, "to_client_data_after_rst": 1,
    "after_rst_frames": [8, 9], "rst_before_syn_ack": False,
}  # fmt: skip
LONE = RESET | {
    "rst_to_client": 1, "rst_to_client_frames": [5], "rst_ack_to_client": 1, "rst_identical_to_client": 1,
    "rst_after_hello_ms": 102.0, "rst_after_hello_rtts": 1.02, "to_client_packets_after_rst": 0,
    "to_client_data_after_rst": 0, "after_rst_frames": [],
}  # fmt: skip


def test_a_reset_with_the_servers_own_ttl_is_found_by_time_and_by_what_follows():
    finding = only("flow", RESET | {"tls_server_hello": True, "tls_server_hello_frame": 9})
    assert finding.signature == "tls.sni.reset"
    assert finding.level == "strong"
    assert finding.target == "blocked.example"
    assert {item.id for item in finding.evidence} == {
        "late-real",
        "too-early",
        "identical-copies",
    }
    assert finding.frame_numbers() == [2, 4, 5, 6, 7, 8, 9]
    assert finding.display_filter() == "frame.number in {2,4,5,6,7,8,9}"


def test_a_lone_reset_at_one_round_trip_is_the_servers_until_shown_otherwise():
    finding = only("flow", LONE)
    assert finding.level == "observed"
    assert [item.outcome for item in finding.benign if item.id == "server-refuses"] == ["stands"]
    contrast = only("flow", LONE | {"endpoint_other_names_ok": 9, "name_reset": 5, "name_attempts": 5})
    assert rank(contrast) <= LEVELS.index("suspected")
    assert contrast.notes


@pytest.mark.parametrize(
    "change",
    [
        {"fin_to_client_before_rst": True},
        {"rst_to_server_before_rst": True},
        {"tls_alert_before_rst": True},
        {"rst_after_hello_ms": 5001.0},
        {"rst_after_hello_ms": None},
        {"rst_to_client": 0},
        {"tls_server_hello": True, "tls_server_hello_frame": 4},
        {"first_data_to_client_frame": 4},
        {"sni": None},
        {"tls_client_hello": False},
        {"genuine_headers": False},
        {"start_seen": False},
        {"both_directions": False},
    ],
)
def test_near_misses_of_a_forged_reset(change: dict[str, Any]):
    assert judge("flow", RESET | change) == ()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"rst_after_hello_rtts": 0.79}, "too-early"),
        ({"to_client_packets_after_rst": 1}, "late-real"),
        ({"rst_seq_change": True}, "seq-change"),
        ({"rst_ack_to_client": 2, "rst_identical_to_client": 2}, "identical-copies"),
        ({"rst_ttl_delta": -3, "server_ttl_packets": 5}, "ttl"),
        ({"rst_ttl_delta": 3, "server_ttl_packets": 4}, "ttl-few"),
        ({"rst_ipid_delta": 1001, "server_ipid_class": "counter"}, "ipid"),
        ({"rst_df_differs": True}, "df"),
        ({"rst_payload_bytes": 6}, "payload"),
        ({"endpoint_other_names_ok": 1}, "other-name-works"),
        ({"name_reset": 2, "name_attempts": 2}, "repeated"),
    ],
)
def test_each_reason_of_a_reset_holds_at_its_limit_only(change: dict[str, Any], reason: str):
    assert reason in {item.id for item in only("flow", LONE | change).evidence}
    assert reason not in {item.id for item in only("flow", LONE).evidence}


def test_copies_say_nothing_where_the_capture_holds_other_packets_twice():
    twice = LONE | {"rst_ack_to_client": 2, "rst_identical_to_client": 2, "duplicated_packets": 1}
    assert "identical-copies" not in {item.id for item in only("flow", twice).evidence}
    assert only("flow", twice).level == "observed"


def test_header_evidence_counts_three_points_at_most():
    change = {
        "rst_ttl_delta": 9,
        "server_ttl_packets": 9,
        "rst_ipid_delta": 9999,
        "server_ipid_class": "counter",
    }
    assert only("flow", LONE | change | {"rst_df_differs": True}).score == 1 + 3


def test_the_servers_own_reset_in_a_capture_at_the_server():
    finding = only("flow", RESET | {"server_local": True, "to_client_packets_after_rst": 0})
    assert finding.level == "observed"


SILENT = {
    "hello_retransmissions": 4, "hello_retransmission_frames": [5, 6, 7, 8], "waited_ms": 20_000.0,
    "silent_ms": 20_000.0, "endpoint_other_names_ok": 1, "endpoint_control_frame": 30, "others_answered": 1,
    "name_silent": 1,
}  # fmt: skip
MUTED = SILENT | {"hello_retransmissions": 0, "hello_retransmission_frames": [], "hello_acked_bytes": 517,
                  "silent_ms": 30_000.0, "to_client_packets_after_hello": 1}  # fmt: skip


@pytest.mark.parametrize("row", [SILENT, MUTED])
def test_silence_after_the_name_with_a_control_is_likely(row: dict[str, Any]):
    finding = only("flow", row)
    assert finding.signature == "tls.sni.drop"
    assert rank(finding) >= LEVELS.index("likely")
    assert 30 in finding.frame_numbers()


@pytest.mark.parametrize("row", [SILENT, MUTED])
@pytest.mark.parametrize(
    "change",
    [
        {"to_client_bytes_after_hello": 5},
        {"zero_windows_to_client": 1},
        {"icmp_error_frame": 9},
        {"first_data_to_client_frame": 9},
        {"syn_ack_frame": None},
        {"rst_to_client": 1},
        {"complete_capture": False},
        {"genuine_headers": False},
        {"hello_acked_bytes": 400},
        {"sni": None},
    ],
)
def test_near_misses_of_silence(row: dict[str, Any], change: dict[str, Any]):
    assert judge("flow", row | change) == ()


def test_silence_must_last():
    assert judge("flow", SILENT | {"hello_retransmissions": 1}) == ()
    assert judge("flow", SILENT | {"waited_ms": 1999.0}) == ()
    assert judge("flow", MUTED | {"silent_ms": 9999.0}) == ()
    assert judge("flow", MUTED | {"fin_to_client_frame": 9}) == ()


def test_silence_without_a_control_is_not_pinned_on_the_name():
    assert rank(only("flow", SILENT | {"endpoint_other_names_ok": 0})) <= LEVELS.index("suspected")
    assert only("flow", SILENT | {"endpoint_other_names_ok": 0, "others_answered": 0}).level == "observed"


def test_a_large_hello_whose_small_part_arrives_is_a_path_mtu_matter():
    large = SILENT | {"tls_hello_bytes": 1800, "tls_hello_segments": 2}
    assert judge("flow", large | {"to_client_packets_after_hello": 1}) == ()
    assert rank(only("flow", large)) >= LEVELS.index("likely")
    assert only("flow", large | {"tls_hello_segments": 1}).score == only("flow", large).score - 2
    # unless one as large got through with another name
    passed = {"endpoint_control_hello_bytes": 1800}
    shown = only("flow", large | passed | {"to_client_packets_after_hello": 1})
    assert "server-still-there" in {item.id for item in shown.evidence}
    assert only("flow", large | passed | {"tls_hello_segments": 1}).score == only("flow", large).score
    short = {"endpoint_control_hello_bytes": 1799, "to_client_packets_after_hello": 1}
    assert judge("flow", large | short) == ()


SYNS = {
    "stage": "syn", "packets_to_client": 0, "syn_count": 4, "syn_span_ms": 7000.0, "last_syn_frame": 9,
    "syn_ack_frame": None, "tls_client_hello": False, "sni": None, "server_name": None, "others_answered": 2,
}  # fmt: skip


def test_a_dropped_address_needs_company():
    alone = only("flow", SYNS)
    assert (alone.signature, alone.level) == ("ip.block.syn-blackhole", "suspected")
    assert alone.target == "203.0.113.5:443"
    assert only("flow", SYNS | {"others_answered": 0}).level == "observed"
    both = judge("flow", SYNS | {"app": "whatsapp"}, SYNS | {"app": "whatsapp", "server": "203.0.113.6"})
    assert [item.level for item in both] == ["likely", "likely"]


@pytest.mark.parametrize(
    "change",
    [
        {"syn_count": 2},
        {"syn_span_ms": 2899.0},
        {"packets_to_client": 1},
        {"stage": "syn-ack"},
        {"icmp_error_frame": 3},
        {"both_directions": False},
        {"genuine_headers": False},
        {"syn_span_ms": 3000.0, "capture_after_ms": 999.0},
    ],
)
def test_near_misses_of_a_dropped_address(change: dict[str, Any]):
    assert judge("flow", SYNS | change) == ()


def test_local_addresses_are_only_observed():
    assert only("flow", SYNS | {"server_private": True, "app": "whatsapp"}).level == "observed"
    assert only("flow", SYNS | {"server_private": False, "app": "whatsapp"}).level != "observed"


RACE = {
    "responses": 2, "response_frames": [2, 3], "response_delays_ms": [7.0, 31.0], "distinct_answers": 2,
    "answers_differ": True, "wire_facts_differ": True, "response_ttls": [92, 57],
    "response_answers": ["198.51.100.9", "93.184.216.34"], "early_ratio": 0.25,
}  # fmt: skip
POOL = {"pool": "gfw-classic", "pool_answers": ["93.46.8.89"], "pool_frames": [2], "owner_mismatch": True,
        "name_owner": "twitter", "answer_owner": "access-network", "app": "twitter"}  # fmt: skip
BOGON = {"bogon_answers": ["10.10.34.35"], "bogon_kind": "private", "resolver_bogon_names": 1}


def test_answers_that_contradict_each_other():
    assert only("dns", RACE).level == "strong"
    bare = only("dns", RACE | {"wire_facts_differ": False, "early_ratio": 1.0})
    assert bare.level == "suspected"
    assert judge("dns", RACE | {"answers_differ": False}) == ()
    assert judge("dns", RACE | {"identical_copies": True}) == ()
    assert judge("dns", RACE | {"query_seen": False}) == ()


def test_an_address_that_forgers_hand_out():
    finding = only("dns", POOL)
    assert (finding.signature, finding.level, finding.app) == ("dns.poison.known-pool", "likely", "twitter")
    assert judge("dns", POOL | {"owner_mismatch": False}) == ()
    assert judge("dns", POOL | {"pool": None}) == ()
    assert judge("dns", POOL | {"name_owner": "meta", "answer_owner": "meta"}) == ()


def test_a_race_says_it_all():
    assert [item.signature for item in judge("dns", RACE | POOL)] == ["dns.inject.race"]
    assert [item.signature for item in judge("dns", RACE | BOGON)] == ["dns.inject.race"]


def test_bogons_stay_low_unless_documented():
    assert only("dns", BOGON).level == "suspected"
    notice = BOGON | {"pool": "notice-ir", "pool_answers": ["10.10.34.35"], "pool_frames": [2]}
    assert only("dns", notice).signature == "dns.poison.bogon"
    assert only("dns", notice).level == "likely"
    assert only("dns", BOGON | {"resolver_true_names": 0}).level == "observed"


@pytest.mark.parametrize(
    "change",
    [
        {"public_name": False},
        {"bogon_kind": "unspecified", "bogon_answers": ["0.0.0.0"], "resolver_private": True},  # noqa: S104 - an answer
        {"bogon_kind": "loopback", "bogon_answers": ["127.0.0.1"], "resolver_private": True},
        {"bogon_kind": "loopback", "bogon_answers": ["127.0.0.2"], "qname": "2.0.0.127.zen.spamhaus.org"},
        {"qname": "192-168-1-5.abc.plex.direct"},
        {"bogon_kind": None, "bogon_answers": []},
    ],
)
def test_near_misses_of_a_bogon(change: dict[str, Any]):
    assert judge("dns", BOGON | change) == ()


POLICED = {
    "stage": "server-data", "tls_server_hello": True, "tls_server_hello_frame": 5, "bytes_to_client": 600_000,
    "first_data_to_client_frame": 5, "to_client_bytes_after_hello": 600_000, "loss_ratio": 0.1,
    "goodput_bps": 150_000.0, "burst_bytes": 60_000, "first_loss_frame": 50, "last_loss_frame": 500,
    "loss_span_ms": 30_000.0, "steady_rate_bps": 140_000.0, "steady_spread": 0.1, "loss_windows": 0.9,
    "rate_before_loss_bps": 5_000_000.0, "control_goodput_bps": 15_000_000.0, "control_frame": 700,
    "control_ratio": 100.0, "app": "twitter", "feature": "media",
}  # fmt: skip


def test_a_policed_download():
    finding = only("flow", POLICED)
    assert (finding.signature, finding.level) == ("tput.police.token-bucket", "suspected")
    assert {50, 500, 700} <= set(finding.frame_numbers())
    lone = POLICED | {"control_ratio": None, "control_goodput_bps": None, "control_frame": None}
    assert only("flow", lone).level == "observed"


@pytest.mark.parametrize(
    "change",
    [
        {"control_ratio": 4.9},
        {"loss_ratio": 0.009},
        {"loss_ratio": None},
        {"steady_spread": 1.6},
        {"steady_spread": 0.7, "rate_before_loss_bps": 400_000.0},
        {"steady_spread": None},
        {"loss_windows": 0.4},
        {"burst_bytes": 2_000_001},
        {"loss_span_ms": 2999.0},
        {"bytes_to_client": 199_999},
        {"complete_capture": False},
        {"genuine_headers": False},
    ],
)
def test_near_misses_of_a_policed_download(change: dict[str, Any]):
    assert judge("flow", POLICED | change) == ()


UNKNOWN = {"name_owner": None, "app": None}


def test_a_name_of_nobody_known_is_at_most_suspected_of_being_forged():
    """An unlisted name of Meta answered from Meta's own space looks like this."""
    meta = POOL | UNKNOWN | {"pool": "gfw-2025", "pool_answers": ["31.13.85.53"], "answer_owners": ["meta"]}
    finding = only("dns", meta | {"answer_names": 5, "early_ratio": 0.1})
    assert finding.level == "suspected"
    assert "none" not in " ".join(item.statement for item in finding.evidence)
    raced = RACE | meta | {"wire_facts_differ": False, "early_ratio": 1.0}
    assert only("dns", raced).level == "suspected"
    assert rank(only("dns", raced | {"name_owner": "google"})) >= LEVELS.index("strong")


def test_a_notice_address_needs_a_second_name_when_the_name_is_nobodys():
    notice = (
        POOL | UNKNOWN | {"pool": "notice-tr", "pool_answers": ["195.175.254.2"], "answer_owners": ["notice"]}
    )
    assert only("dns", notice).level == "suspected"
    assert only("dns", notice | {"answer_names": 2}).level == "likely"
