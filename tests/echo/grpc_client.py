"""Asks echo by gRPC, as a client not of this project does: descriptors come by
reflection. Prints one JSON object; `watch` prints a line for each news instead.

    grpc_client.py ask HOST:PORT [CA-FILE] [NAME=VALUE…]
    grpc_client.py faults HOST:PORT FAULT…
    grpc_client.py watch HOST:PORT SERVICE
"""

import json
import sys

import grpc
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.json_format import MessageToDict
from google.protobuf.message_factory import GetMessageClass
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)

TIMEOUT = 15


def method(channel, pool, service, name, kind="unary_unary"):
    found = pool.FindServiceByName(service).FindMethodByName(name)
    request, reply = GetMessageClass(found.input_type), GetMessageClass(found.output_type)
    path = f"/{service}/{name}"
    return getattr(channel, kind)(path, request.SerializeToString, reply.FromString), request


def facts_of(call):
    return {pair.key: pair.value for pair in call}


def failure(action):
    try:
        action()
    except grpc.RpcError as error:
        return {
            "code": error.code().name,
            "details": error.details(),
            "metadata": facts_of(list(error.initial_metadata()) + list(error.trailing_metadata())),
        }
    return None


def ask(channel, metadata):
    database = ProtoReflectionDescriptorDatabase(channel)
    pool = DescriptorPool(database)
    said = {"services": sorted(database.get_services())}
    health, check = method(channel, pool, "grpc.health.v1.Health", "Check")
    for service in ("", "echo.v1.EchoService"):
        reply = health(check(service=service), timeout=TIMEOUT)
        said["health " + service] = MessageToDict(reply).get("status")
    said["no health"] = failure(lambda: health(check(service="no.Such"), timeout=TIMEOUT))
    said["no service"] = failure(lambda: channel.unary_unary("/no.Such/X")(b"", timeout=TIMEOUT))
    said["no method"] = failure(
        lambda: channel.unary_unary("/echo.v1.EchoService/X")(b"", timeout=TIMEOUT)
    )
    echo, request = method(channel, pool, "echo.v1.EchoService", "Echo")
    large = request(message="a" * (2 << 20))
    said["too large"] = failure(lambda: echo(large, timeout=TIMEOUT))

    def once():
        reply, call = echo.with_call(request(message="héllo"), metadata=metadata, timeout=TIMEOUT)
        said["reply"] = MessageToDict(reply)
        said["metadata"] = facts_of(call.initial_metadata())

    said["failure"] = failure(once)
    print(json.dumps(said))


def faults(channel, asked):
    """How a call ends with each of these faults; null where it does not fail."""
    pool = DescriptorPool(ProtoReflectionDescriptorDatabase(channel))
    echo, request = method(channel, pool, "echo.v1.EchoService", "Echo")
    said = {}
    for fault in asked:
        metadata = [("x-echo-fault", fault)]
        said[fault] = failure(lambda: echo(request(), metadata=metadata, timeout=TIMEOUT))
    print(json.dumps(said))


def watch(channel, service):
    pool = DescriptorPool(ProtoReflectionDescriptorDatabase(channel))
    call, request = method(channel, pool, "grpc.health.v1.Health", "Watch", "unary_stream")
    for news in call(request(service=service)):
        print("news", MessageToDict(news).get("status"), flush=True)
    print("the end", flush=True)


def main():
    what, target, *rest = sys.argv[1:]
    if what == "watch":
        return watch(grpc.insecure_channel(target), rest[0])
    if what == "faults":
        return faults(grpc.insecure_channel(target), rest)
    metadata = [tuple(pair.split("=", 1)) for pair in rest if "=" in pair]
    trust = [word for word in rest if "=" not in word]
    if trust:
        with open(trust[0], "rb") as file:
            channel = grpc.secure_channel(target, grpc.ssl_channel_credentials(file.read()))
    else:
        channel = grpc.insecure_channel(target)
    return ask(channel, metadata)


main()
