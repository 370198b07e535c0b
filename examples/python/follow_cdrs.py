"""Follows a carrier's CDR feed and prints every entry as a line of JSON. Stopped or cut off at any moment, it goes on where it was."""

import argparse
import json
import os
import random
import sys
import time
from pathlib import Path

import grpc
from google.rpc import error_details_pb2
from grpc_status import rpc_status

sys.path.append(str(Path(__file__).parent / "gen"))
from tandem.carrier.v1 import cdr_service_pb2, cdr_service_pb2_grpc  # noqa: E402
from tandem.type.v1 import feed_pb2  # noqa: E402

MAX_PAUSE_S = 30


def main():
    arguments = read_arguments()
    stub = cdr_service_pb2_grpc.CdrServiceStub(open_channel(arguments.url, arguments.ca_file))
    failures = 0
    while True:
        started = time.monotonic()
        try:
            if follow(stub, arguments):
                return
        except grpc.RpcError as error:
            if not may_retry(error):
                sys.exit(f"{error.code().name}: {error.details()}")
            print(f"{error.code().name}: {error.details()}; trying again", file=sys.stderr)
        failures = 0 if time.monotonic() - started > MAX_PAUSE_S else min(failures + 1, 8)
        # With jitter, so that many clients that were cut off together do not come back together.
        time.sleep(min(MAX_PAUSE_S, 0.2 * 2**failures) * random.uniform(0.5, 1))


def may_retry(error):
    """The contract's rule (error_reason.proto). Status codes do not tell: a cut is UNAVAILABLE, UNKNOWN, INTERNAL or CANCELLED."""
    status = rpc_status.from_call(error)
    details = status.details if status else []
    info = error_details_pb2.ErrorInfo()
    is_tandems = any(detail.Unpack(info) and info.domain == "tandem" for detail in details)
    return not is_tandems or any(detail.Is(error_details_pb2.RetryInfo.DESCRIPTOR) for detail in details)


def follow(stub, arguments):
    """Reads one stream to its end, from the stored position. Returns whether that was the end that was asked for."""
    token = arguments.token_file.read_text().strip()
    position = None
    # No deadline: a feed lives for as long as it is followed. Dead connections are found by the
    # pings below.
    for message in stub.StreamCdrs(request_from(arguments), metadata=[("authorization", f"Bearer {token}")]):
        # Every message says which range of the feed it covers. A hole is no end of the data: resume
        # from the stored cursor.
        if position is not None and message.after_sequence != position:
            print(f"expected what follows {position}, got {message.after_sequence}; resuming", file=sys.stderr)
            return False
        for entry in message.batch.entries:
            apply(entry)
        # Once the message is applied, and not before.
        sys.stdout.flush()
        store_cursor(arguments.cursor_file, message.cursor)
        position = message.through_sequence
        if message.WhichOneof("frame") == "closing":
            return message.closing.reason == feed_pb2.FEED_CLOSING_REASON_END_REACHED
    return False


def apply(entry):
    """In your system: upsert by record id, record date and revision, so that an entry that comes again changes nothing."""
    if entry.WhichOneof("entry") == "record":
        record = entry.record
        connected_ms = record.lengths.connected_duration_ms if record.lengths.HasField("connected_duration_ms") else None
        print(
            json.dumps(
                {
                    "sequence": record.sequence,
                    "record_id": record.record_id,
                    "record_date": record.record_date,
                    "revision": record.revision,
                    "connected_duration_ms": connected_ms,
                }
            )
        )
    else:
        print(json.dumps({"sequence": entry.erasure.sequence, "erasure": True}))


def request_from(arguments):
    request = cdr_service_pb2.StreamCdrsRequest()
    if arguments.cursor_file.exists():
        request.start.cursor = arguments.cursor_file.read_text()
    else:
        request.start.earliest.SetInParent()
    if arguments.to_head:
        request.end.head.SetInParent()
    return request


def store_cursor(path, cursor):
    """Whole or not at all, whatever happens meanwhile, and for nobody else to read."""
    fresh = path.with_suffix(path.suffix + ".new")
    with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        os.fchmod(file.fileno(), 0o600)
        file.write(cursor)
    os.replace(fresh, path)


def open_channel(url, ca_file):
    scheme, _, target = url.partition("://")
    # A message may have 4 MiB and what surrounds it; pings find a connection that is dead without a
    # word.
    options = [("grpc.max_receive_message_length", 16 << 20), ("grpc.keepalive_time_ms", 20_000)]
    if scheme == "https":
        return grpc.secure_channel(target, grpc.ssl_channel_credentials(ca_file and ca_file.read_bytes()), options)
    if scheme == "http":
        return grpc.insecure_channel(target, options)
    sys.exit(f"expected a URL such as https://tandem.example, got {url}")


def read_arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url", help="where Tandem is, such as http://127.0.0.1:7443")
    parser.add_argument("--token-file", type=Path, required=True, help="the carrier's bearer token; read anew for each stream")
    parser.add_argument("--cursor-file", type=Path, required=True, help="where the position is kept")
    parser.add_argument("--ca-file", type=Path, help="certificates to trust besides the usual ones")
    parser.add_argument("--to-head", action="store_true", help="stop at the newest entry")
    return parser.parse_args()


if __name__ == "__main__":
    main()
