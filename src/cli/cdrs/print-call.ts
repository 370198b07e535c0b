import { type Timestamp, timestampMs } from "@bufbuild/protobuf/wkt";
import type { CallExplanation } from "../../gen/tandem/platform/v1/platform_reconciliation_service_pb.js";
import type { CallDetailRecord } from "../../gen/tandem/type/v1/call_detail_record_pb.js";
import { DirectionSchema, RecordKind, ReleasePartySchema } from "../../gen/tandem/type/v1/call_pb.js";
import {
  MeasuringEdgeSchema,
  QualityReasonSchema,
  QualityVerdictSchema,
  StreamDirectionSchema,
  type StreamQuality,
} from "../../gen/tandem/type/v1/stream_quality_pb.js";
import { formatHeadline } from "../reconcile/print-headline.ts";
import { printFields, printRows, type RowColumn, styled } from "../shared/output.ts";
import { enumName, formatDuration, formatParty, formatTime } from "../shared/values.ts";
import { terminalWidth } from "../terminal/width.ts";
import { formatRevision } from "./print-cdrs.ts";

/** Prints a call: each leg with its line of time, its streams, and how it was judged. */
export function printCall(legs: readonly CallDetailRecord[], explanations: readonly CallExplanation[]): void {
  for (const [index, leg] of legs.entries()) {
    if (index > 0) console.log();
    printLeg(leg, legs.length > 1 ? `, leg ${index + 1} of ${legs.length}` : "");
  }
  const results = explanations.flatMap(({ result }) => (result ? [formatHeadline(result, undefined)] : []));
  console.log();
  printFields([["reconciled", results.join("; ") || "not judged yet"]]);
}

function printLeg(leg: CallDetailRecord, which: string): void {
  const { parties, times, lengths, outcome, route, attribution, correlation } = leg;
  const parts = [
    formatParty(parties?.calling) || "withheld",
    "->",
    formatParty(parties?.called) || "withheld",
    leg.kind === RecordKind.VOID ? "(taken back)" : "",
  ];
  console.log(styled("bold", `${parts.join(" ").trim()}${which}`));
  for (const line of formatTimeline(leg)) console.log(line);
  printFields([
    ["call", `${leg.callId}, ${enumName(DirectionSchema, leg.direction) ?? ""}, record ${formatRevision(leg)}`],
    ["customer", attribution && `${attribution.customerId}, by ${attribution.phoneNumber}`],
    ["began", formatTime(times?.inviteTime, "milliseconds")],
    ["connected", formatDuration(lengths?.connectedDurationMs)],
    ["ended", [outcome?.finalSipCode, outcome?.reasonPhrase, releasedBy(leg)].filter(Boolean).join(" ")],
    ["trunk", [route?.trunkId, route?.codec].filter(Boolean).join(", ")],
    ["SIP Call-ID", correlation?.interconnectDialog?.callId],
    ["quality", formatVerdict(leg)],
  ]);
  if (leg.streamQualities.length > 0) printRows(STREAMS, leg.streamQualities, "");
}

function releasedBy({ outcome }: CallDetailRecord): string {
  const party = enumName(ReleasePartySchema, outcome?.releaseParty ?? 0);
  return party === undefined ? "" : `(by the ${party})`;
}

function formatVerdict({ qualityVerdict, qualityReasons }: CallDetailRecord): string {
  const reasons = qualityReasons.map((reason) => enumName(QualityReasonSchema, reason)).join(", ");
  return [enumName(QualityVerdictSchema, qualityVerdict), reasons].filter(Boolean).join(": ");
}

/** Widest line of time. */
const MOST_COLUMNS = 72;
const MARKS = { inviteTime: "invite", ringingTime: "ringing", answerTime: "answer", endTime: "end" } as const;

/** From invite to end in one line, with the seconds since the invite below. */
function formatTimeline({ times }: CallDetailRecord): string[] {
  const known = Object.entries(MARKS).flatMap(([field, name]) => {
    const time = times?.[field as keyof typeof MARKS];
    return time === undefined ? [] : [{ name, ms: timestampMs(time as Timestamp) }];
  });
  const [first] = known;
  const last = known.at(-1);
  if (!first || !last || first === last) return [];
  const columns = Math.min(terminalWidth() ?? MOST_COLUMNS, MOST_COLUMNS) - 16;
  const span = Math.max(1, last.ms - first.ms);
  const marks = known.map(({ name, ms }) => ({ name, ms, at: Math.round(((ms - first.ms) / span) * columns) }));
  const bar = Array.from({ length: columns + 1 }, (_, at) => barAt(at, marks));
  return [
    bar.join(""),
    styled("dim", marks.map(({ name, ms }) => `${name} +${((ms - first.ms) / 1_000).toFixed(1)} s`).join("  ")),
  ];
}

function barAt(at: number, marks: readonly { readonly name: string; readonly at: number }[]): string {
  if (marks.some((mark) => mark.at === at)) return "|";
  const answer = marks.find(({ name }) => name === "answer");
  return answer && at > answer.at ? "=" : "-";
}

const ratio = (value: number | undefined) => (value === undefined ? undefined : `${(100 * value).toFixed(2)} %`);
const ms = (value: number | undefined) => (value === undefined ? undefined : `${value.toFixed(1)} ms`);

const STREAMS: readonly RowColumn<StreamQuality>[] = [
  { title: "stream", read: ({ direction }) => enumName(StreamDirectionSchema, direction) },
  { title: "at", read: ({ edge }) => enumName(MeasuringEdgeSchema, edge) },
  { title: "codec", read: ({ codec }) => codec },
  { title: "MOS", align: "right", read: ({ mosLq, mosCq }) => (mosLq ?? mosCq)?.toFixed(2) },
  { title: "loss", align: "right", read: ({ lossRatioAvg }) => ratio(lossRatioAvg) },
  { title: "jitter", align: "right", read: ({ jitterAvgMs }) => ms(jitterAvgMs) },
  { title: "round trip", align: "right", read: ({ roundTripAvgMs }) => ms(roundTripAvgMs) },
  { title: "verdict", read: ({ verdict }) => enumName(QualityVerdictSchema, verdict) },
];
