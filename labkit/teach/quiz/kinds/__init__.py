"""The kinds of questions. Each module here has some of them in its table KINDS; nothing else lists them.

A kind's function takes a conversation and yields the questions that it allows, with answers that follow from its packets.
"""

from functools import cache
from importlib import import_module

from labkit.errors import UsageError
from labkit.i18n import _, nearest
from labkit.modules import modules_in
from labkit.teach.quiz.question import Kind


@cache
def kinds() -> dict[str, Kind]:
    """All kinds by name, in the order of the alphabet."""
    modules = (import_module(f"{__name__}.{name}") for name in modules_in(__path__))
    found = {each.name: each for module in modules for each in module.KINDS}
    return dict(sorted(found.items()))


def find(name: str) -> Kind:
    """The kind with a name; UsageError if there is none."""
    known = kinds()
    if name not in known:
        text = _("unknown kind of question '{name}'; 'labkit quiz --list-kinds' lists them").format(name=name)
        raise UsageError(text + nearest(name, known))
    return known[name]
