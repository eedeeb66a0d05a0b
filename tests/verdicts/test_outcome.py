from __future__ import annotations

import pytest

from tests.report.made import reset
from tests.verdicts.test_judge import only


@pytest.mark.parametrize("gate", ["both_directions", "start_seen"])
def test_one_sided_and_midstream_connections_say_nothing(gate):
    assert "judge" in only([reset(**{gate: False})]).summary


def test_a_client_that_closed_first_did_not_fail():
    assert "failed" not in only([reset(rst_to_server_before_rst=True)]).summary


def test_data_that_comes_after_a_reset_is_no_success():
    flow = {"app": "whatsapp", "feature": "text", "bytes_to_client": 400, "bytes_to_server": 100, "server_port": 5222,
            "rst_to_client": 1, "first_data_to_client_frame": 9}  # fmt: skip
    assert only([{**flow, "rst_to_client_frames": [8]}]).status == "undetermined"
    assert only([{**flow, "rst_to_client_frames": [10]}]).status == "ok"


@pytest.mark.parametrize(
    ("ended", "status"),
    [(None, "ok"), ("rtcp-bye", "ok"), ("one-way-only", "undetermined"), ("one-way-stopped", "undetermined")],
)
def test_a_call_of_which_one_side_is_not_heard_is_not_known_to_have_worked(ended, status):
    flow = {"app": "whatsapp", "feature": "calls", "proto": "udp", "server_port": 3478, "packets_to_server": 500,
            "packets_to_client": 12, "rst_to_client": 0, "media_ended": ended}  # fmt: skip
    assert only([flow]).status == status
