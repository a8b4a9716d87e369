"""One side's TCP, without I/O: `endpoint` says how to drive it, `config` how to configure it."""

from labkit.tcp.endpoint.config import Config
from labkit.tcp.endpoint.endpoint import Endpoint
from labkit.tcp.endpoint.signals import Notice, Outgoing

__all__ = ["Config", "Endpoint", "Notice", "Outgoing"]
