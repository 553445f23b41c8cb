"""What the measurements of clients share: a run and its cost, several programs in turn, tables."""

import json
import os
import re
import socket
import statistics
import subprocess
import sys
import time

HOST = "127.0.0.1"
# As many threads as the core that a client is pinned to can run at once.
ONE_THREAD = {"TOKIO_WORKER_THREADS": "1", "GOMAXPROCS": "1"}


class Run:
    """What one run of a client took."""

    def __init__(self, requests, cpu, wall, output):
        self.micros = cpu / requests * 1e6
        self.rate = requests / wall
        self.output = output


class Targets:
    """What was measured, beside what it should be."""

    def __init__(self):
        self.rows = []

    def most(self, what, value, bound, form="{:.2f}"):
        self.note(what, value, bound, form, "≤", lambda value: value <= bound)

    def least(self, what, value, bound, form="{:.2f}"):
        self.note(what, value, bound, form, "≥", lambda value: value >= bound)

    def note(self, what, value, bound, form, sign, met):
        shown = "not measured" if value is None else form.format(value)
        word = "–" if value is None else "yes" if met(value) else "**no**"
        self.rows.append(f"| {what} | {sign} {form.format(bound)} | {shown} | {word} |")

    def lines(self):
        yield "| measure | target | measured | met |"
        yield "|---|---|---|---|"
        yield from self.rows
        yield ""


def measure(command, requests_in, core=None, environment=None):
    """Runs a client, pinned to a core if one is named; the kernel's own accounting of it."""
    read, write = os.pipe()
    pinned = [] if core is None else ["taskset", "-c", str(core)]
    begin = time.monotonic()
    child = subprocess.Popen(
        [*pinned, *command],
        stdout=write,
        stderr=subprocess.DEVNULL,
        env={**os.environ, **(environment or {})},
    )
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        output = pipe.read().decode(errors="replace")
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    wall = time.monotonic() - begin
    if child.returncode != 0:
        sys.exit(f"bench: {' '.join(command)} ended with {child.returncode}:\n{output[-2000:]}")
    return Run(requests_in(output), usage.ru_utime + usage.ru_stime, wall, output)


def first_number(pattern):
    def found(output):
        match = re.search(pattern, output)
        if not match:
            sys.exit(f"bench: no {pattern!r} in:\n{output[-2000:]}")
        return int(match.group(1))

    return found


def all_answered(requests):
    """prober's report must say that every request was answered; else the figure is worth nothing."""

    def found(output):
        answers = json.loads(output)["rows"][0]["answers"]
        if answers != requests:
            sys.exit(f"bench: {answers} of {requests} requests were answered")
        return requests

    return found


def prober(programs, kept, connections, requests, target):
    command = [programs["prober"], "-t", target, "-n", str(requests), "-c", str(connections)]
    command += ["--threads", "1", "--reuse", "always" if kept else "never"]
    return command + ["--show", "0", "--quiet", "-o", "json"]


def compare(table, rounds, core, environment=None):
    runs = {name: [] for name in table}
    for turn in range(rounds + 1):
        for name, (command, requests_in) in table.items():
            run = measure(command, requests_in, core, environment)
            if turn > 0:  # the first round warms up
                runs[name].append(run)
    return runs


def cpu_ratio(runs, own, peer):
    """The median of CPU per request to a peer's of the same round; None where one is missing."""
    if own not in runs or peer not in runs:
        return None
    pairs = zip(runs[own], runs[peer])
    return statistics.median(own.micros / other.micros for own, other in pairs)


def lines(title, runs):
    """A table; each of ours in it has a column of its ratios to the others."""
    ours = [name for name in ("prober", "prober, all on") if name in runs]
    short = {"prober": "prober to it", "prober, all on": "all on to it"}
    heads = [title, "CPU µs/request", *(short[own] for own in ours), "requests/s"]
    yield f"| {' | '.join(heads)} |"
    yield "|---" * len(heads) + "|"
    for name, those in runs.items():
        micros = statistics.median(run.micros for run in those)
        rate = statistics.median(run.rate for run in those)
        ratios = [f"{cpu_ratio(runs, own, name):.2f}" for own in ours]
        yield f"| {' | '.join([name, f'{micros:.2f}', *ratios, f'{rate:,.0f}'])} |"
    yield ""


def refuse_if_taken(host, port):
    """Another server at the address would be measured in place of ours."""
    with socket.socket() as probe:
        if probe.connect_ex((host, port)) == 0:
            sys.exit(f"bench: something listens on {host}:{port} already")


def wait_until_listening(host, port, process):
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex((host, port)) == 0:
                return
        time.sleep(0.01)
    sys.exit(f"bench: the server at {host}:{port} did not start")


def scaled(requests, scale):
    """A part of the requests, but enough for all connections."""
    return max(1_024, round(requests * scale))
