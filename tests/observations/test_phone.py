from __future__ import annotations

import polars as pl
import pytest

from forensics.capture.batch import CaptureNotes
from forensics.decode.pcapdroid import PROXIED, PhoneNotes
from forensics.observations.phone import add_phone_notes, name_phone_apps
from tests.flows.made import ACK, SYN, Talk, tables

VPN = ("10.215.173.1", 40000)


def test_what_the_file_says_comes_before_what_packets_say():
    notes = CaptureNotes(phone_apps={1: "map"})
    add_phone_notes(notes, PhoneNotes(apps={1: "trailer", 2: "other"}))
    assert (notes.phone_apps, notes.proxied) == ({1: "map", 2: "other"}, "")
    add_phone_notes(notes, PhoneNotes(inside_vpn=True))
    assert notes.proxied == PROXIED
    assert notes.phone_apps == {1: "map", 2: "other"}


def test_names_follow_uids_and_rows_keep_their_order():
    flows = pl.DataFrame(
        {"flow": [0, 1, 2, 3], "phone_uid": [7, None, 8, 7], "phone_app": [None] * 4},
        schema={"flow": pl.Int64, "phone_uid": pl.Int64, "phone_app": pl.String},
    )
    named = name_phone_apps(flows, {7: "Seven", 9: "Nine"})
    assert named.rows() == [(0, 7, "Seven"), (1, None, None), (2, 8, None), (3, 7, "Seven")]
    assert named.schema == flows.schema
    assert name_phone_apps(flows, {}).equals(flows)
    assert name_phone_apps(flows.head(0), {7: "Seven"}).schema == flows.schema


def test_the_columns_are_those_of_the_flow_table():
    named = name_phone_apps(tables(Talk().shake().packets)["flow"], {7: "Seven"})
    assert named.select("phone_uid", "phone_uid_differs", "phone_app").rows() == [(None, False, None)]


@pytest.mark.parametrize(
    ("client", "server", "genuine"),
    [
        (VPN, ("198.51.100.7", 443), False),
        (("198.51.100.7", 40000), VPN, False),
        (("fd00:2:fd00:1:fd00:1:fd00:1", 40000), ("2001:db8::1", 443), False),
        (("10.215.173.3", 40000), ("198.51.100.7", 443), True),
        (("2001:db8::2", 40000), ("2001:db8::1", 443), True),
    ],
)
def test_headers_of_flows_inside_the_vpn_are_not_genuine(client, server, genuine):
    talk = Talk(client, server)
    talk.c(SYN, 0)
    talk.s(SYN | ACK, 0)
    other = Talk().shake().packets
    flows = tables([*talk.packets, *other])["flow"]
    assert flows["genuine_headers"].to_list() == [genuine, True]
