"""The throughput over time: octets that were sent for the first time."""

from labkit.i18n import N_
from labkit.report.draw._curve_picture import formats
from labkit.report.draw._series import throughput

SUMMARY = N_("payload per second over time, without what was sent again")

STREAMS = True

FORMATS = formats(N_("throughput"), throughput, N_("Mbit/s"), 125_000.0, steps=True)
