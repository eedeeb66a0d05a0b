"""The call table."""

from __future__ import annotations

from typing import Final

import polars as pl

from forensics.observations.dictionary.entry import INTS, TEXTS, Column, Table, entry, identity

# One line an entry: a formatter would make five of each.
# fmt: off
CALL: Final = Table(
    "call",
    "one media session: a conversation with STUN or RTP",
    (
        *identity(),
        entry("first_time", pl.Int64, "ns", "of that frame, since the epoch"),
        entry("last_frame", pl.Int64, "frame", "last frame of STUN or media", role="last"),
        # STUN and TURN
        entry("stun_requests", pl.Int64, "packets", "requests of the client, those sent again included; WhatsApp's own types, to which no answer is known, are not among them", "RFC 8489 6.1, Wireshark stun.type"),
        entry("stun_transactions", pl.Int64, "packets", "different transactions among them"),
        entry("stun_answered", pl.Int64, "packets", "transactions with a success or an error response"),
        entry("stun_unanswered", pl.Int64, "packets", "transactions without; those at the end of a capture may have had no time"),
        entry("stun_asking_ms", pl.Float64, "ms", "from the client's first request to its last"),
        entry("stun_rtt_ms", pl.Float64, "ms", "shortest time from a request that was sent once to its response"),
        entry("stun_errors", INTS, "", "error codes in order (the first 16); 401 and 438 belong to the way in", "RFC 8489 14.8"),
        entry("stun_peer_requests", pl.Int64, "packets", "requests that came from the server's side: it is an ICE agent", "RFC 8445"),
        entry("stun_peer_answered", pl.Int64, "packets", "transactions among those that the client answered"),
        entry("stun_request_frames", INTS, "frame", "first request of each of the client's transactions (the first 16)", role="stun_request"),
        entry("stun_answer_frames", INTS, "frame", "first responses to them (the first 16)", role="stun_answer"),
        entry("stun_unanswered_frames", INTS, "frame", "first request of transactions without a response (the first 16)", role="stun_unanswered"),
        entry("stun_error_frames", INTS, "frame", "error responses (the first 16)", role="stun_error"),
        entry("allocations", pl.Int64, "packets", "Allocate transactions that the server granted", "RFC 8656 7"),
        entry("relayed_address", pl.String, "", "address that the relay lends the client", "RFC 8656 18.5"),
        entry("mapped_address", pl.String, "", "address that the server sees the client at", "RFC 8489 14.2"),
        entry("peers", TEXTS, "", "addresses beyond the relay (the first 16)", "RFC 8656 18.3"),
        entry("relayed_checks", pl.Int64, "packets", "transactions of the client with a peer, carried by the relay", "RFC 8656"),
        entry("relayed_checks_answered", pl.Int64, "packets", "those with a response"),
        entry("stun_realm", pl.String, "", "first REALM", "RFC 8489 14.9"),
        entry("stun_software", pl.String, "", "first SOFTWARE", "RFC 8489 14.14"),
        entry("stun_wrong_fingerprints", pl.Int64, "packets", "messages whose FINGERPRINT does not fit them", "RFC 8489 14.7"),
        entry("whatsapp_stun_to_server", pl.Int64, "packets", "messages of WhatsApp's own make sent by the client: types from 0x0800, attributes from 0x4000"),
        entry("whatsapp_stun_to_client", pl.Int64, "packets", "the same of the server"),
        entry("whatsapp_frames", INTS, "frame", "the first of them, 16 each way", role="whatsapp_stun"),
        entry("dtls_frame", pl.Int64, "frame", "first DTLS record on the same ports: the media is SRTP, or there is a data channel", "RFC 5764", role="dtls"),
        # media: RTP or SRTP, told by sequence numbers that go on
        entry("rtp_packets_to_server", pl.Int64, "packets", "RTP or SRTP packets sent by the client, those that a relay carries included", "RFC 3550"),
        entry("rtcp_packets_to_server", pl.Int64, "packets", "RTCP or SRTCP packets sent by the client", "RFC 5761"),
        entry("ssrcs_to_server", pl.Int64, "", "different sources of the client", "Wireshark rtp.ssrc"),
        entry("payload_types_to_server", INTS, "", "payload types of the client, ascending", "Wireshark rtp.p_type"),
        entry("codec_to_server", pl.String, "", "encoding of the source of the client with the most packets, where its payload type is a static one", "RFC 3551 6"),
        entry("clock_rate_to_server", pl.Int64, "", "clock of that source in Hz: of a static type, else measured over its first second", "RFC 3550 5.1"),
        entry("rtp_lost_to_server", pl.Int64, "packets", "sequence numbers of the client that never came, all sources", "RFC 3550 A.3"),
        entry("rtp_loss_to_server", pl.Float64, "", "the same as a share of those expected, 0 to 1"),
        entry("rtp_late_to_server", pl.Int64, "packets", "packets behind a higher sequence number of the same source"),
        entry("rtp_copies_to_server", pl.Int64, "packets", "packets whose sequence number had come, the last 64 looked at"),
        entry("jitter_to_server_ms", pl.Float64, "ms", "mean interarrival jitter of the source with the most packets; null where its clock is not known", "RFC 3550 A.8"),
        entry("jitter_max_to_server_ms", pl.Float64, "ms", "the largest value of the same"),
        entry("reported_loss_to_server", pl.Float64, "", "largest share of what the client sent that the other side reports lost, in RTCP in the clear", "RFC 3550 6.4.1"),
        entry("first_media_to_server_frame", pl.Int64, "frame", "first packet of the client with the shape of RTP", role="media"),
        entry("last_media_to_server_frame", pl.Int64, "frame", "last one", role="media"),
        entry("media_to_server_ms", pl.Float64, "ms", "from the first to the last"),
        entry("silence_to_server_ms", pl.Float64, "ms", "longest time between two of them"),
        entry("silence_to_server_frames", INTS, "frame", "the two packets around it", role="silence"),
        entry("alone_to_server_ms", pl.Float64, "ms", "how long the client went on after the other side's last media packet, or all its time where there is none"),
        entry("rtp_packets_to_client", pl.Int64, "packets", "RTP or SRTP packets sent by the server, those that a relay carries included", "RFC 3550"),
        entry("rtcp_packets_to_client", pl.Int64, "packets", "RTCP or SRTCP packets sent by the server", "RFC 5761"),
        entry("ssrcs_to_client", pl.Int64, "", "different sources of the server", "Wireshark rtp.ssrc"),
        entry("payload_types_to_client", INTS, "", "payload types of the server, ascending", "Wireshark rtp.p_type"),
        entry("codec_to_client", pl.String, "", "encoding of the source of the server with the most packets, where its payload type is a static one", "RFC 3551 6"),
        entry("clock_rate_to_client", pl.Int64, "", "clock of that source in Hz: of a static type, else measured over its first second", "RFC 3550 5.1"),
        entry("rtp_lost_to_client", pl.Int64, "packets", "sequence numbers of the server that never came, all sources", "RFC 3550 A.3"),
        entry("rtp_loss_to_client", pl.Float64, "", "the same as a share of those expected, 0 to 1"),
        entry("rtp_late_to_client", pl.Int64, "packets", "packets behind a higher sequence number of the same source"),
        entry("rtp_copies_to_client", pl.Int64, "packets", "packets whose sequence number had come, the last 64 looked at"),
        entry("jitter_to_client_ms", pl.Float64, "ms", "mean interarrival jitter of the source with the most packets; null where its clock is not known", "RFC 3550 A.8"),
        entry("jitter_max_to_client_ms", pl.Float64, "ms", "the largest value of the same"),
        entry("reported_loss_to_client", pl.Float64, "", "largest share of what the server sent that the other side reports lost, in RTCP in the clear", "RFC 3550 6.4.1"),
        entry("first_media_to_client_frame", pl.Int64, "frame", "first packet of the server with the shape of RTP", role="media"),
        entry("last_media_to_client_frame", pl.Int64, "frame", "last one", role="media"),
        entry("media_to_client_ms", pl.Float64, "ms", "from the first to the last"),
        entry("silence_to_client_ms", pl.Float64, "ms", "longest time between two of them"),
        entry("silence_to_client_frames", INTS, "frame", "the two packets around it", role="silence"),
        entry("alone_to_client_ms", pl.Float64, "ms", "how long the server went on after the other side's last media packet, or all its time where there is none"),
        entry("media_ms", pl.Float64, "ms", "from the first to the last media packet of either side"),
        entry("relayed", pl.Boolean, "", "media came inside TURN's channels or indications", "RFC 8656 12"),
        entry("ended", pl.String, "", "never-started (no media either way), one-way-only (one side never sent any), one-way-stopped (one side stopped 5 s or more before the other), rtcp-bye, still-running-at-end (media within the last 5 s of the capture) or both-silent"),
        entry("one_way", pl.Boolean, "", "one-way-only or one-way-stopped"),
        entry("bye_frame", pl.Int64, "frame", "last RTCP BYE in the clear", "RFC 3550 6.6", role="bye"),
    ),
)

