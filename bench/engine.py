#!/usr/bin/env python3
"""Measures prober beside its peers: client CPU per request, rate, memory, punctuality.

Each program asks the same echo over loopback; the echo is pinned to one core and the
client to another, unless a table says otherwise. Programs alternate, round after round,
so that a machine whose speed drifts treats all alike; medians are printed, and ratios to
the peer of the same round. "All on" is prober with 12 backends, a timeline and JSON
output: 12 processes where the peers ask one, and, in a table of its own, one process with
12 addresses, of which the peers ask one. The last table holds what was measured to the
project's targets. Writes Markdown to the file named by --markdown.
"""

import argparse
import json
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time

import nginx
import protocols
from measure import (
    HOST,
    ONE_THREAD,
    Targets,
    all_answered,
    compare,
    cpu_ratio,
    first_number,
    lines,
    measure,
    prober,
    refuse_if_taken,
    scaled,
    wait_until_listening,
)

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PORT = 18080
POD = "echo2-64ddccc94f-xdfqr"
NAME = "echo2.bench"
# Addresses of the backends of "all on"; loopback, each with an echo of its own.
BACKENDS = [f"127.0.7.{n}" for n in range(1, 13)]
PEERS = ("wrk", "ab", "hey", "oha", "h2load", "fortio")
# Where one process has all of them.
TWELVE_PORT = 18085
# Where the mesh of the verdicts' table listens: client pod of kops in block 96.
MESH_BLOCK = 96
MESH_CLIENT = f"127.{MESH_BLOCK}.1.22:8080"


def all_on(command, port=PORT, timeline=True):
    """The same with every feature that costs something: 12 backends, a timeline."""
    at = command.index("-t") + 1
    target = f"http://{NAME}:{port}/"
    resolve = f"{NAME}:{port}:{','.join(BACKENDS)}"
    return (
        command[:at]
        + [target]
        + command[at + 1 :]
        + ["--resolve", resolve, "--select", "round-robin"]
        + (["--timeline", "100ms"] if timeline else [])
    )


def clients(programs, kept, connections, requests, seconds, host=HOST, port=PORT):
    """Name → command and how its output tells the number of requests."""
    url = f"http://{host}:{port}/"
    plain = prober(programs, kept, connections, requests, url)
    table = {"prober": (plain, all_answered(requests))}
    table["prober, all on"] = (all_on(plain, port), all_answered(requests))
    count = requests // connections * connections

    def peer(name, command, requests_in):
        if name in programs:
            table[name] = ([programs[name], *command, url], requests_in)

    n, c = str(requests), str(connections)
    if kept:
        # wrk is told a time, not a number; it counts.
        peer("wrk", ["-t1", f"-c{c}", f"-d{seconds}"], first_number(r"(\d+) requests in"))
    peer(
        "ab",
        ["-q", "-n", n, "-c", c] + (["-k"] if kept else []),
        first_number(r"Complete requests:\s+(\d+)"),
    )
    peer(
        "hey",
        ["-n", str(count), "-c", c, "-cpus", "1"] + ([] if kept else ["-disable-keepalive"]),
        first_number(r"\[200\]\s+(\d+) responses"),
    )
    peer(
        "oha",
        ["-n", n, "-c", c, "--no-tui"] + ([] if kept else ["--disable-keepalive"]),
        first_number(r"\[200\]\s+(\d+) responses"),
    )
    if kept:
        peer(
            "h2load",
            ["--h1", "-n", n, "-c", c, "-t", "1"],
            first_number(r"(\d+) succeeded"),
        )
        peer(
            "fortio",
            ["load", "-json", "-", "-qps", "0", "-n", str(count), "-c", c],
            first_number(r"\"200\": (\d+)"),
        )
    return table


def both_cores(programs, requests, seconds, rounds, targets):
    """Nothing is pinned and every program has two threads: requests each second."""
    url = f"http://{HOST}:{PORT}/"
    own = prober(programs, True, 64, requests, url)
    own[own.index("--threads") + 1] = "2"
    table = {"prober": (own, all_answered(requests))}
    if "wrk" in programs:
        table["wrk"] = (
            [programs["wrk"], "-t2", "-c64", f"-d{seconds}", url],
            first_number(r"(\d+) requests in"),
        )
    runs = compare(table, rounds, None)
    pairs = list(zip(runs["prober"], runs.get("wrk", [])))
    ratio = statistics.median(own.rate / peer.rate for own, peer in pairs) if pairs else None
    targets.least("requests/s against wrk, both cores free", ratio, 1.0, "{:.3f}")
    yield "| both cores free, 64 kept connections | requests/s | prober to it |"
    yield "|---|---|---|"
    for name, those in runs.items():
        ratios = [own.rate / other.rate for own, other in zip(runs["prober"], those)]
        rate = statistics.median(run.rate for run in those)
        yield f"| {name} | {rate:,.0f} | {statistics.median(ratios):.2f} |"
    yield ""


