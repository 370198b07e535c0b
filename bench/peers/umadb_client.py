"""Sends the records of a file to UmaDB in batches of 1,000, as four carriers at once.

Usage: umadb_client.py URL FILE RUN
"""

import json
import multiprocessing
import struct
import sys
import time

import umadb

CARRIERS = 4
BATCH_RECORDS = 1_000
LIMIT_SECONDS = 120


def read_records(file):
    """Each record has its length before it: four bytes, the highest first."""
    with open(file, "rb") as source:
        data = source.read()
    at, records = 0, []
    while at < len(data):
        (length,) = struct.unpack_from(">I", data, at)
        records.append(data[at + 4 : at + 4 + length])
        at += 4 + length
    return records


def send(url, name, records, are_ready, begin):
    client = umadb.Client(url)
    events = [umadb.Event("duration", record, [name]) for record in records]
    batches = [events[at : at + BATCH_RECORDS] for at in range(0, len(events), BATCH_RECORDS)]
    are_ready.wait(LIMIT_SECONDS)
    begin.wait(LIMIT_SECONDS)
    for batch in batches:
        client.append(batch)


def main():
    url, file, run = sys.argv[1:]
    records = read_records(file)
    share = len(records) // CARRIERS
    before = umadb.Client(url).head() or 0
    # Not by fork: the client's threads would not live on in it.
    processes = multiprocessing.get_context("spawn")
    are_ready, begin = processes.Barrier(CARRIERS + 1), processes.Barrier(CARRIERS + 1)
    senders = []
    for at in range(CARRIERS):
        own = records[at * share : (at + 1) * share]
        senders.append(processes.Process(target=send, args=(url, f"{run}-{at}", own, are_ready, begin), daemon=True))
    for sender in senders:
        sender.start()
    are_ready.wait(LIMIT_SECONDS)
    print("ready", flush=True)
    sys.stdin.readline()
    started = time.perf_counter()
    begin.wait(LIMIT_SECONDS)
    for sender in senders:
        sender.join(LIMIT_SECONDS)
        if sender.exitcode != 0:
            raise SystemExit(f"a sender ended with {sender.exitcode}")
    seconds = time.perf_counter() - started
    print(json.dumps({"seconds": seconds, "stored": umadb.Client(url).head() - before}))


if __name__ == "__main__":
    main()
