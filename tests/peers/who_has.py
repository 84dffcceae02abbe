#!/usr/bin/env python3
"""Asks all the time who has an address, and writes down who says so.

who_has.py DEVICE OUR4 ADDRESS4 OUR6 ADDRESS6

Each 20 ms one ARP request and one neighbour solicitation; a line for each answer: milliseconds since 1970, `4` or `6`, `answer` or `told` (nobody
had asked: gratuitous ARP, unsolicited neighbour advertisement), the card. Ends with its standard input.
"""
import ipaddress, select, socket, struct, sys, time

device, our4, want4, our6, want6 = sys.argv[1:6]
our4, want4 = (ipaddress.IPv4Address(a).packed for a in (our4, want4))
our6, want6 = (ipaddress.IPv6Address(a).packed for a in (our6, want6))
wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
wire.bind((device, 0))
mac = wire.getsockname()[4]


def arp():
    return b"\xff" * 6 + mac + b"\x08\x06" + struct.pack("!HHBBH", 1, 0x0800, 6, 4, 1) + mac + our4 + b"\0" * 6 + want4


def solicitation():
    group = bytes.fromhex("ff0200000000000000000001ff") + want6[13:]
    body = struct.pack("!BBHI", 135, 0, 0, 0) + want6 + b"\x01\x01" + mac
    pseudo = our6 + group + struct.pack("!II", len(body), 58) + body
    total = sum(struct.unpack("!%dH" % (len(pseudo) // 2), pseudo))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    body = body[:2] + struct.pack("!H", ~total & 0xFFFF) + body[4:]
    head = struct.pack("!IHBB", 0x60000000, len(body), 58, 255) + our6 + group
    return b"\x33\x33" + group[12:] + mac + b"\x86\xdd" + head + body


def heard(frame):
    if frame[12:14] == b"\x08\x06" and frame[28:32] == want4:
        return "4", "answer" if frame[:6] == mac else "told", frame[22:28]
    if frame[12:14] == b"\x86\xdd" and frame[20] == 58 and frame[54] == 136 and frame[62:78] == want6:
        card = frame[80:86] if frame[78:80] == b"\x02\x01" else frame[6:12]
        return "6", "answer" if frame[58] & 0x40 else "told", card
    return None


print("ready", flush=True)
due = 0
while True:
    now = time.monotonic()
    if now >= due:
        due = now + 0.02
        for frame in (arp(), solicitation()):
            try:
                wire.send(frame)
            except OSError:
                pass
    readable, _, _ = select.select([wire, sys.stdin], [], [], max(0, due - time.monotonic()))
    if sys.stdin in readable and not sys.stdin.buffer.read1(1):
        sys.exit(0)
    if wire in readable:
        frame, where = wire.recvfrom(2048)
        said = heard(frame) if where[2] != socket.PACKET_OUTGOING else None
        if said:
            family, how, card = said
            print(int(time.time() * 1000), family, how, card.hex(":"), flush=True)
