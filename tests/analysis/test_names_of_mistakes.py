"""Which rule names a mistake of a complete conversation: the first one that fits the entry."""

from typing import Any

import pytest

from labkit.analysis.catalogue import collect
from labkit.analysis.entry import CLIENT, Entry, Shown
from labkit.analysis.rule import Scope
from labkit.tcp.segment import ACK, FIN, PSH, RST, SYN
from labkit.tcp.seq import add

RULES = [rule for rule in collect() if rule.scope == Scope.LEDGER]
N = 2**32 - 5
"""Where the numbers lie: 5 more wraps."""


def at(offset: int) -> int:
    return add(N, offset)


def shown(ctl: int = ACK, length: int = 0, payload: bytes = b"") -> Shown:
    return Shown(1, 0, CLIENT, at(0), at(60), ctl, length or len(payload), payload)


def named(field: str, ctl: int = ACK, **facts: Any) -> str:
    """The predicate of the rule that names an entry about a segment with these control bits."""
    entry = Entry(shown(ctl), field, **facts)
    return next(rule.predicate.__name__ for rule in RULES if rule.predicate(entry))


FIVE = shown(PSH | ACK, 5)
EIGHT = shown(PSH | ACK, 8)
TEXTS = {
    "aéb": shown(PSH | ACK, payload="aéb".encode()),
    "é": shown(PSH | ACK, payload="é".encode()),
    "a CR LF b": shown(PSH | ACK, payload=b"a\r\nb"),
    "CR LF": shown(PSH | ACK, payload=b"\r\n"),
    "no text": shown(PSH | ACK, payload=b"\xff\xfe\xfd"),
    "a part of aéb": shown(PSH | ACK, 4, "aé".encode()),
}

SEQ: list[tuple[str, dict[str, Any]]] = [
    ("third_segment_repeats_the_isn", {"off": -1, "at_syn": True, "own": shown(SYN)}),
    ("skips_numbers", {"off": 3, "own": shown(SYN)}),
    ("syn_or_fin_takes_a_number", {"off": -1, "at_syn": True, "own": FIVE}),
    ("syn_or_fin_takes_a_number", {"off": -1, "at_syn": True}),
    ("syn_or_fin_takes_a_number", {"off": -1, "at_fin": True, "own": shown(FIN | ACK)}),
    ("counts_its_pure_ack", {"off": 1, "own": shown()}),
    ("skips_numbers", {"off": 2, "own": shown()}),
    ("skips_numbers", {"off": 1, "own": FIVE}),
    ("skips_numbers", {"off": 1}),
    ("does_not_count_its_data", {"off": -5, "own": FIVE}),
    ("does_not_count_its_data", {"off": -1, "own": shown(length=1)}),
    ("falls_behind", {"off": -4, "own": FIVE}),
    ("falls_behind", {"off": -5}),
    ("falls_behind", {"off": -1, "own": shown()}),
    ("counts_the_peers_data", {"off": 3, "own": FIVE, "peer": EIGHT}),
    ("counts_the_peers_data", {"off": -3, "own": EIGHT, "peer": FIVE}),
    ("skips_numbers", {"off": 4, "own": FIVE, "peer": EIGHT}),
    ("skips_numbers", {"off": 3, "own": FIVE}),
    ("skips_numbers", {"off": 3, "peer": EIGHT}),
    ("skips_numbers", {"off": 8, "own": shown(), "peer": EIGHT}),
    ("counts_its_headers", {"off": 40, "own": FIVE}),
    ("counts_its_headers", {"off": 54, "own": FIVE}),
    ("counts_its_headers", {"off": 40, "own": shown(length=1)}),
    ("skips_numbers", {"off": 39, "own": FIVE}),
    ("skips_numbers", {"off": 53, "own": FIVE}),
    ("skips_numbers", {"off": 40, "own": shown()}),
    ("skips_numbers", {"off": 40}),
    ("fin_has_another_number", {"off": 3, "ctl": FIN | ACK}),
    ("fin_has_another_number", {"off": -3, "ctl": FIN | ACK}),
    ("reset_has_another_number", {"off": 3, "ctl": RST}),
    ("seq_and_ack_swapped", {"off": 3, "swapped": True}),
    ("number_is_relative", {"off": 3, "relative": True}),
]


@pytest.mark.parametrize(("name", "facts"), SEQ)
def test_a_wrong_seq_is_named(name: str, facts: dict[str, Any]) -> None:
    assert named("seq", **facts) == name


