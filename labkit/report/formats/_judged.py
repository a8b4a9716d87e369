"""How a capture was judged, in the words and keys that several formats share."""

from labkit.analysis.limits import Limit
from labkit.analysis.verdict import Verdict
from labkit.i18n import N_

COMPLETENESS = {
    "option": N_("judged as complete: --complete or the configuration says that no packet is missing"),
    "profile": N_("judged as complete: the profile document assumes that no packet is missing"),
    "constant": N_("judged as complete: all packets have the same IP identification, as packets written by hand"),
    "lock-step": N_("judged as complete: it opens and closes, and nothing is sent again"),
    "counted": N_("judged as complete: the IP identifications count without a gap"),
    "some-counted": N_(
        "some conversations judged as complete: they show that no packet is missing; in the others, missing "
        "packets may explain a gap"
    ),
    "said-partial": N_("judged as partial: --partial or the configuration says that packets are missing"),
    "no-evidence": N_(
        "judged with care: nothing shows that the capture is complete, so missing packets may explain a gap"
    ),
}
"""Why a capture was judged as complete or not, by the second value of `completeness`."""


def completeness(verdict: Verdict) -> tuple[str, str]:
    """What was assumed: `complete`, `partly-complete`, `partial` or `auto`; and why, as a key of COMPLETENESS."""
    said = verdict.completeness
    if said == "complete":
        return said, "profile" if verdict.assumed else "option"
    if said in ("constant", "counted", "lock-step"):
        return "complete", said
    return said, {"partly-complete": "some-counted", "partial": "said-partial"}.get(said, "no-evidence")


def limit_text(limit: Limit, verdict: Verdict) -> str:
    """What a limit says; with its kind if it makes the capture fail."""
    return f"{limit.message} [--strict={limit.kind}]" if limit in verdict.failing_limits() else limit.message
