import type { Command } from "commander";
import {
  CdrService,
  type Percentiles,
  QualityDimension,
  QualityDimensionSchema,
  type QualitySummary,
  SummarizeQualityResponseSchema,
  SummaryPeriod,
  SummaryPeriodSchema,
} from "../../gen/tandem/carrier/v1/cdr_service_pb.js";
import { DirectionSchema } from "../../gen/tandem/type/v1/call_pb.js";
import { QualityReasonSchema } from "../../gen/tandem/type/v1/stream_quality_pb.js";
import { asCarrier, type ConnectionOptions, connect, remoteCommand } from "../shared/connection.ts";
import { type Column, formatCount, printMessage, printTable } from "../shared/output.ts";
import { enumListOption, enumName, enumOption, formatTime } from "../shared/values.ts";
import { TIME_HELP, type WindowOptions, windowOf, withWindow } from "../shared/window.ts";
import { type CdrFilterOptions, cdrFilterOf, withCdrFilter } from "./cdr-filter.ts";

interface QualityOptions extends ConnectionOptions, CdrFilterOptions, WindowOptions {
  readonly by: SummaryPeriod;
  readonly group?: QualityDimension[];
}

/** `tandem cdrs quality` */
export function qualityCommand(): Command {
  const command = remoteCommand("quality")
    .description("Summarise how calls went: ASR, NER, ACD, PDD, MOS, and why streams were poor.")
    .addOption(asCarrier())
    .addOption(enumOption("--by <period>", "length of a period", SummaryPeriodSchema).default(SummaryPeriod.DAY, "day"))
    .addOption(enumListOption("--group <dimensions>", "group by these too", QualityDimensionSchema));
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
    .action(async (options: QualityOptions) => {
      using connection = await connect(options, "carrier");
      const filter = cdrFilterOf(options);
      const response = await connection.client(CdrService).summarizeQuality({
        ...windowOf(options),
        period: options.by,
        dimensions: options.group ?? [],
        ...(filter === undefined ? {} : { filter }),
      });
      if (options.json) printMessage(SummarizeQualityResponseSchema, response);
      else printSummaries(response.summaries, options);
    });
}

/** How each dimension is titled and read. */
const DIMENSIONS: readonly { of: QualityDimension; title: string; read: (summary: QualitySummary) => string }[] = [
  { of: QualityDimension.TRUNK, title: "trunk", read: ({ trunkId }) => trunkId ?? "" },
  { of: QualityDimension.CODEC, title: "codec", read: ({ codec }) => codec ?? "" },
  {
    of: QualityDimension.DIRECTION,
    title: "way",
    read: ({ direction }) => enumName(DirectionSchema, direction)?.replace("bound", "") ?? "",
  },
];

const FIGURES = ["calls", "ASR", "NER", "ACD", "no length", "PDD", "MOS", "p10", "poor"];

function printSummaries(summaries: readonly QualitySummary[], { by, group = [] }: QualityOptions): void {
  const dimensions = DIMENSIONS.filter(({ of }) => group.includes(of));
  const columns: Column[] = [
    { title: by === SummaryPeriod.DAY ? "day from" : "hour from" },
    ...dimensions.map(({ title }) => ({ title })),
    ...FIGURES.map((title) => ({ title, align: "right" }) as const),
    { title: "mostly for" },
  ];
  const rows = summaries.map((summary) => [
    formatTime(summary.periodStartTime).slice(0, 16),
    ...dimensions.map(({ read }) => read(summary)),
    ...figuresOf(summary),
    enumName(QualityReasonSchema, summary.poorReasons[0]?.reason ?? 0) ?? "",
  ]);
  printTable(columns, rows, "No calls.");
}

function figuresOf(summary: QualitySummary): string[] {
  const mos = summary.mosLq ?? summary.mosCq;
  return [
    formatCount(summary.attemptCount),
    formatRatio(summary.answerSeizureRatio),
    formatRatio(summary.networkEffectivenessRatio),
    summary.averageCallDurationMs === undefined ? "" : `${Math.round(summary.averageCallDurationMs / 1000)} s`,
    summary.unmeasuredCount === 0n ? "" : formatCount(summary.unmeasuredCount),
    formatMedian(summary.postDialDelayMs, (ms) => `${(ms / 1000).toFixed(1)} s`),
    formatMedian(mos, (score) => score.toFixed(2)),
    mos?.p10.toFixed(2) ?? "",
    formatRatio(summary.poorStreamRatio),
  ];
}

function formatRatio(ratio: number | undefined): string {
  return ratio === undefined ? "" : `${(100 * ratio).toFixed(1)} %`;
}

function formatMedian(percentiles: Percentiles | undefined, format: (value: number) => string): string {
  return percentiles === undefined || percentiles.measuredCount === 0n ? "" : format(percentiles.p50);
}
