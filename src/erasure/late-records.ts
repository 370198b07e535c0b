import { type ErasureScope, isInScope, reachesSubscriber } from "../domain/privacy/erasure.ts";
import { CDR, type RecordKind } from "../domain/record-kind.ts";
import { Verdict } from "../gen/tandem/type/v1/upload_pb.js";
import type { Tx } from "../store/database/run.ts";
import { readInForce } from "../store/privacy/erasures.ts";
import type { AppendBatch, AppendRecord, CdrRow, DurationRow, RecordRow } from "../store/records/record-rows.ts";
import type { ErasureJournal } from "./journal.ts";
import { type ErasedParts, eraseRecord } from "./messages-codec.ts";
import { withoutNumber } from "./rejects.ts";

export type LateErasures = readonly ErasureScope[];

/** The erasures in force, for writers: loaded under the feed's lock when its generation changed. */
export class ErasuresInForce {
  readonly #journal: ErasureJournal;
  readonly #carriers = new Map<string, { generation: bigint; scopes: LateErasures }>();
  readonly #scopes = new Map<string, ErasureScope>();

  constructor(journal: ErasureJournal) {
    this.#journal = journal;
  }

  /** The erasures of a carrier whose feed the transaction has locked. */
  async load(tx: Tx, carrierId: string, feed: number, generation: bigint): Promise<LateErasures> {
    if (generation === 0n) return NONE;
    const key = `${feed}:${carrierId}`;
    const known = this.#carriers.get(key);
    if (known?.generation === generation) return known.scopes;
    const scopes = await this.read(tx, carrierId);
    this.#carriers.set(key, { generation, scopes });
    return scopes;
  }

  async read(tx: Tx, carrierId: string): Promise<LateErasures> {
    const entries = await readInForce(tx, carrierId);
    return entries.map((entry) => {
      const scope = this.#scopes.get(entry.erasureId) ?? this.#journal.scopeOf(entry);
      this.#scopes.set(entry.erasureId, scope);
      return scope;
    });
  }
}

const NONE: LateErasures = [];

/** The batches without erased numbers; the same object if nothing changes. */
export function eraseLateBatches(
  batches: readonly AppendBatch[],
  kind: RecordKind,
  scopes: LateErasures,
): readonly AppendBatch[] {
  if (scopes.length === 0) return batches;
  return batches.map((batch) => ({
    ...batch,
    records: eraseRecords(batch, kind, scopes),
    describe: (index, verdict, issue) => withoutNumber(batch.describe(index, verdict, issue), scopes),
  }));
}

// Erasure periods lie in the past, so calls that arrive on time fall outside all of them.
function eraseRecords(batch: AppendBatch, kind: RecordKind, scopes: LateErasures): AppendBatch["records"] {
  const starts = batch.records.flatMap(({ sent }) => sent.startTime ?? []).sort((a, b) => Number(a - b));
  const [first = 0n, last = starts.at(-1) ?? first] = [starts[0], starts.at(-1)];
  const isTimed = starts.length === batch.records.length;
  const near = isTimed ? scopes.filter(({ start, end }) => start <= last && end > first) : scopes;
  if (near.length === 0) return batch.records;
  return batch.records.map((record, index) =>
    record.row === undefined ? eraseRefused(batch, index, near) : eraseLate(record, kind, near),
  );
}

/** A record without erased numbers; the same object if nothing changes. */
export function eraseLate(record: AppendRecord, kind: RecordKind, scopes: LateErasures): AppendRecord {
  let erased = record;
  for (const scope of scopes) {
    if (isInScope(scope, record.sent)) erased = eraseOne(erased, kind, scope) ?? erased;
  }
  return erased;
}

// Of a refused record the text is kept, and its hash would reveal too much.
function eraseRefused(batch: AppendBatch, index: number, scopes: LateErasures): AppendRecord {
  const record = batch.records[index] as AppendRecord;
  const told = batch.describe(index, Verdict.REJECTED, 0);
  const rest = withoutNumber(told, scopes);
  const isSame = rest.recordJson === told.recordJson && rest.message === told.message;
  return isSame ? record : copyOf(record, { erasedBy: [] });
}

function eraseOne(record: AppendRecord, kind: RecordKind, scope: ErasureScope): AppendRecord | undefined {
  const { row } = record;
  if (row === undefined) return undefined;
  const { number } = scope;
  const isCdr = kind === CDR;
  const network = isCdr ? (row as CdrRow).network?.payload : undefined;
  const erased = eraseRecord(kind, wholePayload(row), network, scope);
  if (!erased) return undefined;
  const { attribution } = record;
  const isHolder = reachesSubscriber(scope.role) && number.isNumber(attribution?.phoneNumber);
  return copyOf(record, {
    row: isCdr ? cdrRow(row as CdrRow, erased, scope) : { ...(row as DurationRow), payload: erased.payload },
    attribution: attribution && isHolder ? { ...attribution, phoneNumber: "" } : attribution,
    numbers: record.numbers.filter((each) => !number.isIn(each)),
    encoded: () => {
      const whole = Buffer.from(record.encoded());
      return eraseRecord(kind, whole, undefined, scope)?.payload ?? whole;
    },
    erasedBy: [...(record.erasedBy ?? []), scope.erasureId],
  });
}

function wholePayload({ payload }: RecordRow): Uint8Array {
  return payload instanceof Uint8Array ? payload : payload.bytes.subarray(payload.start, payload.end);
}

function cdrRow(row: CdrRow, erased: ErasedParts, { number }: ErasureScope): CdrRow {
  const masked = (id: string | null) => (id === null ? null : number.mask(id));
  return {
    ...row,
    payload: erased.payload,
    network: erased.network ? { payload: erased.network } : row.network,
    callId: masked(row.callId),
    dialogCallId: masked(row.dialogCallId),
    correlationId: masked(row.correlationId),
    callingNumber: erased.parties.has("calling") ? null : row.callingNumber,
    calledNumber: erased.parties.has("called") ? null : row.calledNumber,
  };
}

// Records have getters, which a spread would lose.
function copyOf(record: AppendRecord, changes: Partial<AppendRecord>): AppendRecord {
  const { sent, attribution, row, numbers, erasedBy } = record;
  const copy = { sent, attribution, row, numbers, encoded: () => record.encoded(), ...changes };
  return erasedBy === undefined ? copy : { erasedBy, ...copy };
}
