from __future__ import annotations

from forensics.crosscheck.seen import FRAMES, QUESTIONS, Seen, Subject

STREAM = Subject("tcp", 0)


def test_both_begin_with_every_question_and_no_answer():
    one, other = Seen(), Seen()
    assert list(one.values) == list(one.frames) == list(QUESTIONS)
    one.count("tcp_streams", STREAM, 7)
    assert not any(other.values.values())


def test_packets_are_counted_and_the_first_frames_kept():
    seen = Seen()
    for frame in range(1, 100):
        seen.count("tcp_streams", STREAM, frame)
        seen.count("dns_names", STREAM, frame)
    assert seen.values["tcp_streams"] == seen.values["dns_names"] == {STREAM: 99}
    assert seen.frames["tcp_streams"] == {STREAM: list(range(1, FRAMES + 1))}
    # Which of them the two programs do not share explains a difference.
    assert seen.frames["dns_names"] == {STREAM: list(range(1, 100))}


def test_several_answers_for_one_subject_are_sorted():
    seen = Seen()
    for status in ("304", "200", "200"):
        seen.join("http_status", STREAM, status)
    assert seen.values["http_status"] == {STREAM: "200|200|304"}
