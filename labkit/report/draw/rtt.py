"""The round-trip time over time, as the point of capture sees it."""

from labkit.i18n import N_
from labkit.report.draw._curve_picture import formats

SUMMARY = N_("time from a segment to its acknowledgement, at the point of capture")

STREAMS = True

FORMATS = formats(N_("round-trip time"), lambda direction: direction.rtt, N_("milliseconds"), 1e6, steps=False)
