"""The one dictionary of observations: every column of every fact table, its type, unit, meaning and source.

Schema, rule lint, documentation and JSON all come from here. A name follows Wireshark or Zeek where they have one.
Nulls have one meaning everywhere: *there is no such thing in this row* (no reset, no hello, no answer…).
Whether a null may be read as "looked and found nothing" is said by the gates of the table.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import polars as pl

_TEXTS: Final = pl.List(pl.String)
_INTS: Final = pl.List(pl.Int64)
_FLOATS: Final = pl.List(pl.Float64)


@dataclass(frozen=True)
class Column:
    """One observation."""

    name: str
    dtype: pl.DataType | type[pl.DataType]
    unit: str
    """``frame``, ``ms``, ``bytes``, ``packets``, ``bit/s``… or empty for words and truth values."""
    meaning: str
    source: str = ""
    """RFC section, Wireshark field, or paper key."""
    role: str = ""
    """For a ``frame`` column: the role its frames carry in a report (``client_hello``, ``reset``…)."""


@dataclass(frozen=True)
class Table:
    """One fact table."""

    name: str
    row: str
    """What one row is."""
    columns: tuple[Column, ...]

    def schema(self) -> pl.Schema:
        """Column names and polars types, in order."""
        return pl.Schema({column.name: column.dtype for column in self.columns})

    def column(self, name: str) -> Column:
        """The entry of one column; KeyError when there is none."""
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(name)


def _c(  # noqa: PLR0913 - a dictionary entry has six fields
    name: str,
    dtype: pl.DataType | type[pl.DataType],
    unit: str,
    meaning: str,
    source: str = "",
    role: str = "",
) -> Column:
    return Column(name, dtype, unit, meaning, source, role)


# One line an entry: a formatter would make five of each.
# fmt: off
FLOW: Final = Table(
    "flow",
    "one bidirectional TCP or UDP conversation",
    (
        # who
        _c("flow", pl.Int64, "", "number of the row: 0, 1, … in order of the first frame"),
        _c("proto", pl.String, "", "tcp or udp"),
        _c("stream", pl.Int64, "", "conversation number", "Wireshark tcp.stream, udp.stream"),
        _c("ip_version", pl.Int64, "", "4 or 6"),
        _c("client", pl.String, "", "address of the side that opened the conversation"),
        _c("client_port", pl.Int64, "", "its port"),
        _c("server", pl.String, "", "address of the other side"),
        _c("server_port", pl.Int64, "", "its port"),
        _c("server_private", pl.Boolean, "", "the server's address is private, shared, loopback, link-local, multicast or otherwise special (documentation addresses not counted)", "RFC 6890"),
        _c("role_basis", pl.String, "", "how the sides were told apart: syn (SYN or SYN/ACK), first-speaker (ClientHello, or first packet) or port (in mid-flow, or a datagram from a service port)"),
        _c("tunnel", pl.String, "", "what carried the first packet, from the outermost tunnel: gtp-u, gre>erspan>vxlan; null for a packet that came as it is; other beyond 65,536 tunnels"),
        _c("tunnel_from", pl.String, "", "source address of the outermost header of that tunnel, on the first packet"),
        _c("tunnel_to", pl.String, "", "its destination address"),
        _c("carrier", pl.Boolean, "", "a packet of this UDP conversation carries others, which have flows of their own: it has no app, and no rule judges it"),
        _c("phone_uid", pl.Int64, "", "UID of the phone's app that owned the first packet of which the capture says so; null when it never does", "PCAPdroid"),
        _c("phone_uid_differs", pl.Boolean, "", "later packets of the flow were owned by another UID"),
        _c("phone_app", pl.String, "", "name that the phone gave that app, by the whole capture; filled after the rules", "PCAPdroid"),
        # when
        _c("first_frame", pl.Int64, "frame", "first packet", role="first"),
        _c("last_frame", pl.Int64, "frame", "last packet", role="last"),
        _c("first_time", pl.Int64, "ns", "time of the first packet since the epoch"),
        _c("last_time", pl.Int64, "ns", "time of the last packet since the epoch"),
        _c("duration_ms", pl.Float64, "ms", "from the first to the last packet"),
        _c("capture_after_ms", pl.Float64, "ms", "how long the capture goes on after the flow's last packet"),
        # gates, per flow
        _c("start_seen", pl.Boolean, "", "TCP: a SYN was captured; UDP: always true; false where the row goes on with a conversation (see continued)"),
        _c("continued", pl.Boolean, "", "the conversation has an earlier row of the same stream number: it was idle so long that its first packets were judged and dropped (only in captures of more than 65,536 packets)"),
        _c("both_directions", pl.Boolean, "", "packets of both directions are in the flow, or the other direction is seen elsewhere in the capture"),
        _c("genuine_headers", pl.Boolean, "", "TTL, IP-ID, resets and sequence numbers are those of the wire (false where an end is a phone inside PCAPdroid's VPN, which writes headers itself)"),
        _c("complete_capture", pl.Boolean, "", "no more than 1 % of the acknowledged bytes of this flow were missed by the capture"),
        _c("client_local", pl.Boolean, "", "the client's packets carry an initial TTL (32, 64, 128, 255): the capture was taken at the client"),
        _c("server_local", pl.Boolean, "", "the server's packets carry an initial TTL: the capture was taken at the server, or it is one hop-less neighbour"),
        # how it went
        _c("history", pl.String, "", "first occurrence of S, H, A, D, F, R, T (retransmission), W (zero window), upper case from the client", "Zeek conn.log history"),
        _c("stage", pl.String, "", "how far TCP came: syn, syn-ack, established, client-data, server-data; udp: client-data or server-data"),
        _c("syn_frame", pl.Int64, "frame", "first SYN of the client", role="syn"),
        _c("last_syn_frame", pl.Int64, "frame", "last SYN of the client", role="syn"),
        _c("syn_count", pl.Int64, "packets", "SYNs of the client, retransmissions included"),
        _c("syn_span_ms", pl.Float64, "ms", "from the first to the last SYN"),
        _c("syn_ack_frame", pl.Int64, "frame", "first SYN/ACK of the server", role="syn_ack"),
        _c("syn_rtt_ms", pl.Float64, "ms", "from the last SYN before the SYN/ACK to the SYN/ACK"),
        _c("handshake_rtt_ms", pl.Float64, "ms", "from that SYN to the client's handshake ACK", "Wireshark tcp.analysis.initial_rtt"),
        _c("packets_to_server", pl.Int64, "packets", "sent by the client"),
        _c("packets_to_client", pl.Int64, "packets", "sent by the server"),
        _c("bytes_to_server", pl.Int64, "bytes", "payload sent by the client, retransmissions included, that in resets not"),
        _c("bytes_to_client", pl.Int64, "bytes", "payload sent by the server, retransmissions included, that in resets not"),
        _c("ip_bytes_to_server", pl.Int64, "bytes", "IP packets sent by the client, headers included"),
        _c("ip_bytes_to_client", pl.Int64, "bytes", "IP packets sent by the server, headers included"),
        _c("retransmissions_to_server", pl.Int64, "packets", "data or SYN segments of the client that repeat sequence space and are not mere reordering"),
        _c("retransmissions_to_client", pl.Int64, "packets", "the same of the server"),
        _c("out_of_order_to_server", pl.Int64, "packets", "segments of the client below its highest sequence that come at most 7 packets and half an RTT (3 to 100 ms) after it was passed: late or twice, but no retransmission"),
        _c("out_of_order_to_client", pl.Int64, "packets", "the same of the server"),
        _c("acked_to_server", pl.Int64, "bytes", "client bytes that the server acknowledged (highest ACK past the ISN); null when no ACK was seen"),
        _c("acked_to_client", pl.Int64, "bytes", "server bytes that the client acknowledged; null when no ACK was seen"),
        _c("fin_to_server_frame", pl.Int64, "frame", "first FIN of the client", role="fin"),
        _c("fin_to_client_frame", pl.Int64, "frame", "first FIN of the server", role="fin"),
        _c("first_data_to_server_frame", pl.Int64, "frame", "first payload of the client", role="client_data"),
        _c("first_data_to_client_frame", pl.Int64, "frame", "first payload of the server", role="server_data"),
        _c("zero_windows_to_server", pl.Int64, "packets", "segments of the client that advertise window 0 (resets and SYNs not counted)"),
        _c("zero_windows_to_client", pl.Int64, "packets", "the same of the server"),
        _c("icmp_error_frame", pl.Int64, "frame", "first ICMP error that quotes a packet of this flow", role="icmp_error"),
        _c("icmp_error_type", pl.Int64, "", "its type", "RFC 792, RFC 4443"),
        _c("icmp_error_code", pl.Int64, "", "its code"),
        _c("unseen_segments", pl.Int64, "packets", "acknowledgements of bytes that the capture does not hold: what the capture missed, of both sides", "Wireshark tcp.analysis.ack_lost_segment"),
        _c("duplicated_packets", pl.Int64, "packets", "packets that the capture holds a second time (SPAN): they repeat one of the 8 before them of their sender within 5 ms, with equal checksum, IP-ID, seq, ack, flags, window and length and a TTL that differs by at most 1; they are left out of all other columns"),
        _c("client_first_bytes", pl.String, "", "hex of the first 16 payload bytes of the client, from the start of its stream"),
        _c("server_first_bytes", pl.String, "", "the same of the server"),
        # resets
        _c("rst_to_client", pl.Int64, "packets", "resets that claim to come from the server"),
        _c("rst_to_server", pl.Int64, "packets", "resets that claim to come from the client"),
        _c("rst_to_client_frames", _INTS, "frame", "their frames (the first 16)", role="reset"),
        _c("rst_to_server_frames", _INTS, "frame", "their frames (the first 16)", role="reset_by_client"),
        _c("rst_ack_to_client", pl.Int64, "packets", "how many of the resets to the client carry ACK"),
        _c("rst_identical_to_client", pl.Int64, "packets", "largest number of resets to the client with equal flags, seq and ack"),
        _c("rst_seq_change", pl.Boolean, "", "a later reset to the client has a higher seq than the one before and than all bytes sent", "WE09 RST_SEQ_CHANGE"),
        _c("rst_after_data_ms", pl.Float64, "ms", "from the last client payload before the first reset to the client, to that reset"),
        _c("rst_after_hello_ms", pl.Float64, "ms", "from the completed ClientHello to the first reset to the client; null if the reset came earlier"),
        _c("rst_after_hello_rtts", pl.Float64, "", "the same in handshake RTTs; null where the clock of the capture is too coarse for that (fewer than 4 ticks an RTT)"),
        _c("rst_before_syn_ack", pl.Boolean, "", "the first reset to the client came before any SYN/ACK"),
        _c("rst_ttl", pl.Int64, "", "TTL of the reset to the client that is farthest from the server's baseline (without one: of the first)"),
        _c("server_ttl", pl.Int64, "", "most frequent TTL of the server's packets that are no resets"),
        _c("server_ttl_packets", pl.Int64, "packets", "how many packets carry it"),
        _c("rst_ttl_delta", pl.Int64, "", "rst_ttl - server_ttl"),
        _c("server_ipid_class", pl.String, "", "how the server numbers packets: zero, constant, counter, random, or unknown (fewer than 3)"),
        _c("rst_ipid_delta", pl.Int64, "", "circular distance (0…32768) of the IP-ID of the reset farthest from the packet before it of the same sender; null unless a counter"),
        _c("rst_df_differs", pl.Boolean, "", "a reset to the client has another DF bit than the server's other packets"),
        _c("rst_payload_bytes", pl.Int64, "bytes", "largest payload carried by a reset to the client"),
        _c("fin_to_client_before_rst", pl.Boolean, "", "the server sent FIN before the first reset to the client"),
        _c("rst_to_server_before_rst", pl.Boolean, "", "the client itself had reset (or sent FIN) before the first reset to the client"),
        _c("to_client_packets_after_rst", pl.Int64, "packets", "packets of the server after its first reset that are no resets, no pure duplicates of it, and carry data, SYN, FIN or a new ACK"),
        _c("to_client_data_after_rst", pl.Int64, "packets", "how many of them carry payload or SYN"),
        _c("after_rst_frames", _INTS, "frame", "their frames (the first 8)", role="after_reset"),
        # TLS
        _c("tls_client_hello", pl.Boolean, "", "a whole ClientHello was put together", "RFC 8446 4.1.2"),
        _c("tls_client_hello_partial", pl.Boolean, "", "the client's stream starts like a TLS handshake but the ClientHello is not whole in the capture"),
        _c("tls_client_hello_frame", pl.Int64, "frame", "frame that completed it", role="client_hello"),
        _c("tls_client_hello_frames", _INTS, "frame", "all frames that carried it, retransmissions not counted", role="client_hello"),
        _c("tls_hello_bytes", pl.Int64, "bytes", "length of the ClientHello with its record headers"),
        _c("tls_hello_segments", pl.Int64, "packets", "TCP segments it was cut into"),
        _c("tls_hello_records", pl.Int64, "", "TLS records it was cut into"),
        _c("sni", pl.String, "", "server name, lower case; null when the extension is absent", "RFC 6066 3"),
        _c("alpn", _TEXTS, "", "protocols offered", "RFC 7301"),
        _c("tls_versions", _TEXTS, "", "versions offered, such as 1.3 and 1.2", "RFC 8446 4.2.1"),
        _c("tls_server_hello", pl.Boolean, "", "a ServerHello (or HelloRetryRequest) was seen"),
        _c("tls_server_hello_frame", pl.Int64, "frame", "its first frame", role="server_hello"),
        _c("tls_alert_to_client_frame", pl.Int64, "frame", "first TLS alert record of the server", "RFC 8446 6", role="alert"),
        _c("tls_alert_to_server_frame", pl.Int64, "frame", "first TLS alert record of the client", role="alert_by_client"),
        _c("tls_alert_before_rst", pl.Boolean, "", "a TLS alert of either side came before the first reset to the client"),
        _c("tls_established", pl.Boolean, "", "ServerHello seen, and application data records (type 23) from both sides"),
        # silence
        _c("hello_acked_bytes", pl.Int64, "bytes", "bytes of the ClientHello that the server acknowledged; null without hello or sequence base"),
        _c("hello_retransmissions", pl.Int64, "packets", "retransmitted segments of the ClientHello"),
        _c("hello_retransmission_frames", _INTS, "frame", "their frames (the first 16)", role="retransmission"),
        _c("to_client_packets_after_hello", pl.Int64, "packets", "packets of the server after the completed ClientHello, resets not counted"),
        _c("to_client_bytes_after_hello", pl.Int64, "bytes", "their payload"),
        _c("waited_ms", pl.Float64, "ms", "from the completed ClientHello (without one: the first SYN) to the client's last packet"),
        _c("silent_ms", pl.Float64, "ms", "from the server's last packet (without one: the client's first) to the end of the flow"),
        # throughput, towards the client
        _c("goodput_bps", pl.Float64, "bit/s", "new payload bytes to the client over the time between its first and last data packet; null below 100 kB"),
        _c("loss_ratio", pl.Float64, "", "retransmitted share of the server's data packets; null below 100 kB"),
        _c("burst_bytes", pl.Int64, "bytes", "new payload bytes to the client before the first loss"),
        _c("first_loss_frame", pl.Int64, "frame", "first retransmission to the client", role="loss"),
        _c("last_loss_frame", pl.Int64, "frame", "last retransmission to the client", role="loss"),
        _c("loss_span_ms", pl.Float64, "ms", "from the first to the last loss"),
        _c("steady_rate_bps", pl.Float64, "bit/s", "goodput between the first and the last loss", "FL16"),
        _c("steady_spread", pl.Float64, "", "spread of goodput between first and last loss: (90th − 10th percentile)/median over windows of max(1 s, 10 RTT); null below 4 windows"),
        _c("loss_windows", pl.Float64, "", "share of those windows that hold a loss"),
        _c("rate_before_loss_bps", pl.Float64, "bit/s", "goodput before the first loss"),
        _c("control_goodput_bps", pl.Float64, "bit/s", "fastest goodput of another flow of the same client to another name, overlapping or within 120 s"),
        _c("control_frame", pl.Int64, "frame", "first frame of that flow", role="control"),
        _c("control_ratio", pl.Float64, "", "control_goodput_bps / goodput_bps"),
        # what it served
        _c("server_name", pl.String, "", "SNI, else the DNS name that led the client to this address"),
        _c("name_basis", pl.String, "", "sni or dns"),
        _c("dns_name", pl.String, "", "latest name whose answer, seen earlier by this client, holds the server's address"),
        _c("dns_frame", pl.Int64, "frame", "frame of that answer", role="dns_answer"),
        _c("address_forged", pl.Boolean, "", "the server's address came from a DNS answer that a dns rule found forged"),
        _c("app", pl.String, "", "app the flow serves, from signatures/apps; null when unknown"),
        _c("feature", pl.String, "", "feature of the app: text, media, calls, web…"),
        _c("app_basis", pl.String, "", "sni, dns, address or first-bytes"),
        # controls: other attempts
        _c("name_attempts", pl.Int64, "flows", "flows of this client to this server name (this flow included)"),
        _c("name_ok", pl.Int64, "flows", "how many of them got a ServerHello or, without TLS, server payload, and no reset to the client before it"),
        _c("name_reset", pl.Int64, "flows", "how many of them got a reset after their ClientHello and no ServerHello before it"),
        _c("name_silent", pl.Int64, "flows", "how many of them got no server payload and no reset after their ClientHello"),
        _c("endpoint_other_names_ok", pl.Int64, "flows", "flows of this client to the same server address and port, another SNI, that got a ServerHello and no reset to the client before it"),
        _c("endpoint_control_hello_bytes", pl.Int64, "bytes", "largest ClientHello of these flows; null without any"),
        _c("endpoint_control_frame", pl.Int64, "frame", "ServerHello of one of them", role="control"),
        _c("others_answered", pl.Int64, "flows", "flows of this client to other servers that were answered while this one ran (10 s margin)"),
        _c("others_answered_frame", pl.Int64, "frame", "SYN/ACK or first data of one of them", role="control"),
        _c("others_failed", pl.Int64, "flows", "TCP flows of this client to other servers that were not answered in that time"),
        _c("endpoint_answered", pl.Int64, "flows", "flows to the same server address (any port) that were answered"),
        _c("endpoint_answered_frame", pl.Int64, "frame", "SYN/ACK or first data of one of them", role="control"),
    ),
)

RESET: Final = Table(
    "reset",
    "one TCP reset",
    (
        _c("flow", pl.Int64, "", "row of the flow table"),
        _c("stream", pl.Int64, "", "conversation number", "Wireshark tcp.stream"),
        _c("frame", pl.Int64, "frame", "frame of the reset", role="reset"),
        _c("time", pl.Int64, "ns", "since the epoch"),
        _c("direction", pl.String, "", "to_client or to_server"),
        _c("ack_flag", pl.Boolean, "", "RST+ACK rather than RST"),
        _c("ttl", pl.Int64, "", "TTL or hop limit"),
        _c("ttl_baseline", pl.Int64, "", "most frequent TTL of the same sender's packets that are no resets"),
        _c("ttl_baseline_packets", pl.Int64, "packets", "how many packets carry it"),
        _c("ipid", pl.Int64, "", "IP identification; null for IPv6"),
        _c("ipid_delta", pl.Int64, "", "ipid minus that of the packet before it of the same sender, modulo 65536; null without one"),
        _c("ipid_class", pl.String, "", "how the sender numbers its packets: zero, constant, counter, random, unknown"),
        _c("df", pl.Boolean, "", "don't fragment"),
        _c("df_baseline", pl.Boolean, "", "DF of most of the sender's other packets; null without any"),
        _c("seq_offset", pl.Int64, "bytes", "seq minus the next byte expected from this sender; null when it sent nothing before"),
        _c("ack", pl.Int64, "", "raw ACK field"),
        _c("window", pl.Int64, "", "raw window field"),
        _c("payload_bytes", pl.Int64, "bytes", "payload in the reset"),
        _c("delay_ms", pl.Float64, "ms", "since the last payload of the other side; null without one"),
        _c("delay_rtts", pl.Float64, "", "the same in handshake RTTs"),
        _c("packets_after", pl.Int64, "packets", "packets of the same sender after its first reset that are no resets"),
    ),
)

DNS: Final = Table(
    "dns",
    "one DNS query over UDP and all that answered it",
    (
        _c("dns", pl.Int64, "", "number of the row, in order of the first frame"),
        _c("stream", pl.Int64, "", "conversation number", "Wireshark udp.stream"),
        _c("client", pl.String, "", "who asked"),
        _c("client_port", pl.Int64, "", "its port"),
        _c("resolver", pl.String, "", "who was asked"),
        _c("resolver_port", pl.Int64, "", "its port: 53"),
        _c("txid", pl.Int64, "", "transaction id", "RFC 1035 4.1.1"),
        _c("qname", pl.String, "", "name asked for, lower case, without the final dot; bytes outside printable ASCII as \\xNN"),
        _c("qtype", pl.String, "", "A, AAAA, CNAME, HTTPS… or TYPEn"),
        _c("query_seen", pl.Boolean, "", "the query itself is in the capture"),
        _c("query_frames", _INTS, "frame", "query and its retransmissions (the first 16)", role="query"),
        _c("query_time", pl.Int64, "ns", "of the first query (without one: of the first response)"),
        _c("queries", pl.Int64, "packets", "times it was sent; what the capture holds a second time (SPAN) is not counted"),
        _c("responses", pl.Int64, "packets", "responses to it, copies included"),
        _c("response_frames", _INTS, "frame", "their frames, in order (the first 16; the lists below run parallel)", role="response"),
        _c("response_delays_ms", _FLOATS, "ms", "from the first query to each response"),
        _c("response_ttls", _INTS, "", "IP TTL of each response"),
        _c("response_ipids", _INTS, "", "IP-ID of each response (-1 for IPv6)"),
        _c("response_df", pl.List(pl.Boolean), "", "DF bit of each response"),
        _c("response_flags", _INTS, "", "DNS flags word of each response", "RFC 1035 4.1.1"),
        _c("response_rcodes", _INTS, "", "RCODE of each response"),
        _c("response_answers", _TEXTS, "", "addresses (and final CNAME where there is none) of each response, sorted, joined by a space"),
        _c("answers", _TEXTS, "", "all addresses answered by any response, sorted, each once"),
        _c("cnames", _TEXTS, "", "all names in CNAME answers, in order"),
        _c("malformed_responses", pl.Int64, "packets", "responses whose message is damaged"),
        _c("distinct_answers", pl.Int64, "", "different sets of addresses (or RCODEs without addresses) among the responses"),
        _c("identical_copies", pl.Boolean, "", "more than one response, all byte-identical"),
        _c("answers_differ", pl.Boolean, "", "to one single transmission of the query, at least two responses that hold different non-empty address sets"),
        _c("wire_facts_differ", pl.Boolean, "", "responses that differ in addresses differ also in TTL by more than 1, in DF, or in DNS flags"),
        _c("first_delay_ms", pl.Float64, "ms", "from the last query before it to the first response"),
        _c("resolver_rtt_ms", pl.Float64, "ms", "median first delay of this resolver's other queries with one response; null below 3"),
        _c("early_ratio", pl.Float64, "", "first_delay_ms / resolver_rtt_ms; null where the clock of the capture is too coarse for that (resolver_rtt_ms below 4 ticks)", "DU12"),
        _c("public_name", pl.Boolean, "", "the name lies in public DNS: more than one label, no special-use or local suffix", "RFC 6761, RFC 8375, RFC 9476"),
        _c("bogon_answers", _TEXTS, "", "answers in private, loopback, unspecified, documentation, multicast or reserved space", "RFC 6890"),
        _c("bogon_kind", pl.String, "", "of the first of them: private, shared, loopback, unspecified, link-local, documentation, multicast, reserved"),
        _c("resolver_private", pl.Boolean, "", "the resolver's own address is private or local"),
        _c("resolver_bogon_names", pl.Int64, "", "different public names for which this resolver gave a bogon answer"),
        _c("resolver_true_names", pl.Int64, "", "different public names for which it gave other answers only"),
        _c("answer_names", pl.Int64, "", "largest number of unrelated names (registrable domains) in this capture that were answered with the same address as this one"),
        _c("pool", pl.String, "", "name of the pool (signatures/pools) that holds the most answers, the name's own owner's addresses not counted; null when none does"),
        _c("pool_answers", _TEXTS, "", "answers that are in it and not in the space of the name's own owner (or of the owner of a CNAME in the answer)"),
        _c("pool_frames", _INTS, "frame", "responses that carried them", role="forged_response"),
        _c("name_owner", pl.String, "", "owner of the name by signatures/apps; null when unknown"),
        _c("answer_owner", pl.String, "", "owner of the address range of the first pool answer by signatures/pools; null when unknown"),
        _c("answer_owners", _TEXTS, "", "owners of the address ranges of all pool answers, each once, in the order of the answers; 'unknown' for those of nobody known"),
        _c("owner_mismatch", pl.Boolean, "", "a pool answer lies in the space of another than the name's owner, or, the name's owner being unknown, in space where nobody else has names and which the name does not resemble; false: answers in a pool's space are the owner's own"),
        _c("answers_tls_ok", pl.Int64, "flows", "TLS flows of this client with this SNI to one of the answers that got a ServerHello"),
        _c("app", pl.String, "", "app the name belongs to"),
        _c("feature", pl.String, "", "feature of the app"),
    ),
)

# fmt: on

TABLES: Final[dict[str, Table]] = {table.name: table for table in (FLOW, RESET, DNS)}

GATES: Final[dict[str, str]] = {
    "start_seen": "the beginning of the flow is not in the capture",
    "both_directions": "only one direction was captured",
    "genuine_headers": "packet headers were rebuilt by the capturing app, not taken from the wire",
    "complete_capture": "the capture missed packets of this flow",
    "query_seen": "the query itself is not in the capture",
}
"""Gate name (a boolean column) → what to say when it is closed."""
