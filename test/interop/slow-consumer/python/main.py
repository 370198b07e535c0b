"""A consumer that stops to read: it takes the first message of a feed, reads on only when it is told, and prints what it got as JSON."""

import json
import sys

import grpc
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from tandem.carrier.v1 import cdr_service_pb2, cdr_service_pb2_grpc
from tandem.type.v1 import feed_pb2


def main():
    target, token = sys.argv[1:]
    # Windows that do not grow, and nothing compressed (the one bit is for identity), so that few
    # records fill them.
    options = [("grpc.http2.bdp_probe", 0), ("grpc.compression_enabled_algorithms_bitset", 1)]
    channel = grpc.insecure_channel(target, options)
    stub = cdr_service_pb2_grpc.CdrServiceStub(channel)
    request = cdr_service_pb2.StreamCdrsRequest()
    request.start.earliest.SetInParent()
    stream = stub.StreamCdrs(request, metadata=[("authorization", f"Bearer {token}")])
    next(stream)
    print("opened", flush=True)
    sys.stdin.readline()
    print(json.dumps(read_to_end(stream)), flush=True)


def read_to_end(stream):
    result = {"code": "OK", "closing": "", "reason": "", "retry": False, "through": 0}
    try:
        for message in stream:
            result["through"] = message.through_sequence
            if message.WhichOneof("frame") == "closing":
                result["closing"] = feed_pb2.FeedClosingReason.Name(message.closing.reason)
    except grpc.RpcError as error:
        result["code"] = error.code().name
        status = rpc_status.from_call(error)
        for detail in status.details if status else []:
            info = error_details_pb2.ErrorInfo()
            if detail.Unpack(info):
                result["reason"] = f"{info.domain}/{info.reason}"
            result["retry"] = result["retry"] or detail.Is(error_details_pb2.RetryInfo.DESCRIPTOR)
    return result


if __name__ == "__main__":
    main()
