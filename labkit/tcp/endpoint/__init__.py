"""One side's TCP, without I/O. See `endpoint` for how it is driven, `config` for what can be chosen."""

from labkit.tcp.endpoint.config import Config
from labkit.tcp.endpoint.endpoint import Endpoint
from labkit.tcp.endpoint.signals import Notice, Outgoing

__all__ = ["Config", "Endpoint", "Notice", "Outgoing"]
