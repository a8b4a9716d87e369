"""The octets in flight over time: sent and not yet acknowledged. While a sender has data, they show its congestion window.

Of a scenario, the simulated congestion window stands beside them.
"""

from labkit.i18n import N_
from labkit.report.draw._curve_picture import formats

SUMMARY = N_("bytes that were sent and not acknowledged: an estimate of the congestion window")

STREAMS = True

FORMATS = formats(
    N_("bytes in flight"),
    lambda direction: direction.flight,
    N_("bytes"),
    1.0,
    steps=True,
    beside=(N_("congestion window"), lambda direction: direction.cwnd),
)
