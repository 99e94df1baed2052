"""A network of its own, in which nothing is real: every address of IPv4 and IPv6 answers on this
machine, names mean what a test says, and every packet is seen. Needs user namespaces (or root) and
`ip`; `enter()` says loudly when it cannot be had.

    world.enter()              first thing in a test program; runs it anew inside
    dns = world.Dns()          the only name server there is
    witness = world.Witness()  who was sent packets
"""
import ipaddress
import os
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import threading

INSIDE = "GLINT_FETCH_INSIDE"
# A public address, so that no packet to a name server needs an exception.
NAME_SERVER = "9.9.9.9"
HOSTS = "127.0.0.1 localhost\n::1 ip6-localhost ip6-loopback\n10.0.0.9 inhosts.test\n"


def skip(why):
    print(f"SKIPPED: no network of our own, and nothing was tested: {why}")
    sys.exit(77)


def enter():
    """Run this program in new user, network and mount namespaces; returns inside them."""
    if os.environ.get(INSIDE):
        build()
        return
    if not shutil.which("unshare") or not shutil.which("ip"):
        skip("unshare (util-linux) or ip (iproute2) is missing")
    trial = subprocess.run(["unshare", "-rnm", "ip", "link", "set", "lo", "up"], capture_output=True, text=True)
    if trial.returncode != 0:
        skip(trial.stderr.strip())
    done = subprocess.run(["unshare", "-rnm", sys.executable, "-B", *sys.argv], env={**os.environ, INSIDE: "1"})
    sys.exit(done.returncode)


def build():
    """Every address is ours, and so are the files that say what names mean."""
    # An address of its own, or what is sent to an address of IPv6 would come from ::1.
    for words in ("link set lo up", "-6 addr add 2606:4700::aaaa/128 dev lo nodad",
                  "route add local default dev lo",
                  "-6 route add local default dev lo"):
        subprocess.run(["ip", *words.split()], check=True)
    for path, text in (("/etc/resolv.conf", f"nameserver {NAME_SERVER}\nsearch pics.test\n"), ("/etc/hosts", HOSTS),
                       ("/etc/nsswitch.conf", "hosts: files dns\n")):
        with tempfile.NamedTemporaryFile("w", delete=False) as file:
            file.write(text)
        if os.path.exists(path):
            subprocess.run(["mount", "--bind", file.name, os.path.realpath(path)], check=True)
        os.unlink(file.name)


def cut_off(*networks):
    """No route leads to these any more."""
    for network in networks:
        family = "-6" if ":" in network else "-4"
        subprocess.run(["ip", family, "route", "add", "unreachable", network, "table", "local"], check=True)


class Dns:
    """Answers A and AAAA. `names[name]` is a list of addresses, a callable that gets the number of
    the question (from 1, by name and type) and gives one, or None for silence; "@name" in a list
    is an alias. What is not there does not exist."""

    def __init__(self, names):
        self.names = names
        self.asked = {}
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((NAME_SERVER, 53))
        self.listener = socket.create_server((NAME_SERVER, 53))
        threading.Thread(target=self.serve, daemon=True).start()
        threading.Thread(target=self.serve_long, daemon=True).start()

    def serve(self):
        while True:
            data, peer = self.socket.recvfrom(4096)
            reply = self.answer(data)
            if reply and len(reply) > 512:  # ask again over TCP
                reply = data[:2] + struct.pack(">HHHHH", 0x8380, 1, 0, 0, 0) + data[12:]
            if reply:
                self.socket.sendto(reply, peer)

    def serve_long(self):
        while True:
            connection, _ = self.listener.accept()
            with connection:
                while size := connection.recv(2, socket.MSG_WAITALL):
                    reply = self.answer(connection.recv(struct.unpack(">H", size)[0], socket.MSG_WAITALL))
                    connection.sendall(struct.pack(">H", len(reply)) + reply)

    def answer(self, data):
        labels, at = [], 12
        while data[at]:
            labels.append(data[at + 1:at + 1 + data[at]].decode().lower())
            at += data[at] + 1
        kind = struct.unpack(">H", data[at + 1:at + 3])[0]
        question = data[12:at + 5]
        name = ".".join(labels)
        self.asked[name, kind] = self.asked.get((name, kind), 0) + 1
        found = self.names.get(name, [])
        if callable(found):
            found = found(self.asked[name, kind])
        if found is None:
            return None
        records = b""
        n = 0
        owner = b"\xc0\x0c"
        for text in found:
            if text.startswith("@"):
                alias = b"".join(bytes([len(x)]) + x.encode() for x in text[1:].split(".")) + b"\0"
                records += owner + struct.pack(">HHIH", 5, 1, 30, len(alias)) + alias
                owner = alias
                n += 1
                continue
            ip = ipaddress.ip_address(text)
            if kind == (1 if ip.version == 4 else 28):
                records += owner + struct.pack(">HHIH", kind, 1, 30, len(ip.packed)) + ip.packed
                n += 1
        code = 0 if name in self.names else 3
        return data[:2] + struct.pack(">HHHHH", 0x8180 | code, 1, n, 0, 0) + question + records


def is_public(address):
    """Python's own judgement, which knows nothing of glint's table."""
    ip = ipaddress.ip_address(address)
    if ip.version == 6:
        return ip in ipaddress.ip_network("2000::/3") and ip.is_global and not ip.sixtofour and not ip.teredo
    return ip.is_global and not ip.is_multicast and address != "168.63.129.16"


class Witness:
    """Sees every packet, on the one interface there is."""

    def __init__(self):
        self.seen = set()
        self.n = 0
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
        self.socket.bind(("lo", 0))
        threading.Thread(target=self.watch, daemon=True).start()

    def watch(self):
        while True:
            packet = self.socket.recv(256)
            kind, ip = packet[12:14], packet[14:]
            self.n += 1
            if kind == b"\x08\x00":
                self.seen.add(str(ipaddress.IPv4Address(ip[16:20])))
            elif kind == b"\x86\xdd":
                self.seen.add(str(ipaddress.IPv6Address(ip[24:40])))

    def lost(self):
        """Packets it could not look at."""
        _, drops = struct.unpack("II", self.socket.getsockopt(263, 6, 8))  # SOL_PACKET, PACKET_STATISTICS
        return drops

    def intruders(self):
        """Addresses that were sent a packet and are not public."""
        return sorted(a for a in set(self.seen) if not is_public(a))
