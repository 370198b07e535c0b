#!/usr/bin/env bash
# A field whose wire type is not the one of its declared type. Such fields come from a sender whose
# contract has another type for the number. The encoding's rules have a reader treat the field as
# unknown, and go on behind it.
#
# Expected of @bufbuild/protobuf 2.17.0: what Python's protobuf 6.33.0 does. It leaves the text
# field empty, and reads the number behind it: 42.
# Seen: it reads the text field by its declared type. The varint 2 becomes a length, and the two
# bytes of the number behind it become the text. The number is gone, and no error is raised.
# protobufjs 7.5.4 does the same.
#
# Needs Node 20 or later with npm, and Python 3.9 or later with venv. Exits with 0 while it is so,
# with 1 once it is not.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
cd "$folder"

npm init -y >/dev/null
npm install --silent --no-audit --no-fund @bufbuild/protobuf@2.17.0 protobufjs@7.5.4
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check protobuf==6.33.0

# message Call { string trunk_id = 1; int32 duration_s = 2; }
# Sent by whoever has `int32 trunk_id = 1`: trunk 2, 42 s.
cat >read.mjs <<'NODE'
import { create, createFileRegistry, fromBinary } from "@bufbuild/protobuf";
import { FileDescriptorProtoSchema, FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import protobufjs from "protobufjs";

const bytes = Uint8Array.from([0x08, 2, 0x10, 42]);
const field = [
  { name: "trunk_id", number: 1, type: 9, label: 1, jsonName: "trunkId" },
  { name: "duration_s", number: 2, type: 5, label: 1, jsonName: "durationS" },
];
const messageType = [{ name: "Call", field }];
const file = create(FileDescriptorProtoSchema, { name: "call.proto", syntax: "proto3", messageType });
const call = createFileRegistry(create(FileDescriptorSetSchema, { file: [file] })).getMessage("Call");
const show = (name, { trunkId, durationS }) => console.log(`${name}: ${JSON.stringify({ trunkId, durationS })}`);
show("protobuf-es", fromBinary(call, bytes));
const text = 'syntax = "proto3"; message Call { string trunkId = 1; int32 durationS = 2; }';
show("protobufjs", protobufjs.parse(text).root.lookupType("Call").decode(bytes));
NODE

cat >read.py <<'PYTHON'
import json
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

file = descriptor_pb2.FileDescriptorProto(name="call.proto", syntax="proto3")
message = file.message_type.add(name="Call")
message.field.add(name="trunk_id", number=1, type=9, label=1)
message.field.add(name="duration_s", number=2, type=5, label=1)
pool = descriptor_pool.DescriptorPool()
pool.Add(file)
call = message_factory.GetMessageClass(pool.FindMessageTypeByName("Call")).FromString(bytes([0x08, 2, 0x10, 42]))
print("python: " + json.dumps({"trunkId": call.trunk_id, "durationS": call.duration_s}, separators=(",", ":")))
PYTHON

{ node read.mjs; venv/bin/python read.py; } | tee seen
diff - seen <<'SEEN' && echo "still so"
protobuf-es: {"trunkId":"\u0010*","durationS":0}
protobufjs: {"trunkId":"\u0010*","durationS":0}
python: {"trunkId":"","durationS":42}
SEEN
