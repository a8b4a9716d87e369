"""A scenario on a wire: lab namespaces, packet sockets, and `Endpoint` against a real TCP.

`system` and `namespace` call Linux, `lab` builds the client, the server and the wire, `link` is a packet socket, and
`neighbours` answers ARP and neighbour solicitation. `guard` checks every frame before it leaves. Times are nanoseconds of
a monotonic clock; capture times are nanoseconds since 1970.
"""
