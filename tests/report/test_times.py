from __future__ import annotations

from forensics.report.times import rfc3339, to_the_ms


def test_times_as_the_rfc_writes_them():
    # date -u -d @1498903200
    assert rfc3339(1_498_903_200_123_456_789) == "2017-07-01T10:00:00.123456789Z"
    assert rfc3339(0) == "1970-01-01T00:00:00.000000000Z"
    assert to_the_ms(1_498_903_200_123_999_999) == "2017-07-01 10:00:00.123"


def test_the_end_of_64_bit_time_is_a_date():
    # date -u -d @9223372036
    assert rfc3339(2**63 - 1) == "2262-04-11T23:47:16.854775807Z"
