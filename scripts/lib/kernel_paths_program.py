"""One of the two programs of a trial (`kernel_paths`): SIDE SEED VERSION. Both draw the same plan from the seed."""

import socket
import struct
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from random import Random
from threading import Event, Thread

HOSTS = {4: ("192.0.2.1", "192.0.2.2"), 6: ("2001:db8::1", "2001:db8::2")}
PORT, CLIENT_PORT = 5000, 45678
KEEP_ALIVE = ((4, 1), (5, 1), (6, 3))
"""TCP_KEEPIDLE and TCP_KEEPINTVL in seconds, and TCP_KEEPCNT."""
WINDOW_CLAMP, FAST_OPEN = 10, 23
MSG_FASTOPEN = 0x2000_0000


@dataclass
class Plan:
    """What the two programs do on one connection."""

    steps: list[tuple[str, str, float]]
    """Side, verb, and how much or how long."""
    end: str
    """Who closes, and how."""


class Program:
    """One side."""

    def __init__(self, side: str, seed: int, version: int) -> None:
        draw = Random(seed)
        self.side, self.version = side, version
        self.fast_open, self.keep_alive = draw.random() < 0.15, draw.random() < 0.15
        self.same_port, self.refused = draw.random() < 0.3, draw.random() < 0.08
        self.segment = draw.choice([0, 0, 0, 0, 200, 536, 1000])
        self.buffer = draw.choice([0, 0, 0, 2048, 4096, 16384])
        self.clamp = draw.choice([0, 0, 0, 0, 5000])
        self.plans = [self._plan(draw) for _ in range(draw.choice([1, 1, 2, 3, 4]))]

    def _plan(self, draw: Random) -> Plan:
        verbs = ["send"] * 6 + ["sleep", "sleep", "urgent", "pause", "burst", "hurry"]
        steps = [
            (draw.choice(["client", "server"]), draw.choice(verbs), draw.random()) for _ in range(draw.randint(1, 6))
        ]
        return Plan(
            steps,
            draw.choice(["client", "server", "both", "client resets", "server resets", "client half", "server half"]),
        )

    def _socket(self) -> socket.socket:
        """A socket with the options of this trial."""
        made = socket.socket(socket.AF_INET6 if self.version == 6 else socket.AF_INET, socket.SOCK_STREAM)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if self.segment:
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, self.segment)
        if self.buffer:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self.buffer)
        if self.clamp:
            made.setsockopt(socket.IPPROTO_TCP, WINDOW_CLAMP, self.clamp)
        if self.keep_alive:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            for option, value in KEEP_ALIVE:
                made.setsockopt(socket.IPPROTO_TCP, option, value)
        return made

    def serve(self) -> None:
        """Accept one connection for each plan."""
        with self._socket() as listener:
            listener.bind((HOSTS[self.version][1], PORT))
            if self.fast_open:
                listener.setsockopt(socket.IPPROTO_TCP, FAST_OPEN, 5)
            listener.listen(5)
            listener.settimeout(6)
            print("listening", file=sys.stderr, flush=True)
            with suppress(OSError):
                for plan in self.plans:
                    self._act(listener.accept()[0], plan)

    def connect(self) -> None:
        """Make one connection for each plan."""
        host, peer = HOSTS[self.version]
        if self.refused:
            with self._socket() as refused, suppress(OSError):
                refused.connect((peer, PORT + 1))
        for plan in self.plans:
            made = self._socket()
            made.settimeout(4)
            try:
                if self.same_port:
                    made.bind((host, CLIENT_PORT))
                if self.fast_open:
                    made.sendto(b"hello fast open", MSG_FASTOPEN, (peer, PORT))
                else:
                    made.connect((peer, PORT))
            except OSError:
                made.close()
                continue
            self._act(made, plan)
            time.sleep(0.02)

    def _act(self, connection: socket.socket, plan: Plan) -> None:
        connection.settimeout(0.3)
        over, paused = Event(), [0.0]
        reader = Thread(target=_read, args=(connection, over, paused), daemon=True)
        reader.start()
        with suppress(OSError):
            for side, verb, share in plan.steps:
                if verb == "sleep":
                    time.sleep((0.001, 0.02, 0.05, 0.3, 2.4 if self.keep_alive else 1.3)[int(5 * share)])
                elif side == self.side:
                    _do(connection, verb, share, paused)
            self._end(connection, plan.end, reader)
        over.set()
        connection.close()

    def _end(self, connection: socket.socket, end: str, reader: Thread) -> None:
        who, _space, how = end.partition(" ")
        mine = who in (self.side, "both")
        if mine and how == "resets":
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        elif mine and how == "half":
            connection.shutdown(socket.SHUT_WR)
            reader.join(2)
        elif how == "half":
            reader.join(1)
            connection.send(b"y" * 2500)
        elif not mine:
            reader.join(2)


def _do(connection: socket.socket, verb: str, share: float, paused: list[float]) -> None:
    if verb == "send":
        data = bytes(range(256)) * 600
        left = data[: (1, 10, 100, 500, 1460, 3000, 10_000, 40_000, 150_000)[int(9 * share)]]
        until = time.monotonic() + 3
        while left and time.monotonic() < until:
            with suppress(TimeoutError):
                left = left[connection.send(left) :]
    elif verb == "urgent":
        connection.send(b"!", socket.MSG_OOB)
    elif verb == "pause":
        paused[0] = time.monotonic() + share
    elif verb == "hurry":
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    elif verb == "burst":
        for _ in range(2 + int(10 * share)):
            connection.send(b"x" * 37)
            time.sleep(0.003)


def _read(connection: socket.socket, over: Event, paused: list[float]) -> None:
    """Read until the peer closes, but for pauses."""
    while not over.is_set():
        if paused[0] > time.monotonic():
            time.sleep(0.02)
            continue
        try:
            if not connection.recv(20_000):
                return
        except TimeoutError:
            continue
        except OSError:
            return


if __name__ == "__main__":
    program = Program(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
    program.serve() if sys.argv[1] == "server" else program.connect()
