"""The tables of HTTP/2, gRPC and TLS: prober beside the peers that speak them.

Every run of a table asks the same echo for the same bytes. Nobody verifies the certificate,
because not every peer can; all make the same handshakes, as `openssl s_client` would.
"""

import os
import subprocess
import tempfile

from measure import (
    HOST,
    ONE_THREAD,
    all_answered,
    compare,
    cpu_ratio,
    first_number,
    lines,
    prober,
    refuse_if_taken,
    scaled,
    wait_until_listening,
)

TLS_PORT = 18086
HEALTH = "/grpc.health.v1.Health/Check"
# Connections, streams on each, requests.
SHAPES = ((1, 1, 40_000), (1, 32, 200_000), (32, 1, 200_000), (32, 32, 200_000))


def many(number, what):
    return f"{number} {what}{'s' * (number > 1)}"


def http2(programs, url, core, rounds, scale, targets):
    """Without TLS, with prior knowledge."""
    for connections, streams, requests in SHAPES:
        number = scaled(requests, scale)
        shape = f"{many(connections, 'connection')}, {many(streams, 'stream')}"
        table = clients(programs, f"{url}/", connections, streams, number)
        runs = compare(table, rounds, core, ONE_THREAD)
        yield lines(f"HTTP/2, {shape}", runs)
        what = f"CPU per request against h2load, HTTP/2, {shape}"
        targets.most(what, cpu_ratio(runs, "prober", "h2load"), 1.3)
    with tempfile.NamedTemporaryFile() as message:
        message.write(bytes(5))
        message.flush()
        for connections, streams, requests in SHAPES[1:]:
            number = scaled(requests, scale)
            shape = f"{many(connections, 'connection')}, {many(streams, 'stream')}"
            table = grpc_clients(programs, url, connections, streams, number, message.name)
            runs = compare(table, rounds, core, ONE_THREAD)
            yield lines(f"gRPC health check, {shape}", runs)


def own(programs, url, connections, streams, requests):
    command = prober(programs, True, connections, requests, url)
    return command + ["--streams", str(streams)]


def h2load(programs, connections, streams, requests):
    shape = ["-n", str(requests), "-c", str(connections), "-m", str(streams), "-t", "1"]
    return [programs["h2load"], *shape]


def clients(programs, url, connections, streams, requests):
    command = own(programs, url, connections, streams, requests) + ["--http2-prior-knowledge"]
    table = {"prober": (command, all_answered(requests))}
    if "h2load" in programs:
        command = h2load(programs, connections, streams, requests)
        table["h2load"] = ([*command, url], first_number(r"(\d+) succeeded"))
    if "oha" in programs:
        command = [programs["oha"], "-n", str(requests), "-c", str(connections)]
        command += ["-p", str(streams), "--http2", "--no-tui", url]
        table["oha"] = (command, first_number(r"\[200\]\s+(\d+) responses"))
    return table


def grpc_clients(programs, url, connections, streams, requests, message):
    """An empty message to the health service, as `prober --grpc=health` sends it."""
    command = own(programs, f"{url}/", connections, streams, requests) + ["--grpc=health"]
    table = {"prober": (command, all_answered(requests))}
    if "h2load" in programs:
        command = h2load(programs, connections, streams, requests) + ["-d", message]
        command += ["-H", "content-type: application/grpc", "-H", "te: trailers"]
        table["h2load"] = ([*command, url + HEALTH], first_number(r"(\d+) succeeded"))
    return table


def tls(programs, core, rounds, scale, targets):
    """TLS 1.3 and HTTP/1.1, on connections that are kept, and on a fresh one for each request."""
    with tempfile.TemporaryDirectory() as folder:
        server = start_tls_echo(programs, folder)
        try:
            wait_until_listening(HOST, TLS_PORT, server)
            for kept, requests in ((True, 200_000), (False, 5_000)):
                table = tls_clients(programs, kept, scaled(requests, scale), scale)
                runs = compare(table, rounds, core, ONE_THREAD)
                kind = "kept" if kept else "fresh"
                yield lines(f"TLS 1.3, 32 {kind} connections", runs)
                peer, bound = ("wrk", 1.05) if kept else ("ab", 1.0)
                what = f"CPU per request against {peer}, TLS 1.3, {kind} connections"
                targets.most(what, cpu_ratio(runs, "prober", peer), bound)
        finally:
            server.terminate()
            server.wait()


def start_tls_echo(programs, folder):
    refuse_if_taken(HOST, TLS_PORT)
    mesh, workload = os.path.join(folder, "mesh"), os.path.join(folder, "workload")
    identity = "spiffe://cluster.local/ns/bench/sa/echo"
    for command in (
        ["generate", "--out", mesh, "--cluster", "kops"],
        ["workload", "--ca", os.path.join(mesh, "kops"), "--out", workload, "--id", identity],
    ):
        subprocess.run([programs["certs"], *command], check=True, stdout=subprocess.DEVNULL)
    return subprocess.Popen(
        ["taskset", "-c", "0", programs["echo"], "--host", HOST, "--port", "0", "--admin-port", "0"]
        + ["--threads", "1", "--log", "warn", "--tls-port", str(TLS_PORT)]
        + ["--cluster", "kops", "--pod", "echo2", "--tls-cert", os.path.join(workload, "cert-chain.pem")]
        + ["--tls-key", os.path.join(workload, "key.pem")]
    )


def tls_clients(programs, kept, requests, scale):
    url = f"https://{HOST}:{TLS_PORT}/"
    table = {"prober": (prober(programs, kept, 32, requests, url) + ["-k"], all_answered(requests))}
    n, c, seconds = str(requests), "32", max(1, round(3 * scale))

    def peer(name, command, requests_in):
        if name in programs:
            table[name] = ([programs[name], *command, url], requests_in)

    close = [] if kept else ["-H", "Connection: close"]
    peer("wrk", ["-t1", f"-c{c}", f"-d{seconds}", *close], first_number(r"(\d+) requests in"))
    kept_flag = ["-k"] if kept else []
    peer(
        "ab",
        ["-q", "-n", n, "-c", c, "-f", "TLS1.3", *kept_flag],
        first_number(r"Complete requests:\s+(\d+)"),
    )
    peer(
        "oha",
        ["-n", n, "-c", c, "--no-tui", "--insecure"] + ([] if kept else ["--disable-keepalive"]),
        first_number(r"\[200\]\s+(\d+) responses"),
    )
    if kept:
        peer("h2load", ["--h1", "-n", n, "-c", c, "-t", "1"], first_number(r"(\d+) succeeded"))
    return table
