"""The dns table."""

from __future__ import annotations

from typing import Final

import polars as pl

from forensics.observations.dictionary.entry import FLOATS, INTS, TEXTS, Column, Table, entry

# One line an entry: a formatter would make five of each.
# fmt: off
DNS: Final = Table(
    "dns",
    "one DNS query over UDP and all that answered it",
    (
        entry("dns", pl.Int64, "", "number of the row, in order of the first frame"),
        entry("stream", pl.Int64, "", "conversation number", "Wireshark udp.stream"),
        entry("client", pl.String, "", "who asked"),
        entry("client_port", pl.Int64, "", "its port"),
        entry("resolver", pl.String, "", "who was asked"),
        entry("resolver_port", pl.Int64, "", "its port: 53"),
        entry("txid", pl.Int64, "", "transaction id", "RFC 1035 4.1.1"),
        entry("qname", pl.String, "", "name asked for, lower case, without the final dot; bytes outside printable ASCII as \\xNN"),
        entry("qtype", pl.String, "", "A, AAAA, CNAME, HTTPS… or TYPEn"),
        entry("query_seen", pl.Boolean, "", "the query itself is in the capture"),
        entry("query_frames", INTS, "frame", "query and its retransmissions (the first 16)", role="query"),
        entry("query_time", pl.Int64, "ns", "of the first query (without one: of the first response)"),
        entry("queries", pl.Int64, "packets", "times it was sent; what the capture holds a second time (SPAN) is not counted"),
        entry("responses", pl.Int64, "packets", "responses to it, copies included"),
        entry("response_frames", INTS, "frame", "their frames, in order (the first 16; the lists below run parallel)", role="response"),
        entry("response_delays_ms", FLOATS, "ms", "from the first query to each response"),
        entry("response_ttls", INTS, "", "IP TTL of each response"),
        entry("response_ipids", INTS, "", "IP-ID of each response (-1 for IPv6)"),
        entry("response_df", pl.List(pl.Boolean), "", "DF bit of each response"),
        entry("response_flags", INTS, "", "DNS flags word of each response", "RFC 1035 4.1.1"),
        entry("response_rcodes", INTS, "", "RCODE of each response"),
        entry("response_answers", TEXTS, "", "addresses (and final CNAME where there is none) of each response, sorted, joined by a space"),
        entry("answers", TEXTS, "", "all addresses answered by any response, sorted, each once"),
        entry("cnames", TEXTS, "", "all names in CNAME answers, in order"),
        entry("malformed_responses", pl.Int64, "packets", "responses whose message is damaged"),
        entry("distinct_answers", pl.Int64, "", "different sets of addresses (or RCODEs without addresses) among the responses"),
        entry("identical_copies", pl.Boolean, "", "more than one response, all byte-identical"),
        entry("answers_differ", pl.Boolean, "", "to one single transmission of the query, at least two responses that hold different non-empty address sets"),
        entry("wire_facts_differ", pl.Boolean, "", "responses that differ in addresses differ also in TTL by more than 1, in DF, or in DNS flags"),
        entry("first_delay_ms", pl.Float64, "ms", "from the last query before it to the first response"),
        entry("resolver_rtt_ms", pl.Float64, "ms", "median first delay of this resolver's other queries with one response; null below 3"),
        entry("early_ratio", pl.Float64, "", "first_delay_ms / resolver_rtt_ms; null where the clock of the capture is too coarse for that (resolver_rtt_ms below 4 ticks)", "DU12"),
        entry("public_name", pl.Boolean, "", "the name lies in public DNS: more than one label, no special-use or local suffix", "RFC 6761, RFC 8375, RFC 9476"),
        entry("bogon_answers", TEXTS, "", "answers in private, loopback, unspecified, documentation, multicast or reserved space", "RFC 6890"),
        entry("bogon_kind", pl.String, "", "of the first of them: private, shared, loopback, unspecified, link-local, documentation, multicast, reserved"),
        entry("resolver_private", pl.Boolean, "", "the resolver's own address is private or local"),
        entry("resolver_bogon_names", pl.Int64, "", "different public names for which this resolver gave a bogon answer"),
        entry("resolver_true_names", pl.Int64, "", "different public names for which it gave other answers only"),
        entry("answer_names", pl.Int64, "", "largest number of unrelated names (registrable domains) in this capture that were answered with the same address as this one"),
        entry("pool", pl.String, "", "name of the pool (signatures/pools) that holds the most answers, the name's own owner's addresses not counted; null when none does"),
        entry("pool_answers", TEXTS, "", "answers that are in it and not in the space of the name's own owner (or of the owner of a CNAME in the answer)"),
        entry("pool_frames", INTS, "frame", "responses that carried them", role="forged_response"),
        entry("name_owner", pl.String, "", "owner of the name by signatures/apps; null when unknown"),
        entry("answer_owner", pl.String, "", "owner of the address range of the first pool answer by signatures/pools; null when unknown"),
        entry("answer_owners", TEXTS, "", "owners of the address ranges of all pool answers, each once, in the order of the answers; 'unknown' for those of nobody known"),
        entry("owner_mismatch", pl.Boolean, "", "a pool answer lies in the space of another than the name's owner, or, the name's owner being unknown, in space where nobody else has names and which the name does not resemble; false: answers in a pool's space are the owner's own"),
        entry("answers_tls_ok", pl.Int64, "flows", "TLS flows of this client with this SNI to one of the answers that got a ServerHello"),
        entry("app", pl.String, "", "app the name belongs to"),
        entry("feature", pl.String, "", "feature of the app"),
    ),
)

FLOW_DNS: Final[tuple[Column, ...]] = ()
"""Columns of the flow table: what DNS tells."""
# fmt: on
