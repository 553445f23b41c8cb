#!/usr/bin/env python3
"""Measures echo beside nginx, which returns the same line and headers: CPU per request,
memory, what an idle connection costs, and the time from start to ready. podinfo and the
sample in Flask, where they are installed, show what others cost that say who they are.

Every server has one worker pinned to one core; wrk loads them from another, round
after round in turn, so that a machine whose speed drifts treats all alike. The CPU
time is the kernel's own accounting of the server. Only loopback is asked.
"""

import argparse
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time

import nginx

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PEERS = os.path.join(ROOT, ".tools", "peers")
HOST = "127.0.0.1"
POD = "echo2-64ddccc94f-xdfqr"
TICK = os.sysconf("SC_CLK_TCK")
IDLE = 1000
# So often is each server started; the median counts.
STARTS = 5
# What echo answers beside the line, so that as many bytes are sent.
HEADERS = {
    "cache-control": "private, no-store",
    "x-content-type-options": "nosniff",
    "vary": "Accept",
    "x-echo-pod": POD,
    "x-echo-cluster": "kops",
    "x-echo-connection": "a1b2c3-$connection",
    "x-echo-request": "$connection_requests",
}


class Server:
    """A running server, pinned to core 0."""

    def __init__(self, name, command, port, environment=None):
        self.name, self.port = name, port
        self.command = ["taskset", "-c", "0", *command]
        self.environment = {**os.environ, **(environment or {})}
        starts = []
        for turn in range(STARTS):
            if turn > 0:
                self.stop()
            starts.append(self.start())
        self.ready_ms = statistics.median(starts)

    def start(self):
        """Starts it, and returns after how many ms it answered."""
        begin = time.monotonic()
        self.child = subprocess.Popen(
            self.command, env=self.environment, stdout=subprocess.DEVNULL
        )
        while not self.answers():
            if self.child.poll() is not None or time.monotonic() - begin > 10:
                self.stop()
                sys.exit(f"bench: {self.name} did not start")
            time.sleep(0.0005)
        return (time.monotonic() - begin) * 1e3

    def answers(self):
        try:
            with socket.create_connection((HOST, self.port), timeout=1) as connection:
                connection.sendall(b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
                return b" 200 " in connection.recv(4096)
        except OSError:
            return False

    def status(self, key):
        """A line of the kernel's account of its memory, in KiB."""
        with open(f"/proc/{self.child.pid}/status", encoding="ascii") as file:
            return next(int(line.split()[1]) for line in file if line.startswith(key + ":"))

    def cpu(self):
        """Seconds of CPU time that it has used."""
        with open(f"/proc/{self.child.pid}/stat", encoding="ascii") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICK

    def stop(self):
        self.child.terminate()
        self.child.wait()


def start_echo(program, port):
    command = [program, "--host", HOST, "--port", str(port), "--admin-port", str(port + 1)]
    command += ["--threads", "1", "--log", "warn", "--cluster", "kops", "--pod", POD]
    return Server("echo", command, port)


def start_nginx(program, port, folder):
    headers = "".join(f'add_header {name} "{value}";' for name, value in HEADERS.items())
    line = f"[URL: http://$http_host$request_uri] on [pod: {POD}] in [cluster: kops]\\n"
    server = f'server {{ listen {HOST}:{port} backlog=4096; {headers} return 200 "{line}"; }}'
    return Server("nginx", nginx.command(program, folder, server), port)


def start_podinfo(program, port):
    command = [program, "--host", HOST, "--port", str(port), "--level", "error"]
    return Server("podinfo", command, port, {"GOMAXPROCS": "1"})


def start_flask(port):
    environment = {"PYTHONPATH": os.path.join(PEERS, "flask"), "CLUSTER": "kops", "POD_NAME": POD}
    command = [sys.executable, os.path.join(ROOT, "bench", "flask_echo.py"), str(port)]
    return Server("Flask sample", command, port, environment)


def start_all(servers, arguments, program, folder):
    """Starts echo, and whom it can be compared with here, one after the other."""
    servers.append(start_echo(program, 18090))
    podinfo = os.path.join(PEERS, "bin", "podinfo")
    missing = []
    if arguments.nginx:
        servers.append(start_nginx(arguments.nginx, 18095, folder))
    else:
        missing.append("nginx")
    if os.access(podinfo, os.X_OK):
        servers.append(start_podinfo(podinfo, 18096))
    else:
        missing.append("podinfo")
    if os.path.isdir(os.path.join(PEERS, "flask")):
        servers.append(start_flask(18097))
    else:
        missing.append("Flask")
    if missing:
        print("bench: not compared, as not installed: " + ", ".join(missing), file=sys.stderr)


def load(server, connections, seconds):
    """Loads it, and returns CPU µs per request and requests per second."""
    before, begin = server.cpu(), time.monotonic()
    command = ["taskset", "-c", str(1 % os.cpu_count()), "wrk", "-t1", f"-c{connections}"]
    command += [f"-d{seconds}", f"http://{HOST}:{server.port}/hello"]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    spent, wall = server.cpu() - before, time.monotonic() - begin
    if server.name in ("echo", "nginx") and ("Non-2xx" in said or "Socket errors" in said):
        sys.exit(f"bench: {server.name} did not answer all:\n{said}")
    requests = next(int(l.split()[0]) for l in said.splitlines() if " requests in " in l)
    if requests == 0:
        sys.exit(f"bench: {server.name} answered nothing:\n{said}")
    return spent / requests * 1e6, requests / wall


def idle_cost(server):
    """KiB for each connection that has asked once and rests; "–" where none may rest."""
    before = server.status("VmRSS")
    connections = []
    try:
        for _ in range(IDLE):
            connection = socket.create_connection((HOST, server.port))
            connections.append(connection)
            connection.sendall(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
            head = connection.recv(4096)
            if head.startswith(b"HTTP/1.0") or b"onnection: close" in head:
                return "–"
        return f"{(server.status('VmRSS') - before) / IDLE:.1f}"
    finally:
        for connection in connections:
            connection.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--bin-dir", default=os.path.join(ROOT, "target", "release"))
    parser.add_argument("--nginx", default=nginx.find(), help="the nginx to compare with")
    parser.add_argument("--rounds", type=int, default=5, help="counted rounds (5)")
    parser.add_argument("--seconds", type=int, default=3, help="length of a round (3)")
    parser.add_argument("--markdown", help="also write the table to this file")
    arguments = parser.parse_args()
    if not shutil.which("wrk"):
        print("bench: wrk is not installed, so echo is not measured", file=sys.stderr)
        return
    program = os.path.join(arguments.bin_dir, "echo")
    if not os.access(program, os.X_OK):
        sys.exit(f"bench: no {program}; run `make build`")
    with tempfile.TemporaryDirectory() as folder:
        servers = []
        try:
            start_all(servers, arguments, program, folder)
            runs = {server.name: [] for server in servers}
            for turn in range(arguments.rounds + 1):
                for server in servers:
                    run = load(server, 64, arguments.seconds)
                    if turn > 0:  # the first round warms up
                        runs[server.name].append(run)
            report = ["| 64 connections, one worker | CPU µs/request | echo to it | requests/s "
                      "| peak MiB | KiB per idle connection | ready after ms |",
                      "|---|---|---|---|---|---|---|"]
            for server in servers:
                those = runs[server.name]
                ratios = [own[0] / other[0] for own, other in zip(runs["echo"], those)]
                peak = server.status("VmHWM") / 1024
                report.append(
                    f"| {server.name} | {statistics.median(run[0] for run in those):.2f} "
                    f"| {statistics.median(ratios):.2f} "
                    f"| {statistics.median(run[1] for run in those):,.0f} | {peak:.1f} "
                    f"| {idle_cost(server)} | {server.ready_ms:.0f} |"
                )
        finally:
            for server in servers:
                server.stop()
    print("\n".join(report))
    if arguments.markdown:
        with open(arguments.markdown, "w", encoding="utf-8") as file:
            file.write("\n".join(report) + "\n")


if __name__ == "__main__":
    main()
