import type { Command } from "commander";
import {
  CdrFilterSchema,
  CdrService,
  type Percentiles,
  QualityDimension,
  QualityDimensionSchema,
  type QualitySummary,
  SummaryPeriod,
  SummaryPeriodSchema,
} from "../../gen/tandem/carrier/v1/cdr_service_pb.js";
import { QualityReasonSchema } from "../../gen/tandem/type/v1/stream_quality_pb.js";
import { callAndPrint } from "../shared/calls.ts";
import { type ConnectionOptions, carrierOption, csvCommand } from "../shared/connection.ts";
import { filterOf } from "../shared/fields.ts";
import { formatCount, printRows, type RowColumn } from "../shared/output.ts";
import { enumListOption, enumName, enumOption, formatTime, formatWay } from "../shared/values.ts";
import { lastDay, TIME_HELP, withWindow } from "../shared/window.ts";
import { withCdrFilter } from "./cdr-filter.ts";

interface QualityOptions extends ConnectionOptions {
  readonly period: SummaryPeriod;
  readonly dimensions?: QualityDimension[];
}

/** `tandem cdrs quality` */
export function qualityCommand(): Command {
  const command = csvCommand("quality")
    .description("Summarise how calls went: ASR, NER, ACD, PDD, MOS, and why streams were poor.")
    .addOption(carrierOption())
    .addOption(
      enumOption("--by <period>", "length of a period", SummaryPeriodSchema, "period").default(
        SummaryPeriod.DAY,
        "day",
      ),
    )
    .addOption(enumListOption("--group <dimensions>", "group by these too", QualityDimensionSchema, "dimensions"));
  return withCdrFilter(withWindow(command))
    .addHelpText(
      "after",
      `
ASR: answered calls over attempts. NER: like ASR, but busy, no answer and rejected count as reached. ACD: average duration of
calls of known length; no length: how many are left out. PDD: median time from invite to ringing. MOS: of each call's worst
stream, the median over calls; 90 % of calls are above p10.

${TIME_HELP}

Example:
  tandem cdrs quality --carrier nordlys-tele --from 7d --group trunk,direction`,
    )
    .action((options: QualityOptions) => {
      const request = { ...lastDay(), ...options, filter: filterOf(CdrFilterSchema, options) };
      return callAndPrint(options, CdrService.method.summarizeQuality, request, ({ summaries }) =>
        printSummaries(summaries, options),
      );
    });
}

/** How each dimension is titled and read. */
const DIMENSIONS: readonly (RowColumn<QualitySummary> & { of: QualityDimension })[] = [
  { of: QualityDimension.TRUNK, title: "trunk", read: ({ trunkId }) => trunkId },
  { of: QualityDimension.CODEC, title: "codec", read: ({ codec }) => codec },
  { of: QualityDimension.DIRECTION, title: "way", read: ({ direction }) => formatWay(direction) },
];

const FIGURES: readonly RowColumn<QualitySummary>[] = [
  { title: "calls", align: "right", read: ({ attemptCount }) => formatCount(attemptCount) },
  { title: "ASR", align: "right", read: ({ answerSeizureRatio }) => formatRatio(answerSeizureRatio) },
  { title: "NER", align: "right", read: ({ networkEffectivenessRatio }) => formatRatio(networkEffectivenessRatio) },
  {
    title: "ACD",
    align: "right",
    read: ({ averageCallDurationMs: ms }) => (ms === undefined ? "" : `${Math.round(ms / 1000)} s`),
  },
  {
    title: "no length",
    align: "right",
    read: ({ unmeasuredCount: count }) => (count === 0n ? "" : formatCount(count)),
  },
  {
    title: "PDD",
    align: "right",
    read: ({ postDialDelayMs }) => formatMedian(postDialDelayMs, (ms) => `${(ms / 1000).toFixed(1)} s`),
  },
  { title: "MOS", align: "right", read: (summary) => formatMedian(mosOf(summary), (score) => score.toFixed(2)) },
  { title: "p10", align: "right", read: (summary) => mosOf(summary)?.p10.toFixed(2) },
  { title: "poor", align: "right", read: ({ poorStreamRatio }) => formatRatio(poorStreamRatio) },
  { title: "mostly for", read: ({ poorReasons: [first] }) => enumName(QualityReasonSchema, first?.reason ?? 0) },
];

function printSummaries(summaries: readonly QualitySummary[], { period, dimensions = [] }: QualityOptions): void {
  const start: RowColumn<QualitySummary> = {
    title: period === SummaryPeriod.DAY ? "day from" : "hour from",
    read: ({ periodStartTime }) => formatTime(periodStartTime).slice(0, 16),
  };
  printRows([start, ...DIMENSIONS.filter(({ of }) => dimensions.includes(of)), ...FIGURES], summaries, "No calls.");
}

function mosOf({ mosLq, mosCq }: QualitySummary): Percentiles | undefined {
  return mosLq ?? mosCq;
}

function formatRatio(ratio: number | undefined): string {
  return ratio === undefined ? "" : `${(100 * ratio).toFixed(1)} %`;
}

function formatMedian(percentiles: Percentiles | undefined, format: (value: number) => string): string {
  return percentiles === undefined || percentiles.measuredCount === 0n ? "" : format(percentiles.p50);
}
