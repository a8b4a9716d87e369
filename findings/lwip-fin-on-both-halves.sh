#!/bin/sh
# lwIP 2.1.3 (Debian's source package 2.1.3+dfsg1-2): data and FIN that do not fit the window are split, and both halves have
# the FIN.
#
# Guess, before it was tried here: the FIN goes with the last part, since it takes the number behind the data. Seen: a program
# writes 300 octets and closes its side, the peer's window is 100, and lwIP sends 100 octets with FIN; then 200 more with
# another FIN, behind the first one. A receiver that follows RFC 9293 section 3.10.7.4 has seen the end of the stream after
# 100 octets, and acknowledges it. It was met where captures of lwIP on slow paths were judged: their receivers had
# a clean close and a short file.
#
# Needs apt-get with Debian 12's sources, a C compiler and python3. No network but the download. Exit code 0 if it is as
# described, 1 if that has changed, 4 if something is missing.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
mkdir -p parts lists/partial
for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources; do
    [ ! -f "$file" ] || sed 's/^deb /deb-src /; s/^Types: .*/Types: deb-src/' "$file" >"parts/$(basename "$file")"
done
set -- -q -o Dir::Etc::SourceList=/dev/null -o "Dir::Etc::SourceParts=$work/parts" -o "Dir::State::Lists=$work/lists"
{ apt-get "$@" update && apt-get "$@" source --download-only lwip=2.1.3+dfsg1-2; } >apt.log 2>&1 ||
    { echo "cannot download the source of lwIP" >&2; exit 4; }
mkdir lwip
tar -xf lwip_2.1.3+dfsg1.orig.tar.xz -C lwip --strip-components=1
grep -E '^#define LWIP_VERSION_(MAJOR|MINOR|REVISION)' lwip/src/include/lwip/init.h

mkdir include
cat >include/lwipopts.h <<'OPTIONS'
#define NO_SYS 1
#define SYS_LIGHTWEIGHT_PROT 0
#define LWIP_SOCKET 0
#define LWIP_NETCONN 0
#define LWIP_ARP 0
#define MEM_ALIGNMENT 8
#define MEM_SIZE 65536
#define TCP_MSS 1000
#define CHECKSUM_CHECK_IP 0
#define CHECKSUM_CHECK_TCP 0
OPTIONS
mkdir include/arch
echo '#include <stdlib.h>' >include/arch/cc.h
cat >close.c <<'PROGRAM'
/* The peer is played by hand: it answers with segments of 40 octets. */
#include <stdio.h>
#include <string.h>
#include "lwip/init.h"
#include "lwip/netif.h"
#include "lwip/tcp.h"
#include "lwip/timeouts.h"

static u32_t milliseconds, isn;
static struct netif wire;

u32_t sys_now(void) { return milliseconds; }

static void pass(u32_t time)
{
    while (time--) {
        milliseconds++;
        sys_check_timeouts();
    }
}

static u32_t number(const u8_t *at) { return (u32_t)at[0] << 24 | at[1] << 16 | at[2] << 8 | at[3]; }

static void put(u8_t *at, u32_t value)
{
    for (int i = 3; i >= 0; i--, value >>= 8)
        at[i] = (u8_t)value;
}

static err_t sent(struct netif *on, struct pbuf *packet, const ip4_addr_t *to)
{
    u8_t octets[1500];
    int size = pbuf_copy_partial(packet, octets, sizeof octets, 0) - 20 - (octets[32] >> 4) * 4;
    (void)on, (void)to;
    if (octets[33] & 2)
        isn = number(octets + 24);
    printf("seq %u, %d octets%s\n", number(octets + 24) - isn, size, octets[33] & 1 ? ", FIN" : "");
    return ERR_OK;
}

static err_t begin(struct netif *on)
{
    on->output = sent;
    on->mtu = 1500;
    on->flags = NETIF_FLAG_UP | NETIF_FLAG_LINK_UP;
    return ERR_OK;
}

static void answer(u8_t flags, u32_t seq, u32_t ack, u16_t window)
{
    u8_t octets[40] = {0x45, [3] = 40, [8] = 64, 6, [12] = 192, 0, 2, 2, 192, 0, 2, 1, 0, 80, 0, 99};
    struct pbuf *packet = pbuf_alloc(PBUF_LINK, sizeof octets, PBUF_RAM);
    put(octets + 24, seq);
    put(octets + 28, isn + ack);
    octets[32] = 0x50;
    octets[33] = flags;
    octets[34] = window >> 8;
    octets[35] = window & 255;
    pbuf_take(packet, octets, sizeof octets);
    wire.input(packet, &wire);
}

static err_t connected(void *argument, struct tcp_pcb *connection, err_t error)
{
    (void)argument, (void)connection, (void)error;
    return ERR_OK;
}

int main(void)
{
    static const char data[300];
    ip4_addr_t own, mask, gateway;
    ip_addr_t peer;
    struct tcp_pcb *connection;
    lwip_init();
    IP4_ADDR(&own, 192, 0, 2, 1);
    IP4_ADDR(&mask, 255, 255, 255, 0);
    IP4_ADDR(&gateway, 0, 0, 0, 0);
    IP_ADDR4(&peer, 192, 0, 2, 2);
    netif_set_default(netif_add(&wire, &own, &mask, &gateway, NULL, begin, ip_input));
    netif_set_up(&wire);
    connection = tcp_new();
    tcp_bind(connection, IP_ADDR_ANY, 99);
    tcp_connect(connection, &peer, 80, connected);
    answer(0x12, 1000, 1, 1000); /* SYN ACK */
    tcp_write(connection, data, sizeof data, TCP_WRITE_FLAG_COPY);
    tcp_output(connection);
    pass(10);
    answer(0x10, 1001, 301, 100); /* all has come, and the window is 100 now */
    puts("300 octets more, and the end:");
    tcp_write(connection, data, sizeof data, TCP_WRITE_FLAG_COPY);
    tcp_shutdown(connection, 0, 1);
    tcp_output(connection);
    pass(5000);
    answer(0x10, 1001, 402, 1000); /* 100 octets and the FIN have come: nothing can follow */
    puts("after the ACK of 100 octets and the FIN:");
    pass(3000);
    return 0;
}
PROGRAM
cc -w -Iinclude -Ilwip/src/include -o close close.c lwip/src/core/*.c lwip/src/core/ipv4/*.c
./close | tee seen
python3 - <<'CHECK'
lines = open("seen").read().splitlines()
at, after = lines.index("300 octets more, and the end:"), lines.index("after the ACK of 100 octets and the FIN:")
halves = lines[at + 1 : after]
assert "seq 301, 100 octets, FIN" in halves, halves
assert any(line.startswith("seq 401, 200 octets, FIN") for line in lines[after:]), lines[after:]
print("as described: both halves have the FIN")
CHECK
