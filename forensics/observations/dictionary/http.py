"""The http table."""

from __future__ import annotations

from typing import Final

import polars as pl

from forensics.observations.dictionary.entry import INTS, Column, Table, entry, identity

# One line an entry: a formatter would make five of each.
# fmt: off
HTTP: Final = Table(
    "http",
    "one HTTP/1 request and all that answered it",
    (
        *identity(),
        # the request
        entry("request_frame", pl.Int64, "frame", "first frame of the request; null where a response came without one", role="http_request"),
        entry("request_frames", INTS, "frame", "frames that carried its head, retransmissions not counted (the first 16)", role="http_request"),
        entry("request_time", pl.Int64, "ns", "of the frame that completed its head, since the epoch"),
        entry("method", pl.String, "", "GET, POST, CONNECT…", "RFC 9110 9, Wireshark http.request.method"),
        entry("host", pl.String, "", "Host field, as it was sent", "RFC 9110 7.2, Wireshark http.host"),
        entry("uri", pl.String, "", "request target, as it was sent (the first 1,024 characters)", "RFC 9112 3.2, Wireshark http.request.uri"),
        entry("user_agent", pl.String, "", "User-Agent field", "RFC 9110 10.1.5, Wireshark http.user_agent"),
        # the response whose bytes came first
        entry("response_count", pl.Int64, "", "responses to it: more than one when different bytes came for the same places of the stream and both begin as a response does; 1xx ones not counted"),
        entry("responses_differ", pl.Boolean, "", "more than one: content was injected, or replaced on its way"),
        entry("unsolicited", pl.Boolean, "", "a response without a request, though nothing of the client's side is missing"),
        entry("response_frame", pl.Int64, "frame", "first frame of the response", role="http_response"),
        entry("response_frames", INTS, "frame", "frames of its head and the beginning of its body (the first 16)", role="http_response"),
        entry("response_delay_ms", pl.Float64, "ms", "from the end of the request's head to that frame"),
        entry("interim_status", INTS, "", "status of the 1xx responses before it", "RFC 9110 15.2"),
        entry("status", pl.Int64, "", "status code", "RFC 9110 15, Wireshark http.response.code"),
        entry("reason", pl.String, "", "its phrase"),
        entry("location", pl.String, "", "Location field (the first 1,024 characters)", "RFC 9110 10.2.2, Wireshark http.location"),
        entry("http_server", pl.String, "", "Server field", "RFC 9110 10.2.4, Wireshark http.server"),
        entry("content_type", pl.String, "", "Content-Type field", "RFC 9110 8.3"),
        entry("content_length", pl.Int64, "bytes", "Content-Length field, where it is one number", "RFC 9110 8.6"),
        entry("content_encoding", pl.String, "", "Content-Encoding field", "RFC 9110 8.4"),
        entry("chunked", pl.Boolean, "", "the body is sent in chunks", "RFC 9112 7.1"),
        entry("body_bytes", pl.Int64, "bytes", "bytes of the body that went by, sizes of chunks not counted"),
        entry("response_complete", pl.Boolean, "", "the whole response went by, and the capture holds what was read of it"),
        entry("body_sha256", pl.String, "", "SHA-256 of the first 4,096 bytes of the body, chunks put together; null without a body"),
        entry("body_start", pl.String, "", "beginning of a textual body (1,024 characters), gzip and deflate undone"),
        entry("title", pl.String, "", "title of the HTML page, where it lies in the first 4,096 bytes"),
        # its first packet
        entry("response_ttl", pl.Int64, "", "IP TTL of its first frame"),
        entry("response_ipid", pl.Int64, "", "IP-ID of its first frame; null for IPv6"),
        entry("response_window", pl.Int64, "", "TCP window of its first frame, unscaled"),
        entry("response_flags", pl.Int64, "", "TCP flags of its first frame (1 FIN, 8 PSH, 16 ACK)", "RFC 9293 3.1"),
        # what else claimed to answer
        entry("differing_frames", INTS, "frame", "frames that hold other bytes for places of the response (the first 16)", role="differing_response"),
        entry("other_frame", pl.Int64, "frame", "first frame of the second response", role="other_response"),
        entry("other_delay_ms", pl.Float64, "ms", "from the end of the request's head to that frame"),
        entry("other_status", pl.Int64, "", "its status code"),
        entry("other_location", pl.String, "", "its Location"),
        entry("other_http_server", pl.String, "", "its Server field"),
        entry("other_title", pl.String, "", "its title"),
        entry("other_body_sha256", pl.String, "", "as body_sha256"),
        entry("other_body_start", pl.String, "", "as body_start"),
        entry("other_ttl", pl.Int64, "", "IP TTL of its first frame"),
        entry("other_ipid", pl.Int64, "", "IP-ID of its first frame; null for IPv6"),
        entry("other_window", pl.Int64, "", "TCP window of its first frame, unscaled"),
        entry("other_flags", pl.Int64, "", "TCP flags of its first frame"),
    ),
)

FLOW_NAMES: Final = {
    "http_request_frame": "request_frame",
    "http_method": "method",
    "http_uri": "uri",
    "http_response_frame": "response_frame",
    "http_response_delay_ms": "response_delay_ms",
    "http_status": "status",
    "http_location": "location",
    "http_title": "title",
    "http_body_start": "body_start",
    "http_response_ttl": "response_ttl",
    "http_response_window": "response_window",
    "http_response_flags": "response_flags",
    "http_responses_differ": "responses_differ",
    "http_unsolicited": "unsolicited",
    "http_other_frame": "other_frame",
    "http_other_status": "other_status",
    "http_other_location": "other_location",
    "http_other_title": "other_title",
    "http_other_ttl": "other_ttl",
}
"""Columns of the flow table that repeat one of the http table, for one of its rows."""

FLOW_HTTP: Final[tuple[Column, ...]] = (
    entry("http_requests", pl.Int64, "", "HTTP/1 requests of the flow; null where it is no HTTP/1. The columns below tell of one exchange: the first whose responses differ, else the last when it was not answered, else the first"),
    entry("http_responses", pl.Int64, "", "requests (and orphaned responses) with a response"),
    entry("http_host", pl.String, "", "Host of that request, lower case, without port", "RFC 9110 7.2, Wireshark http.host"),
    *(
        entry(name, column.dtype, column.unit, f"{of_table} of the http table: {column.meaning}", column.source, column.role)
        for name, of_table in FLOW_NAMES.items()
        for column in (HTTP.column(of_table),)
    ),
)
"""Columns of the flow table: what HTTP/1 tells."""
# fmt: on
