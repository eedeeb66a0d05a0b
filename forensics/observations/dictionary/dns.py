"""The dns table."""

from __future__ import annotations

from typing import Final

import polars as pl

from forensics.observations.dictionary.entry import FLOATS, INTS, TEXTS, Column, Table, entry

# One line an entry: a formatter would make five of each.
# fmt: off
DNS: Final = Table(
    "dns",
    "one DNS query and all that answered it, over UDP or TCP",
    (
        entry("dns", pl.Int64, "", "number of the row, in order of the first frame"),
        entry("stream", pl.Int64, "", "conversation number", "Wireshark udp.stream, tcp.stream"),
        entry("transport", pl.String, "", "udp or tcp"),
        entry("service", pl.String, "", "dns (port 53), mdns (5353) or llmnr (5355); the last two ask the neighbours, not the DNS", "RFC 6762, RFC 4795"),
        entry("client", pl.String, "", "who asked; of an mDNS response to all, the group"),
        entry("client_port", pl.Int64, "", "its port"),
        entry("resolver", pl.String, "", "who was asked; of a response without its query, who answered"),
        entry("resolver_port", pl.Int64, "", "its port: 53, 5353 or 5355"),
        entry("txid", pl.Int64, "", "transaction id", "RFC 1035 4.1.1"),
        entry("qname", pl.String, "", "name asked for, lower case, without the final dot; bytes outside printable ASCII as \\xNN"),
        entry("qtype", pl.String, "", "A, AAAA, CNAME, HTTPS… or TYPEn"),
        entry("questions", pl.Int64, "", "questions in the query, of which the first is shown; null when the query is not in the capture", "RFC 9619"),
        entry("query_seen", pl.Boolean, "", "the query itself is in the capture"),
        entry("query_frames", INTS, "frame", "query and its retransmissions (the first 16)", role="query"),
        entry("query_time", pl.Int64, "ns", "of the first query (without one: of the first response)"),
        entry("query_flags", pl.Int64, "", "DNS flags word of the first query: RD tells what an injector answers", "RFC 1035 4.1.1, BBS466"),
        entry("edns_udp_size", pl.Int64, "bytes", "largest UDP response that the query allows; null without EDNS", "RFC 6891"),
        entry("edns_do", pl.Boolean, "", "the query asks for DNSSEC records; null without EDNS", "RFC 4035"),
        entry("edns_client_subnet", pl.Boolean, "", "the query tells the client's subnet; null without EDNS", "RFC 7871"),
        entry("queries", pl.Int64, "packets", "times it was sent; what the capture holds a second time (SPAN) is not counted"),
        entry("responses", pl.Int64, "packets", "responses to it, copies included"),
        entry("response_frames", INTS, "frame", "their frames, in order (the first 16; the lists below run parallel)", role="response"),
        entry("response_delays_ms", FLOATS, "ms", "from the first query to each response"),
        entry("response_ttls", INTS, "", "IP TTL of each response"),
        entry("response_ipids", INTS, "", "IP-ID of each response (-1 for IPv6)"),
        entry("response_df", pl.List(pl.Boolean), "", "DF bit of each response"),
        entry("response_flags", INTS, "", "DNS flags word of each response", "RFC 1035 4.1.1"),
        entry("response_rcodes", INTS, "", "RCODE of each response, with the bits that EDNS adds", "RFC 6891 6.1.3"),
        entry("response_lengths", INTS, "bytes", "length of each response's message on the wire"),
        entry("response_trailing", INTS, "bytes", "bytes after the last record of each response (0 when it is damaged)", "FA25"),
        entry("response_min_ttls", INTS, "", "smallest TTL (in seconds) of the answer records of each response; null without answers"),
        entry("response_answers", TEXTS, "", "addresses of each response (without any: address hints of HTTPS and SVCB; without these: final CNAME), sorted, joined by a space"),
        entry("answers", TEXTS, "", "all addresses answered by any response, sorted, each once"),
        entry("cnames", TEXTS, "", "all names in CNAME answers: those that lead on from qname in the order in which they do, then any others"),
        entry("answers_astray", TEXTS, "", "answers whose owner is neither qname nor reached from it through the CNAMEs of the response"),
        entry("other_answers", TEXTS, "", "NS, PTR, MX, TXT, SOA and SRV records answered, as text"),
        entry("svcb", TEXTS, "", "HTTPS and SVCB records answered, as text", "RFC 9460"),
        entry("svcb_hints", TEXTS, "", "their ipv4hint and ipv6hint addresses"),
        entry("svcb_alpn", TEXTS, "", "their protocols"),
        entry("svcb_ech", pl.Boolean, "", "one of them publishes a configuration for Encrypted ClientHello; null without such records (or with aliases only)"),
        entry("extended_errors", INTS, "", "codes of extended DNS errors in any response: 15 blocked, 16 censored, 17 filtered, 18 prohibited", "RFC 8914"),
        entry("truncated", pl.Boolean, "", "a response has TC set: the answer does not fit into UDP; null without responses"),
        entry("malformed_responses", pl.Int64, "packets", "responses whose message is damaged"),
        entry("distinct_answers", pl.Int64, "", "different sets of addresses (or RCODEs without addresses) among the responses"),
        entry("identical_copies", pl.Boolean, "", "more than one response, all byte-identical"),
        entry("answers_differ", pl.Boolean, "", "to one single transmission of the query, at least two responses that hold different non-empty address sets; false where a group was asked"),
        entry("wire_facts_differ", pl.Boolean, "", "responses that differ in addresses differ also in TTL by more than 1, in DF, or in DNS flags"),
        entry("first_delay_ms", pl.Float64, "ms", "from the last query before it to the first response"),
        entry("tcp_retry", pl.Boolean, "", "the client asked the same over TCP within 30 s; null unless a response over UDP was truncated", "RFC 7766"),
        entry("tcp_retry_frame", pl.Int64, "frame", "that query over TCP", role="retry"),
        entry("genuine_headers", pl.Boolean, "", "headers come from the wire; false inside PCAPdroid's VPN, which makes them up"),
        entry("resolver_rtt_ms", pl.Float64, "ms", "median first delay of this resolver's other queries over the same transport with one response; null below 3"),
        entry("early_ratio", pl.Float64, "", "first_delay_ms / resolver_rtt_ms; null where the clock of the capture is too coarse for that (resolver_rtt_ms below 4 ticks)", "DU12"),
        entry("public_name", pl.Boolean, "", "the DNS was asked for a name that lies in public DNS: more than one label, no special-use or local suffix", "RFC 6761, RFC 8375, RFC 9476"),
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

FLOW_DNS: Final[tuple[Column, ...]] = (
    entry("dns_transport", pl.String, "", "encrypted DNS that the flow carries: dot, doh or doq; null when nothing tells", "RFC 7858, RFC 8484, RFC 9250"),
    entry("dns_transport_source", pl.String, "", "what told us: alpn, port (853), name or address (of a public resolver, port 443: it may be asked for a web page, too)"),
)
"""Columns of the flow table: what DNS tells."""
# fmt: on
