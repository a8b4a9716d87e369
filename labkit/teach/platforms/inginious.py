"""INGInious: a shell snippet of feedback commands, for the task's `run` script."""

from shlex import quote

from labkit.teach.grade.task import Result
from labkit.teach.platforms._text import failed, feedback_text

SUMMARY = "INGInious's feedback commands, as a shell snippet"


def render(result: Result, failure: str) -> str:
    """The commands. The platform takes messages as reStructuredText, in which a literal block is left as it is."""
    if failure:
        return f"feedback-result crash\nfeedback-grade 0\nfeedback-msg -em {quote(_literal(failed(failure)))}"
    grade = round(100 * min(1.0, result.share), 2)
    word = "success" if result.share >= 1 else "failed"
    return (
        f"feedback-result {word}\nfeedback-grade {grade:g}\nfeedback-msg -em {quote(_literal(feedback_text(result)))}"
    )


def _literal(text: str) -> str:
    return "::\n\n" + "\n".join(f"    {line}" for line in text.splitlines())