ACKS: list[tuple[str, dict[str, Any]]] = [
    ("syn_ack_has_another_ack", {"off": 1, "ctl": SYN | ACK}),
    ("acknowledges_what_nobody_sent", {"off": 1, "own": shown()}),
    ("acknowledges_what_nobody_sent", {"off": 3, "own": FIVE, "peer": EIGHT}),
    ("acknowledges_what_nobody_sent", {"off": 40, "own": FIVE}),
    ("acknowledges_what_nobody_sent", {"off": 3, "ctl": FIN | ACK}),
    ("takes_back_an_ack", {"off": -1}),
    ("takes_back_an_ack", {"off": -5, "own": FIVE}),
    ("takes_back_an_ack", {"off": -3, "ctl": RST | ACK}),
    # Behind the SYN is ISN + 1, unless it had data.
    ("ack_does_not_cover_the_syn", {"off": -1, "at_syn": True, "isn": at(2), "expected": at(3)}),
    ("ack_does_not_cover_the_syn", {"off": -1, "at_syn": True, "isn": at(4), "expected": 0}),
    ("ack_does_not_cover_the_syn", {"off": -1, "at_syn": True, "isn": at(2), "expected": at(3), "own": shown(SYN)}),
    ("takes_back_an_ack", {"off": -2, "at_syn": True, "isn": at(2), "expected": at(4)}),
    ("takes_back_an_ack", {"off": -1, "isn": at(2), "expected": at(3)}),
    ("acknowledges_a_fin_that_is_missing", {"off": 1, "fin_due": True}),
    ("acknowledges_too_soon", {"off": 8, "later": True}),
    ("acknowledges_headers", {"off": 40, "peer": FIVE}),
    ("acknowledges_headers", {"off": 54, "peer": FIVE}),
    ("acknowledges_what_nobody_sent", {"off": 39, "peer": FIVE}),
    ("acknowledges_what_nobody_sent", {"off": 53, "peer": FIVE}),
    # A part of a segment: three characters are four octets, and CR LF is one line end.
    ("counts_characters", {"off": -1, "inside": TEXTS["aéb"], "actual": at(3)}),
    ("leaves_out_the_end_of_a_segment", {"off": -2, "inside": TEXTS["aéb"], "actual": at(2)}),
    ("counts_characters", {"off": -1, "inside": TEXTS["é"], "actual": at(1)}),
    ("counts_line_ends_as_one", {"off": -1, "inside": TEXTS["a CR LF b"], "actual": at(3)}),
    ("leaves_out_the_end_of_a_segment", {"off": -2, "inside": TEXTS["a CR LF b"], "actual": at(2)}),
    ("counts_line_ends_as_one", {"off": -1, "inside": TEXTS["CR LF"], "actual": at(1)}),
    ("leaves_out_the_end_of_a_segment", {"off": -1, "inside": TEXTS["no text"], "actual": at(2)}),
    ("leaves_out_the_end_of_a_segment", {"off": -2, "inside": TEXTS["a part of aéb"], "actual": at(2)}),
    # What is not acknowledged is the peer's last segment.
    ("fin_is_not_counted", {"fault": "never", "peer": shown(FIN | ACK)}),
    ("fin_is_not_counted", {"fault": "silent", "peer": shown(FIN | ACK)}),
    ("fin_is_not_counted", {"fault": "never", "peer": shown(FIN | ACK, 5), "actual": at(5)}),
    ("data_is_never_acknowledged", {"fault": "never", "peer": shown(FIN | ACK, 5), "actual": at(4)}),
    ("data_is_never_acknowledged", {"fault": "never", "peer": shown(FIN | ACK, 5), "actual": at(6)}),
    ("data_is_never_acknowledged", {"fault": "never", "peer": FIVE}),
    ("data_is_never_acknowledged", {"fault": "never", "peer": FIVE, "inside": FIVE, "actual": at(4)}),
    ("data_is_never_acknowledged", {"fault": "never"}),
    ("acknowledges_nothing", {"fault": "silent", "peer": FIVE}),
    ("acknowledges_nothing", {"fault": "silent"}),
    ("acknowledges_too_late", {"fault": "late", "peer": shown(FIN | ACK)}),
    ("acknowledges_too_late", {"fault": "late", "inside": FIVE, "actual": at(4), "off": -1}),
]


@pytest.mark.parametrize(("name", "facts"), ACKS)
def test_a_wrong_ack_is_named(name: str, facts: dict[str, Any]) -> None:
    assert named("ack", **facts) == name


@pytest.mark.parametrize(
    ("name", "facts"),
    [
        ("skips_numbers", {}),
        ("follows_from_a_mistake", {"cause": Entry(FIVE, "seq", off=3)}),
        ("repeats_a_mistake", {"cause": Entry(FIVE, "seq", off=3), "repeats": True}),
    ],
)
def test_what_follows_from_a_mistake_is_none_of_its_own(name: str, facts: dict[str, Any]) -> None:
    assert named("seq", off=3, **facts) == name


@pytest.mark.parametrize(
    ("field", "fault", "facts", "name"),
    [
        ("port", "port", {}, "wrong_port_or_address"),
        ("missing", "syn", {}, "syn_is_missing"),
        ("missing", "syn-ack", {}, "syn_ack_is_missing"),
        ("missing", "syn-ack", {"peer": shown(SYN | ACK)}, "syn_ack_comes_too_late"),
        ("missing", "third-ack", {}, "third_segment_is_missing"),
        ("flags", "syn-bit", {}, "syn_bit_is_missing"),
        ("flags", "ack-bit", {}, "ack_bit_is_missing_in_the_answer"),
        ("flags", "opens", {}, "opens_with_syn_ack"),
        ("flags", "syn-inside", {}, "syn_inside_the_connection"),
        ("flags", "kernel", {}, "continues_after_the_kernels_reset"),
        ("flags", "resets", {}, "goes_on_after_its_reset"),
        ("length", "after-fin", {}, "data_after_the_fin"),
        ("flags", "stray-fin", {}, "fin_that_ends_nothing"),
        ("flags", "stray-rst", {}, "reset_that_ends_nothing"),
        ("seq", "second-end", {}, "second_fin_with_another_number"),
        ("seq", "same-isn", {}, "isns_are_equal"),
        ("length", "third-data", {}, "third_segment_carries_data"),
        ("ack", "refused", {}, "ack_is_refused_in_syn_sent"),
        ("missing", "last-ack", {}, "last_ack_is_missing"),
        ("missing", "second-fin", {}, "second_fin_is_missing"),
    ],
)
def test_what_is_no_number_is_named_by_its_fault(field: str, fault: str, facts: dict[str, Any], name: str) -> None:
    assert named(field, fault=fault, **facts) == name
