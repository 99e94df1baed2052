"""Child processes, and how much of the machine others used meanwhile.

A figure taken while another program runs says little: a decoder whose threads wait for each other
in a loop loses far more than its share. So every sample carries the part of the CPUs that
neither side nor its load generator used.
"""
import os
import resource
import signal
import subprocess
import sys
import time
from contextlib import contextmanager

TICKS = os.sysconf("SC_CLK_TCK")
CPUS = os.cpu_count()


class Failure(Exception):
    """A program that did not do what it was asked; the message is for a person."""


def busy_seconds():
    """CPU seconds that were not idle since the machine started, stolen time included."""
    with open("/proc/stat", encoding="ascii") as f:
        fields = [int(x) for x in f.readline().split()[1:9]]
    return (sum(fields) - fields[3] - fields[4]) / TICKS  # all but idle and iowait


def own_seconds():
    """CPU seconds of this process and the children it has waited for."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(u.ru_utime + u.ru_stime for u in used)


def session_stat(session):
    """[(pid, CPU seconds)] of the processes of a session."""
    found = []
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/stat", encoding="utf-8", errors="replace") as f:
                fields = f.read().rpartition(")")[2].split()
        except OSError:
            continue  # ended meanwhile
        if int(fields[3]) == session:
            found.append((int(name), sum(int(x) for x in fields[11:15]) / TICKS))
    return found


def session_peak_bytes(session):
    """Sum of the largest resident sizes of the processes of a session."""
    total = 0
    for pid, _ in session_stat(session):
        try:
            with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as f:
                total += sum(int(line.split()[1]) * 1024 for line in f if line.startswith("VmHWM"))
        except OSError:
            continue
    return total


class Watch:
    """`share` is the part of all CPUs that others used between `with` and its end."""

    def __init__(self, session=None):
        self.session, self.share = session, 0.0

    def _own(self):
        running = sum(s for _, s in session_stat(self.session)) if self.session else 0.0
        return own_seconds() + running

    def __enter__(self):
        self.start, self.busy, self.own = time.monotonic(), busy_seconds(), self._own()
        return self

    def __exit__(self, *_):
        elapsed = max(time.monotonic() - self.start, 1e-3)
        others = busy_seconds() - self.busy - (self._own() - self.own)
        self.share = min(max(others / (elapsed * CPUS), 0.0), 1.0)


def run(argv, timeout_s=3600):
    """(stdout, stderr) of a program that must end well."""
    try:
        done = subprocess.run(argv, capture_output=True, text=True, errors="replace",
                              timeout=timeout_s, stdin=subprocess.DEVNULL, check=False)
    except (OSError, subprocess.TimeoutExpired) as e:
        raise Failure(f"{argv[0]}: {e}") from e
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise Failure(f"{' '.join(argv[:3])} ...: exit {done.returncode}: {last}")
    return done.stdout, done.stderr


def end_servers_on_signals():
    """SIGTERM and SIGHUP end this program as Ctrl-C does: through the ends of every `with`, so that
    no server outlives it."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: sys.exit(128 + number))


@contextmanager
def server(argv, log):
    """A server in a session of its own; stopped with SIGTERM, then by force."""
    with open(log, "ab") as out:
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                   start_new_session=True)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
