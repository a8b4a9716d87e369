"""Questions about the first mistake: the packet, the field, the rule, and the right number."""

import re
from collections.abc import Iterator

from labkit.analysis.catalogue import collect
from labkit.analysis.finding import Finding
from labkit.analysis.rule import Rule
from labkit.analysis.severity import RFC9293
from labkit.i18n import N_, _
from labkit.teach.quiz.kinds.numbers import packet, sum_of
from labkit.teach.quiz.question import Kind, Proof, Question, asked
from labkit.teach.quiz.subject import Step, Talk

FIELDS = {"seq": "tcp.seq", "ack": "tcp.ack"}
"""The fields that are asked about, as Wireshark calls them."""


def _mistake(talk: Talk) -> tuple[Finding, Step, Proof] | None:
    """The first mistake, its packet, and the proof that it holds the wrong number."""
    found = talk.mistake
    if found is None or found.field not in FIELDS or found.actual is None or not talk.whole:
        return None
    step = next((each for each in talk.steps if each.number == found.packet), None)
    if step is None:
        return None
    number = talk.seq(step) if found.field == "seq" else talk.ack(step)
    raw = step.row.seq if found.field == "seq" else step.row.ack
    if raw != found.actual or number < 0:
        return None
    return found, step, Proof(packet(step), FIELDS[found.field], str(number))


def _wrong_packet(talk: Talk) -> Iterator[Question]:
    made = _mistake(talk)
    if made is None:
        return
    found, step, proof = made
    behind = [each for each in talk.steps if each.number > step.number]
    earlier = [each for each in talk.steps if each.number < step.number]
    wrong = [(each.number, _("it comes after the mistake")) for each in behind[:1]]
    wrong += [(each.number, _("its numbers are right")) for each in earlier[:-3:-1]]
    stem = _("Which is the first packet with a number that is against the rules of TCP?")
    if not talk.alone:
        stem = _(
            "Which is the first packet between the {client} and the {server} with a number that is against the rules?"
        )
        stem = stem.format(client=talk.name(0), server=talk.name(1))
    yield from asked("wrong-packet", talk, step.number, stem, (step.number, found.message), wrong, proof)


def _wrong_field(talk: Talk) -> Iterator[Question]:
    made = _mistake(talk)
    if made is None:
        return
    found, step, proof = made
    others = {
        "seq": _("its sequence number follows from what its sender sent before"),
        "ack": _("it acknowledges what has arrived"),
        "window": _("a window may be of any size"),
    }
    wrong = [(name, why) for name, why in others.items() if name != found.field]
    stem = _("A number of packet {n} is against the rules of TCP. Which field holds it?").format(n=step.number)
    yield from asked("wrong-field", talk, step.number, stem, (found.field, found.message), wrong, proof)


def _right_number(talk: Talk) -> Iterator[Question]:
    made = _mistake(talk)
    if made is None:
        return
    found, step, _proof = made
    side = step.side if found.field == "seq" else step.peer
    source = step.last[side]
    # The right number must follow from one packet before, which shows it.
    if source is None or source.end != found.expected or step.nxt[side] != source.end:
        return
    right = talk.shown(source.end, side)
    actual = talk.seq(step) if found.field == "seq" else talk.ack(step)
    stem = _("The {field} of packet {n} is wrong: it is {actual}. Which number belongs there?").format(
        field=found.field, n=step.number, actual=actual
    )
    why = _("the number after packet {n}: {sum}").format(n=source.number, sum=sum_of(talk, source))
    wrong = [
        (talk.seq(source), _("this is the first number of packet {n}, not the one after it").format(n=source.number)),
        (right - 1, _("this is the last number in use, not the next one")),
        (right + 1, _("one too many: nothing has this number yet")),
    ]
    if source.length != source.row.length:
        wrong.insert(0, (talk.seq(source) + source.row.length, _("SYN or FIN is not counted: each takes one number")))
    wrong = [(number, text) for number, text in wrong if number != actual and number >= 0]
    proof = Proof(packet(source), "tcp.nxtseq", str(right))
    yield from asked("right-number", talk, step.number, stem, (right, why), wrong, proof, numbers=True)


def _rule(talk: Talk) -> Iterator[Question]:
    made = _mistake(talk)
    if made is None:
        return
    found, step, proof = made
    rules = [each for each in collect() if RFC9293 in each.profiles]
    own = next((each for each in rules if (each.code, each.name) == (found.code, found.name)), None)
    if own is None:
        return
    family = [each for each in rules if each.family == own.family and each.code != own.code]
    other = [each for each in rules if each.family != own.family and each.field == own.field]
    stem = _("Which rule does packet {n} break?").format(n=step.number)
    kept = _("packet {n} keeps this rule").format(n=step.number)
    wrong = [(_sentence(each), kept) for each in (*family[:1], *other[:1], *family[1:2])]
    right, also = (_sentence(own), found.message), (own.code, own.name)
    yield from asked("broken-rule", talk, step.number, stem, right, wrong, proof, also=also)


def _sentence(rule: Rule) -> str:
    """What a rule says, in its first sentence."""
    sentence = re.split(r"\. |。", " ".join(_(rule.explanation).split()))[0]
    return f"{rule.code}{_(': ')}{sentence.rstrip('.')}"


ERROR = N_("a wrong seq or ack; --fault puts one in")

KINDS = (
    Kind("wrong-packet", N_("the first packet that breaks a rule"), ERROR, _wrong_packet),
    Kind("wrong-field", N_("the field that is wrong"), ERROR, _wrong_field),
    Kind("right-number", N_("the right number instead of a wrong one"), ERROR, _right_number),
    Kind("broken-rule", N_("the rule that a packet breaks"), ERROR, _rule),
)