def peak_memory(command):
    """The most resident memory of a program, in MB: what the kernel says while it lives.

    The accounting at its end would do for a program that was not forked by a large one.
    """
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    output = []
    reader = threading.Thread(target=lambda: output.append(child.stdout.read()))
    reader.start()
    peak = 0
    name = os.path.basename(command[0])
    while child.poll() is None:
        try:
            with open(f"/proc/{child.pid}/status", encoding="ascii") as file:
                status = file.read()
        except OSError:
            break
        found = re.search(r"VmHWM:\s+(\d+) kB", status)
        # Until it is the program itself, it is a copy of this one.
        if found and f"Name:\t{name}" in status:
            peak = max(peak, int(found.group(1)))
        time.sleep(0.01)
    reader.join()
    if child.wait() != 0:
        sys.exit(f"bench: {' '.join(command)} ended with {child.returncode}")
    all_answered(int(command[command.index("-n") + 1]))(output[0])
    return peak / 1000


def memory(programs, scale, targets):
    """With a timeline, which grows with the time of a run up to 2,400 bins, and without."""
    yield "| peak memory in MB, 12 backends, 36 kept connections | without timeline | with it |"
    yield "|---|---|---|"
    few, many = scaled(200_000, scale), scaled(5_000_000, scale)
    peaks = {}
    for requests in (few, many):
        plain = prober(programs, True, 36, requests, f"http://{HOST}:{PORT}/")
        without, with_it = (peak_memory(all_on(plain, timeline=on)) for on in (False, True))
        peaks[requests] = without, with_it
        yield f"| {requests:,} requests | {without:.1f} | {with_it:.1f} |"
    yield ""
    most = max(max(both) for both in peaks.values())
    targets.most("peak memory in MB, 12 backends", most, 24, "{:.1f}")
    growth = peaks[many][0] / peaks[few][0]
    what = f"the same at {many:,} requests to that at {few:,}, without timeline"
    targets.most(what, growth, 1.05)


def punctuality(programs, scale, targets):
    rate, seconds = 20_000, max(1, round(10 * scale))
    command = [programs["prober"], "-t", f"http://{HOST}:{PORT}/", "-d", str(seconds)]
    command += ["--rate", str(rate), "-c", "64", "--reuse", "always", "--threads", "1"]
    command += ["--show", "0", "--quiet", "-o", "json"]
    run = measure(command, lambda output: json.loads(output)["rows"][0]["requests"], 1)
    row = json.loads(run.output)["rows"][0]
    kept = row["schedule"]
    planned = rate * seconds
    punctual = (planned - kept["late"] - kept["dropped"]) / planned
    # What is not punctual is allowed, as long as it is told.
    what = f"open loop at {rate:,}/s for {seconds} s: started within 1 ms, or said not to be"
    told = kept["late"] + kept["dropped"]
    targets.note(what, punctual, 0.999, "{:.2%}", "≥", lambda part: part >= 0.999 or told > 0)
    yield f"| open loop, {rate:,}/s for {seconds} s | |"
    yield "|---|---|"
    yield f"| started within 1 ms of their instant | {punctual:.3%} |"
    yield f"| late, and said so | {kept['late']:,} |"
    yield f"| never started, and said so | {kept['dropped']:,} |"
    yield f"| latest start | {kept['worst_us'] / 1000:.2f} ms |"
    yield ""


