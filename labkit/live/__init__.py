"""Conversations on a wire: the lab's namespaces, packet sockets, and what drives an `Endpoint` against a real TCP.

`system` and `namespace` speak to Linux, `lab` makes the two ends and the wire between them, `link` is a packet socket,
`neighbours` answers ARP and neighbour solicitation. Nothing is sent that `guard` has not let through. Times are
nanoseconds of a monotonic clock, unless they are those of a capture.
"""
