"""Simulate the conversations of a scenario and merge them into one trace.

The order is `setup` (who talks, when, and with which seed), `play` (each conversation alone, on its own clock), and then the
merge of all captured segments in the order of time.
"""

import gc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from operator import itemgetter

from labkit.build.flight import Captured
from labkit.build.flown import Flown
from labkit.build.scenario import setup
from labkit.build.scenario.model import ScenarioModel
from labkit.build.scenario.play import MAX_EVENTS, Played, Player
from labkit.build.scenario.setup import Parts
from labkit.build.scenario.source import Source
from labkit.build.trace import Connection, Record, Trace
from labkit.i18n import _


def play(model: ScenarioModel, source: Source, seed: int) -> Trace:
    """The trace of a scenario. The same seed always gives the same trace."""
    with _without_collecting():
        return _play(model, source, seed)


@contextmanager
def _without_collecting() -> Iterator[None]:
    """Run without Python's cycle collector. A conversation makes many objects that stay and are in no cycle; the collector
    would search them repeatedly, which takes a third of the time.
    """
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            # Move the new objects to the old generation, so that the next collection does not search them all.
            gc.freeze()
            gc.unfreeze()
            gc.enable()


def _play(model: ScenarioModel, source: Source, seed: int) -> Trace:
    conversations: list[tuple[Parts, Played]] = []
    idents: dict[str, int] = {}
    events = 0
    for parts in setup.conversations(model, seed):
        addresses = [parts.hosts[side].address for side in ("client", "server")]
        used = idents.get(addresses[0], 0), idents.get(addresses[1], 0)
        played = Player(model, source, replace(parts, idents=used)).play()
        idents |= zip(addresses, played.idents, strict=True)
        conversations.append((parts, played))
        events += played.events
        if events > MAX_EVENTS:
            raise source.error(
                ("conversations", "count"),
                _("the conversations do not end within {max_events} events").format(max_events=MAX_EVENTS),
            )
    return _trace(model, seed, conversations)


def play_one(model: ScenarioModel, source: Source, parts: Parts) -> Trace:
    """The trace of one conversation alone."""
    return _trace(model, parts.secret, [(parts, Player(model, source, parts).play())])


def _trace(model: ScenarioModel, seed: int, conversations: list[tuple[Parts, Played]]) -> Trace:
    connections, records = _merged(model, conversations)
    return Trace(
        name=model.name,
        summary=model.summary,
        seed=seed,
        start=model.start,
        connections=connections,
        records=records,
        framing=setup.framing(model),
        hops=model.path.hops,
    )


def _merged(
    model: ScenarioModel, conversations: list[tuple[Parts, Played]]
) -> tuple[tuple[Connection, ...], Sequence[Record]]:
    """All connections, and all records in the order of time."""
    connections: list[Connection] = []
    found: list[Captured] = []
    for parts, played in conversations:
        base, begin = len(connections), parts.begin
        connections += played.connections
        if base == 0 and begin == 0:
            found = played.captured
            continue
        for time, tap, flight in played.captured:
            flight.base = base
            found.append((begin + time, tap, flight))
    if len(conversations) > 1:
        found.sort(key=itemgetter(0))
    return tuple(connections), Flown(found, model.scripted)