FLOW_CALL: Final[tuple[Column, ...]] = (
    entry("stun_requests", pl.Int64, "packets", "STUN requests of the client, those sent again included; null without STUN, as the next three", "RFC 8489 6.1"),
    entry("stun_answered", pl.Int64, "packets", "its transactions with a success or an error response"),
    entry("stun_unanswered", pl.Int64, "packets", "its transactions without"),
    entry("whatsapp_stun", pl.Int64, "packets", "STUN of WhatsApp's own make, both ways"),
    entry("rtp_packets_to_server", pl.Int64, "packets", "RTP or SRTP packets sent by the client; null without media either way, as all that follow", "RFC 3550"),
    entry("rtp_packets_to_client", pl.Int64, "packets", "the same of the server"),
    entry("rtp_loss_to_server", pl.Float64, "", "share of the client's sequence numbers that never came, 0 to 1", "RFC 3550 A.3"),
    entry("rtp_loss_to_client", pl.Float64, "", "the same of the server"),
    entry("media_ended", pl.String, "", "how the media ended: one-way-only, one-way-stopped, rtcp-bye, still-running-at-end or both-silent (see the call table)"),
    entry("first_media_frame", pl.Int64, "frame", "first media packet of either side", role="media"),
    entry("last_media_frame", pl.Int64, "frame", "last one", role="media"),
    entry("paced_to_server_ms", pl.Float64, "ms", "whole seconds of the clock in which the client sent 10 to 200 datagrams, the pace of voice whatever is in them; its first 50 are not counted; null with fewer, as the next two"),
    entry("active_to_server_ms", pl.Float64, "ms", "seconds in which it sent any"),
    entry("datagram_size_to_server", pl.Int64, "bytes", "median payload of these datagrams, rounded up to a multiple of 64"),
    entry("paced_to_client_ms", pl.Float64, "ms", "whole seconds of the clock in which the server sent 10 to 200 datagrams, the pace of voice whatever is in them; its first 50 are not counted; null with fewer, as the next two"),
    entry("active_to_client_ms", pl.Float64, "ms", "seconds in which it sent any"),
    entry("datagram_size_to_client", pl.Int64, "bytes", "median payload of these datagrams, rounded up to a multiple of 64"),
)
"""Columns of the flow table: what STUN and RTP tell, and how steadily datagrams come."""
# fmt: on
