#!/usr/bin/env python3
"""Measures prober beside wrk, ab and hey: client CPU per request, and rate.

Each program asks the same echo; the echo is pinned to one core and the client to
another. Programs alternate, round after round, so that a machine whose speed
drifts treats all alike; medians are printed, and ratios to the peer of the same
round. Writes Markdown to the file named by --markdown. Only loopback is asked.
"""

import argparse
import os
import re
import shutil
import statistics
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
HOST = "127.0.0.1"
PORT = 18080
POD = "echo2-64ddccc94f-xdfqr"


class Run:
    """What one run of a client took."""

    def __init__(self, requests, cpu, wall):
        self.micros = cpu / requests * 1e6
        self.rate = requests / wall


def measure(command, requests_in, core):
    """Runs a client pinned to a core; the kernel's own accounting of it."""
    read, write = os.pipe()
    begin = time.monotonic()
    child = subprocess.Popen(
        ["taskset", "-c", str(core), *command], stdout=write, stderr=subprocess.DEVNULL
    )
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        output = pipe.read().decode(errors="replace")
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    wall = time.monotonic() - begin
    if child.returncode != 0:
        sys.exit(f"bench: {' '.join(command)} ended with {child.returncode}:\n{output[-2000:]}")
    requests = requests_in(output)
    return Run(requests, usage.ru_utime + usage.ru_stime, wall)


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
        answers = first_number(r'"answers": (\d+)')(output)
        if answers != requests:
            sys.exit(f"bench: {answers} of {requests} requests were answered")
        return requests

    return found


def clients(programs, kept, connections, requests):
    """Name → command and how its output tells the number of requests."""
    url = f"http://{HOST}:{PORT}/"
    reuse = "always" if kept else "never"
    prober = [programs["prober"], "-t", url, "-n", str(requests), "-c", str(connections)]
    prober += ["--threads", "1", "--reuse", reuse, "--show", "0", "--quiet", "-o", "json"]
    table = {"prober": (prober, all_answered(requests))}
    if kept and "wrk" in programs:
        # wrk is told a time, not a number; it counts.
        command = [programs["wrk"], "-t1", f"-c{connections}", "-d3", url]
        table["wrk"] = (command, first_number(r"(\d+) requests in"))
    if "ab" in programs:
        command = [programs["ab"], "-q", "-n", str(requests), "-c", str(connections)]
        command += (["-k"] if kept else []) + [url]
        table["ab"] = (command, first_number(r"Complete requests:\s+(\d+)"))
    if "hey" in programs:
        count = requests // connections * connections
        command = [programs["hey"], "-n", str(count), "-c", str(connections), "-cpus", "1"]
        command += ([] if kept else ["-disable-keepalive"]) + [url]
        table["hey"] = (command, first_number(r"\[200\]\s+(\d+) responses"))
    return table


def compare(programs, kept, connections, requests, rounds):
    table = clients(programs, kept, connections, requests)
    runs = {name: [] for name in table}
    for turn in range(rounds + 1):
        for name, (command, requests_in) in table.items():
            run = measure(command, requests_in, 1 % os.cpu_count())
            if turn > 0:  # the first round warms up
                runs[name].append(run)
    return runs


def lines(title, runs):
    yield f"| {title} | CPU µs/request | prober to it | requests/s |"
    yield "|---|---|---|---|"
    for name, those in runs.items():
        ratios = [own.micros / other.micros for own, other in zip(runs["prober"], those)]
        median = lambda of: statistics.median(of(run) for run in those)
        yield (
            f"| {name} | {median(lambda r: r.micros):.2f} | {statistics.median(ratios):.2f} "
            f"| {median(lambda r: r.rate):,.0f} |"
        )
    yield ""


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--bin-dir", default=os.path.join(ROOT, "target", "release"))
    parser.add_argument("--rounds", type=int, default=5, help="counted rounds (5)")
    parser.add_argument("--markdown", help="also write the tables to this file")
    arguments = parser.parse_args()
    programs = {name: shutil.which(name) for name in ("wrk", "ab", "hey")}
    programs = {name: path for name, path in programs.items() if path}
    for name in ("prober", "echo"):
        programs[name] = os.path.join(arguments.bin_dir, name)
        if not os.access(programs[name], os.X_OK):
            sys.exit(f"bench: no {programs[name]}; run `make build`")
    missing = [name for name in ("wrk", "ab", "hey") if name not in programs]
    if missing:
        print(f"bench: not compared, as not installed: {', '.join(missing)}", file=sys.stderr)
    server = subprocess.Popen(
        ["taskset", "-c", "0", programs["echo"], "--host", HOST, "--port", str(PORT)]
        + ["--admin-port", str(PORT + 1), "--threads", "1", "--log", "warn"]
        + ["--cluster", "kops", "--pod", POD]
    )
    try:
        time.sleep(0.5)
        if server.poll() is not None:
            sys.exit("bench: the echo did not start")
        report = []
        for kept, connections, requests in (
            (True, 1, 50_000),
            (True, 32, 200_000),
            (True, 256, 200_000),
            (False, 32, 20_000),
        ):
            kind = "kept" if kept else "fresh"
            runs = compare(programs, kept, connections, requests, arguments.rounds)
            report += lines(f"{connections} {kind} connections", runs)
            print("\n".join(report[-len(runs) - 3 :]), flush=True)
        if arguments.markdown:
            with open(arguments.markdown, "w", encoding="utf-8") as file:
                file.write("\n".join(report))
    finally:
        server.terminate()
        server.wait()


if __name__ == "__main__":
    main()
