"""The names of link types."""

import pytest

from labkit.packet.decode.walk import LINK_TYPES
from labkit.packet.linktype import ETHERNET, OTHERS, RAW, title


@pytest.mark.parametrize(
    ("number", "expected"),
    [(1, "1 (ETHERNET)"), (12, "12 (RAW_BSD)"), (189, "189 (USB_LINUX)"), (60_000, "60000")],
)
def test_title(number, expected):
    assert title(number) == expected


def test_the_link_types_that_labkit_writes_are_those_that_it_reads():
    assert (LINK_TYPES[ETHERNET], LINK_TYPES[RAW]) == ("ETHERNET", "RAW")


def test_no_link_type_is_both_read_and_named_as_one_that_is_not():
    assert not LINK_TYPES.keys() & OTHERS.keys()
