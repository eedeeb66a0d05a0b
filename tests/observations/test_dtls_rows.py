"""Rows of DTLS connections, from hand-made states."""

from __future__ import annotations

import pytest

from forensics.observations.dictionary import FLOW, TLS
from forensics.observations.dictionary.dtls import FLOW_DTLS
from forensics.observations.dtls_connection import Alert
from forensics.observations.dtls_rows import Counted, flow_columns, table_rows
from tests.observations.test_dtls_connection import told
from tests.protocols.test_dtls import FINISHED, FLIGHT, HELLO


def counted(connection, row=0, **more):
    facts = {
        "to_server": 1,
        "to_client": 0,
        "last_to_client": -1,
        "to_client_after_hello": 0,
        "to_server_after_server_hello": 0,
        "to_client_after_server_hello": 0,
        "encrypted": -1,
        **more,
    }
    return Counted(row=row, connection=connection, by_client=True, **facts)


def test_columns_are_those_of_the_dictionary_and_null_elsewhere():
    columns = flow_columns(3, [counted(told((0, HELLO)), row=1)], ["ja4"])
    names = {column.name for column in FLOW_DTLS}
    assert set(columns) == names | {"dtls_sni", "dtls_alpn", "dtls_ja4"}
    for name in names:
        assert columns[name].dtype == FLOW.column(name).dtype
        assert columns[name][0] is None
        assert columns[name][2] is None
    assert columns["dtls_sni"].to_list() == [None, "example.org", None]
    assert columns["dtls_open_frames"].to_list() == [None, [1], None]


@pytest.mark.parametrize(("encrypted", "established"), [(-1, False), (1, False), (2, True), (9, True)])
def test_established_is_encrypted_both_ways_after_the_server_hello(encrypted, established):
    one = counted(told((0, HELLO), (1, FLIGHT), (0, FINISHED)), encrypted=encrypted)
    assert one.established is established
    assert table_rows([one])["established"].to_list() == [established]


def test_without_a_server_hello_nothing_is_established():
    assert not counted(told((0, HELLO)), encrypted=5).established


def test_no_rows():
    assert table_rows([]).height == 0
    assert set(table_rows([]).columns) < set(TLS.schema().names())


@pytest.mark.parametrize(
    ("alert", "name", "level"),
    [
        (Alert(3, encrypted=False, told=(2, 40)), "handshake_failure", "fatal"),
        (Alert(3, encrypted=False, told=(1, 0)), "close_notify", "warning"),
        (Alert(3, encrypted=False, told=(2, 200)), "200", "fatal"),
        (Alert(3, encrypted=True, told=None), "encrypted", None),
        (Alert(3, encrypted=False, told=None), None, None),
    ],
)
def test_alerts(alert, name, level):
    connection = told((0, HELLO))
    connection.alerts[1] = alert
    (row,) = table_rows([counted(connection)]).to_dicts()
    assert (row["alert_to_client_frame"], row["alert_to_client"], row["alert_to_client_level"]) == (
        3,
        name,
        level,
    )
    assert flow_columns(1, [counted(connection)], [])["dtls_alert_to_client"].to_list() == [name]
