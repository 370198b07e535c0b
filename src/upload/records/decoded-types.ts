import { TimestampSchema } from "@bufbuild/protobuf/wkt";
import { PartySchema } from "../../gen/tandem/type/v1/party_pb.js";
import { decodedType } from "./message-decoder.ts";

/** A party. Its value outlives the record. */
export const PARTY = decodedType(
  PartySchema,
  (v) => ({
    $typeName: "tandem.type.v1.Party",
    kind: v[1],
    value: v[2],
    countryCode: v[3],
    presentation: v[4],
  }),
  { copied: ["value"], optional: ["country_code"] },
);

/** A time. */
export const TIMESTAMP = decodedType(TimestampSchema, (v) => ({
  $typeName: "google.protobuf.Timestamp",
  seconds: v[1],
  nanos: v[2],
}));
