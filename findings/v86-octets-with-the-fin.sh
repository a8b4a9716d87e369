#!/bin/sh
# v86 0.5.462 (npm, 2026): its network adapter takes the octets of a segment with FIN for nothing, and those behind number 2**32.
#
# Guess: a guest may send its last octets together with its FIN, as every host does that closes right after it writes, and
# its initial sequence number is arbitrary (RFC 9293). So the adapter, which plays the other end of the guest's connections, hands
# over all octets in both cases, and acknowledges them and the FIN.
# Seen: of 300 octets in three segments, the last of them with FIN, the program gets 200. The adapter acknowledges 202: the FIN, as
# if it stood where the lost octets begin. Where all 300 come in one segment with FIN, it gets none. It then sends its own
# FIN: both sides have closed, and nothing says that octets are missing. The same octets with a FIN of its own are complete.
# And where the numbers pass 2**32, all that lies behind is dropped too, however often it comes: a guest with
# the initial number 2**32 - 150 brings 200 of its 300 octets over, and the connection closes in the same way. The guest chooses that
# number by chance, so that of uploads of 100 megabytes one in forty stops.
#
# Needs node 18 or later and npm. Exit code 0 if it is as described, 1 if that has changed, 4 if something is missing.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
echo '{"private": true}' >package.json
npm install --silent --no-audit --no-fund --ignore-scripts v86@0.5.462 >npm.log 2>&1 ||
    { echo "cannot install the package" >&2; exit 4; }
cat >talk.mjs <<'TALK'
import { V86 } from "v86";

const FIN = 1, SYN = 2, RST = 4, ACK = 16;
const ROUTER = [192, 168, 86, 1], GUEST = [192, 168, 86, 100];
const print = console.log;
console.log = () => {}; // the machine has no program, and says so for each frame

const machine = new V86({
    wasm_path: "node_modules/v86/build/v86.wasm",
    autostart: false,
    net_device: { type: "virtio", relay_url: "fetch" },
});
await new Promise(done => machine.add_listener("emulator-ready", done));
const card = machine.bus.pair; // the side of the guest's network card

const u16 = n => [n >> 8 & 255, n & 255];
const u32 = n => [n >>> 24, n >>> 16 & 255, n >>> 8 & 255, n & 255];

function summed(octets) {
    let total = 0;
    for (let i = 0; i < octets.length; i += 2) total += octets[i] << 8 | (octets[i + 1] ?? 0);
    while (total >> 16) total = (total & 65535) + (total >> 16);
    return u16(65535 - total);
}

function send(port, seq, ack, flags, length = 0) {
    const tcp = [...u16(port), ...u16(9), ...u32(seq), ...u32(ack), 5 << 4, flags, ...u16(65535), 0, 0, 0, 0];
    tcp.push(...new Array(length).fill(65));
    tcp.splice(16, 2, ...summed([...GUEST, ...ROUTER, 0, 6, ...u16(tcp.length), ...tcp]));
    const ip = [0x45, 0, ...u16(20 + tcp.length), 0, 7, 0x40, 0, 64, 6, 0, 0, ...GUEST, ...ROUTER];
    ip.splice(10, 2, ...summed(ip));
    const ethernet = [0x52, 0x54, 0, 1, 2, 3, 2, 0, 0, 0, 0, 1, 8, 0];
    card.send("net0-send", new Uint8Array([...ethernet, ...ip, ...tcp]));
}

let answers = [], got = 0;
card.register("net0-receive", octets => {
    const view = new DataView(octets.buffer, octets.byteOffset);
    if (view.getUint16(12) === 0x800 && octets[23] === 6) {
        answers.push({ seq: view.getUint32(38), ack: view.getUint32(42), flags: octets[47] });
    }
});
machine.add_listener("tcp-connection", connection => {
    if (connection.sport !== 9) return;
    connection.on("data", data => { got += data.length; });
    connection.on("shutdown", () => connection.close());
    connection.accept();
});

let port = 40000;

// The guest sends pieces; `joined`: the last one has the FIN. Whatever is not acknowledged is sent again, three times.
function talk(isn, pieces, joined) {
    port += 1;
    answers = [];
    got = 0;
    send(port, isn, 0, SYN);
    const theirs = answers[0].seq + 1;
    let at = isn + 1;
    send(port, at, theirs, ACK);
    pieces.forEach((length, index) => {
        const last = joined && index === pieces.length - 1;
        for (let times = 0; times < (last ? 1 : 3); times++) {
            send(port, at, theirs, last ? ACK | FIN : ACK, length);
            if (answers.at(-1).ack === (at + length) % 2 ** 32) break;
        }
        at += length;
    });
    if (!joined) send(port, at, theirs, ACK | FIN);
    const closes = answers.some(each => each.flags & FIN) && !answers.some(each => each.flags & RST);
    const acked = Math.max(...answers.map(each => (each.ack - isn) | 0));
    return [got, acked, closes].join(" ");
}

const CASES = [
    ["FIN by itself", 1000, [100, 100, 100], false, "300 302 true"],
    ["FIN with the last of three", 1000, [100, 100, 100], true, "200 202 true"],
    ["FIN with all octets", 1000, [300], true, "0 2 true"],
    ["numbers below 2**32", 2 ** 32 - 1000, [100, 100, 100], false, "300 302 true"],
    ["numbers that pass 2**32", 2 ** 32 - 150, [100, 100, 100], false, "200 202 true"],
];
let same = true;
print("octets that the program got of 300, the last ack from the first number on, and whether v86 closed with FIN:");
for (const [name, isn, pieces, joined, expected] of CASES) {
    const seen = talk(isn, pieces, joined);
    print(`${name}: ${seen}`);
    same &&= seen === expected;
}
if (!same) print("changed: it is not as described");
process.exit(same ? 0 : 1);
TALK
node talk.mjs
