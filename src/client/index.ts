// biome-ignore-all lint/performance/noBarrelFile: users of the package import this; no file here does
export { CdrService } from "../gen/tandem/carrier/v1/cdr_service_pb.js";
export { DurationService } from "../gen/tandem/carrier/v1/duration_service_pb.js";
export { NumberService } from "../gen/tandem/carrier/v1/number_service_pb.js";
export { ReconciliationService } from "../gen/tandem/carrier/v1/reconciliation_service_pb.js";
export { CdrService as PlatformCdrService } from "../gen/tandem/platform/v1/platform_cdr_service_pb.js";
export { type CursorStore, type FeedPosition, fileCursorStore, memoryCursorStore } from "./cursor-store.ts";
export { type ClientFault, TandemClientError, type TandemReason, tandemReason } from "./errors.ts";
export { type CdrRun, type FollowCdrsOptions, followCdrs } from "./follow-cdrs.ts";
export {
  type DiscrepancyRun,
  type FollowDiscrepanciesOptions,
  followDiscrepancies,
} from "./follow-discrepancies.ts";
export {
  type FeedEvent,
  type FeedMessage,
  type FollowedFeed,
  type FollowOptions,
  type FollowResult,
  followFeed,
} from "./follow-feed.ts";
export { type FollowNumbersOptions, followNumbers, type NumberRun } from "./follow-numbers.ts";
export { type IngestCdrsOptions, ingestCdrs } from "./ingest-cdrs.ts";
export type { RetryOptions } from "./retry.ts";
export { createTandemTransport, type TandemTransport, type TandemTransportOptions } from "./transport.ts";
export { type UploadEvent, type UploadOptions, type UploadResult, uploadRecords } from "./upload.ts";
export { uploadDurations } from "./upload-durations.ts";
export type { ClientFrame, ServerFrame, UploadChannel } from "./upload-frames.ts";
export { arraySource, type UploadSource } from "./upload-source.ts";
