"""Whose hand-in it is."""

import pytest

from labkit.teach.grade.archive import Entry
from labkit.teach.grade.handins import HandIn, Matcher, _by_layout
from labkit.teach.roster import Student

STUDENTS = [
    Student("s1", 2, "s1", ("s1", "Doe", "Jane", "jane.doe@example.edu"), ("Doe", "Jane")),
    Student("s2", 3, "s2", ("s2", "van der Berg", "Jan Piet", "jp@example.edu"), ("van der Berg", "Jan Piet")),
    Student("s3", 4, "s3", ("s3", "Müller", "Zoë", "zm@example.edu"), ("Müller", "Zoë")),
    Student("s10", 5, "s10", ("s10", "Lee", "Kim", "kl1@example.edu"), ("Lee", "Kim")),
    Student("s11", 6, "s11", ("s11", "Lee", "Kim", "kl2@example.edu"), ("Lee", "Kim")),
]


def whose(*keys: str) -> str | None:
    return found(HandIn(keys[-1], keys))[0]


def found(handin: HandIn) -> tuple[str | None, str]:
    return Matcher(STUDENTS, [handin]).find(handin)


@pytest.mark.parametrize(
    ("key", "student"),
    [
        ("s1", "s1"),
        ("S1", "s1"),
        ("Jane Doe", "s1"),
        ("Doe, Jane", "s1"),
        ("doejane", "s1"),
        ("jane.doe@example.edu", "s1"),
        ("jane.doe", "s1"),
        ("handshake_s1", "s1"),
        ("s1-handshake (2)", "s1"),
        ("s10 second try", "s10"),
        ("vanderbergjanpiet", "s2"),
        ("Jan Piet van der Berg", "s2"),
        ("mu\u0308llerzoe\u0308", "s3"),  # decomposed, as macOS writes names
        ("Zoë Müller", "s3"),
        ("kl2", "s11"),
        ("Kim Lee", None),  # two have that name
        ("leekim", None),
        ("s1s1", None),
        ("", None),
        ("nobody", None),
        ("s12", None),
    ],
)
def test_a_key(key: str, student: str | None) -> None:
    assert whose(key) == student


def test_two_of_one_name_are_named() -> None:
    assert found(HandIn("Kim Lee", ("Kim Lee",))) == (None, "it may be that of several students: s10, s11")


def test_an_id_outranks_a_name() -> None:
    assert whose("s10", "Kim Lee") == "s10"


@pytest.mark.parametrize(
    ("names", "owners"),
    [
        (["s1.pcap", "s2.pcapng"], ["s1", "s2"]),
        (["s1/a.pcap", "s1/b.pcap"], ["s1", "s1"]),
        (["export/s1/a.pcap", "export/s2/a.pcap"], ["s1", "s2"]),
        (["s1/x/a.pcap"], ["s1"]),
        (["hand-ins/s1.pcap", "hand-ins/s2.pcap"], ["s1", "s2"]),
        (["hand-ins/s1/a.pcap"], ["s1"]),
        (["work/doejane_12_34_a.pcap", "work/leekim_13_35_a.pcap"], ["doejane (12)", "leekim (13)"]),
        (["Jane Doe_12_assignsubmission_file_/a.pcap"], ["Jane Doe (12)"]),
        (["Jane Doe_12_assignsubmission_file_a.pcap"], ["Jane Doe (12)"]),
        (["Jane Doe_12_assignsubmission_onlinetext_onlinetext.html"], ["Jane Doe (12)"]),
        (["week/Jane_Doe_12_assignsubmission_file_/x/a.pcap", "week/B_1_assignsubmission_file_/x/a.pcap"],
         ["Jane_Doe (12)", "B (1)"]),
        (["doejane_12_34_a.pcap", "leekim_LATE_13_35_a-1.pcap"], ["doejane (12)", "leekim (13)"]),
        (["s1.tar.gz"], ["s1.tar"]), (["tiny.on.pcap", "tiny.off.pcap.gz"], ["tiny.on", "tiny.off"]), (["s1.docx"], ["s1"]),
        (["s1_1_2_notes.pcap", "s2.pcap", "s3.pcap"], ["s1_1_2_notes", "s2", "s3"]),
    ],
)  # fmt: skip
def test_layouts(names: list[str], owners: list[str]) -> None:
    entries = [Entry(tuple(name.split("/")), lambda: b"") for name in names]
    assert [each.owner for each in _by_layout(entries, "hand-ins.zip")] == owners