def start_to_first_request(programs, rounds, targets):
    """From the program's start to the first byte of its first request, the fork included."""

    def first_byte(command):
        listener = socket.create_server((HOST, 0))
        port = listener.getsockname()[1]
        begin = time.monotonic()
        child = subprocess.Popen(
            [part.replace("PORT", str(port)) for part in command],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        connection, _ = listener.accept()
        connection.recv(1)
        took = time.monotonic() - begin
        connection.close()
        listener.close()
        child.kill()
        child.wait()
        return took * 1000

    own = [programs["prober"], "-t", f"http://{HOST}:PORT/", "-n", "1", "--quiet"]
    table = {"prober": own}
    if "wrk" in programs:
        table["wrk"] = [programs["wrk"], "-t1", "-c1", "-d1", f"http://{HOST}:PORT/"]
    if shutil.which("curl"):
        table["curl"] = ["curl", "-s", f"http://{HOST}:PORT/"]
    runs = {name: [] for name in table}
    for _ in range(4 * rounds + 1):
        for name, command in table.items():
            runs[name].append(first_byte(command))
    targets.most("start to first request in ms", statistics.median(runs["prober"]), 10, "{:.1f}")
    yield "| start to first request | ms |"
    yield "|---|---|"
    for name, those in runs.items():
        yield f"| {name} | {statistics.median(those):.1f} |"
    yield ""


def decisions(programs, rounds, targets):
    """How long a verdict on two equal clusters takes, through real Envoys of the local mesh."""
    up = [programs["localmesh"], "up", "--block", str(MESH_BLOCK)]
    mesh = subprocess.Popen(up, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    said = []
    for line in mesh.stdout:
        said.append(line)
        if line.startswith("files and logs: "):
            break
    else:
        sys.exit("bench: the local mesh did not start:\n" + "".join(said))
    command = [programs["prober"], "-t", "echo2:8080", "--connect-to", f"::{MESH_CLIENT}"]
    command += ["-e", "balanced kops,gke1 ± 5%", "--quiet", "-o", "json"]
    took, requests = [], []
    try:
        for _ in range(2 * rounds + 1):
            begin = time.monotonic()
            ended = subprocess.run(command, stdout=subprocess.PIPE, check=False)
            took.append(time.monotonic() - begin)
            row = json.loads(ended.stdout)["rows"][0]
            requests.append(row["requests"])
            if row["stopped"] != "decided":
                sys.exit(f"bench: not decided after {row['requests']} requests")
    finally:
        mesh.terminate()
        mesh.wait()
    middle = statistics.median(took)
    targets.most("'balanced ± 5%' on the local mesh in s", middle, 2)
    yield "| balanced ± 5% on the local mesh | s | requests |"
    yield "|---|---|---|"
    yield f"| median of {len(took)} | {middle:.2f} | {statistics.median(requests):,.0f} |"
    yield f"| slowest | {max(took):.2f} | {max(requests):,} |"
    yield ""


def start_echo(programs, host, port, pod):
    refuse_if_taken(host, port)
    return subprocess.Popen(
        ["taskset", "-c", "0", programs["echo"], "--host", host, "--port", str(port)]
        + ["--admin-port", str(PORT + 1), "--threads", "1", "--log", "warn"]
        + ["--cluster", "kops", "--pod", pod]
    )


def start_twelve(program, folder):
    """All backends in one process, pinned as the echo is: whom a request goes to does not
    change what the machine does, so that a client of all can be held to a client of one."""
    answer = (
        'add_header x-echo-cluster kops; add_header x-echo-probe $http_x_probe_id; '
        'return 200 "[URL: http://$http_host$request_uri] on [pod: echo2] in [cluster: kops]\\n";'
    )
    servers = "".join(
        f"server {{ listen {address}:{TWELVE_PORT}; add_header x-echo-pod echo2-{n}; {answer} }}\n"
        for n, address in enumerate(BACKENDS)
    )
    own = nginx.command(program, folder, servers)
    refuse_if_taken(BACKENDS[-1], TWELVE_PORT)
    process = subprocess.Popen(["taskset", "-c", "0", *own])
    wait_until_listening(BACKENDS[-1], TWELVE_PORT, process)
    return process


def cpu(programs, rounds, scale, targets):
    core = 1 % os.cpu_count()
    seconds = max(1, round(3 * scale))
    for kept, connections, requests in (
        (True, 1, 50_000),
        (True, 32, 200_000),
        (True, 256, 200_000),
        (False, 1, 20_000),
        (False, 32, 20_000),
        (False, 256, 20_000),
    ):
        kind = "kept" if kept else "fresh"
        table = clients(programs, kept, connections, scaled(requests, scale), seconds)
        runs = compare(table, rounds, core, ONE_THREAD)
        yield lines(f"{connections} {kind} connection{'s' * (connections > 1)}", runs)
        if kept and connections == 32 and "nginx" not in programs:
            everything_on(runs, targets)
        if not kept and connections == 32:
            what = "fresh connection per request, CPU against ab without -k"
            targets.most(what, cpu_ratio(runs, "prober", "ab"), 1.0)


def twelve(programs, rounds, scale, targets):
    """Everything on, beside peers that ask the same process."""
    with tempfile.TemporaryDirectory() as folder:
        server = start_twelve(programs["nginx"], folder)
        try:
            requests, seconds = scaled(200_000, scale), max(1, round(3 * scale))
            table = clients(programs, True, 32, requests, seconds, BACKENDS[0], TWELVE_PORT)
            runs = compare(table, rounds, 1 % os.cpu_count(), ONE_THREAD)
        finally:
            server.terminate()
            server.wait()
    everything_on(runs, targets)
    return lines("32 kept connections, 12 backends in one process (nginx)", runs)


def everything_on(runs, targets):
    for peer, bound in (("wrk", 1.0), ("oha", 0.85), ("hey", 0.45)):
        what = f"CPU per request, 32 kept connections, everything on, against {peer}"
        targets.most(what, cpu_ratio(runs, "prober, all on", peer), bound)


def tables(programs, rounds, scale, wanted):
    targets = Targets()
    if "cpu" in wanted:
        yield from cpu(programs, rounds, scale, targets)
        if "nginx" in programs:
            yield twelve(programs, rounds, scale, targets)
    core = 1 % os.cpu_count()
    if "http2" in wanted:
        yield from protocols.http2(programs, f"http://{HOST}:{PORT}", core, rounds, scale, targets)
    if "tls" in wanted:
        yield from protocols.tls(programs, core, rounds, scale, targets)
    if "rate" in wanted:
        seconds = max(1, round(3 * scale))
        yield both_cores(programs, scaled(300_000, scale), seconds, rounds, targets)
    if "memory" in wanted:
        yield memory(programs, scale, targets)
    if "schedule" in wanted:
        yield punctuality(programs, scale, targets)
    if "start" in wanted:
        yield start_to_first_request(programs, rounds, targets)
    if "verdict" in wanted:
        yield decisions(programs, rounds, targets)
    yield targets.lines()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--bin-dir", default=os.path.join(ROOT, "target", "release"))
    parser.add_argument("--rounds", type=int, default=5, help="counted rounds (5)")
    parser.add_argument("--markdown", help="also write the tables to this file")
    parser.add_argument("--scale", type=float, default=1.0, help="this part of the requests (1)")
    every = ["cpu", "http2", "tls", "rate", "memory", "schedule", "start", "verdict"]
    parser.add_argument("--only", nargs="+", choices=every, default=every, help="these tables")
    arguments = parser.parse_args()
    peers = os.path.join(ROOT, ".tools", "peers", "bin")
    path = os.pathsep.join([peers, os.environ.get("PATH", "")])
    programs = {name: shutil.which(name, path=path) for name in PEERS}
    programs["nginx"] = nginx.find()
    programs = {name: path for name, path in programs.items() if path}
    for name in ("prober", "echo", "localmesh", "certs"):
        programs[name] = os.path.join(arguments.bin_dir, name)
        if not os.access(programs[name], os.X_OK):
            sys.exit(f"bench: no {programs[name]}; run `make build`")
    missing = [name for name in PEERS if name not in programs]
    if missing:
        print(f"bench: not compared, as not installed: {', '.join(missing)}", file=sys.stderr)
    echoes = {HOST: start_echo(programs, HOST, PORT, POD)}
    try:
        for n, address in enumerate(BACKENDS):
            echoes[address] = start_echo(programs, address, PORT, f"echo2-{n}")
        for address, process in echoes.items():
            wait_until_listening(address, PORT, process)
        report = []
        for table in tables(programs, arguments.rounds, arguments.scale, arguments.only):
            table = list(table)
            print("\n".join(table), flush=True)
            report += table
        if arguments.markdown:
            with open(arguments.markdown, "w", encoding="utf-8") as file:
                file.write("\n".join(report))
    finally:
        for process in echoes.values():
            process.terminate()
        for process in echoes.values():
            process.wait()


if __name__ == "__main__":
    main()
