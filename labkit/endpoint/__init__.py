"""One side's TCP, without I/O. See `endpoint` for how it is driven, `config` for what can be chosen."""

from labkit.endpoint.config import Config
from labkit.endpoint.endpoint import Endpoint
from labkit.endpoint.signals import Notice, Outgoing

__all__ = ["Config", "Endpoint", "Notice", "Outgoing"]
