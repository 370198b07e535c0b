import type { MessageInitShape } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import { TandemError } from "../../domain/errors.ts";
import { recordKey } from "../../domain/privacy/disclosure.ts";
import { timestampFromMicros } from "../../domain/time/instant.ts";
import { DisclosureSchema } from "../../gen/tandem/platform/v1/disclosure_pb.js";
import type { ListDisclosuresRequest } from "../../gen/tandem/platform/v1/privacy_service_pb.js";
import { systemTransaction } from "../../store/database/database.ts";
import {
  type DisclosurePlace,
  type DisclosureSelection,
  type DisclosureSubject,
  type FoundDisclosure,
  findDisclosures,
} from "../../store/privacy/disclosure-lists.ts";
import { readDisclosures, type StoredDisclosure } from "../../store/privacy/disclosure-rows.ts";
import { type AskedRecord, isRecordKnown, readDisclosureTarget } from "../../store/privacy/disclosure-targets.ts";
import { carriersAsked } from "../shared/carriers-asked.ts";
import { requireCarrier, type Services } from "../shared/context.ts";
import { ListPage } from "../shared/list-page.ts";
import type { PageTokenValue } from "../shared/page-token.ts";
import { type AskedDisclosures, readDisclosuresRequest } from "./disclosures-request.ts";
import { type ScanBudget, scanBudget, targetOfNumber } from "./records-of-number.ts";

const STATEMENT_TIMEOUT_MS = 30_000;
/** Most records that a page names, some 1.5 MB; otherwise it is shorter. */
const MAX_NAMED = 20_000;

export async function listDisclosures(services: Services, request: ListDisclosuresRequest, context: HandlerContext) {
  const asked = readDisclosuresRequest(request);
  const page = await ListPage.open(services, context, request, ["platform.ListDisclosures", asked.scope]);
  const selection = { ...asked, after: page.after && placeOf(page.after), limit: page.limit };
  const found: Placed[] = [];
  const budget = scanBudget();
  for await (const carrierId of carriersOf(services, asked)) {
    const subject = await subjectOf(services, carrierId, asked, budget);
    found.push(...(await findAt(services, carrierId, subject, selection)));
    found.sort(newestFirst).splice(page.limit);
  }
  const most = shortened(found, page.size);
  const stored = await readAll(services, found.slice(0, most));
  // One that retention took meanwhile shows as nothing, and still marks a place.
  const show = ({ disclosureId }: Placed) => stored.get(disclosureId) ?? {};
  const { messages, last } = await page.cut(found, DisclosureSchema, show, most);
  return {
    disclosures: messages.filter(({ disclosureId }) => disclosureId !== ""),
    nextPageToken: page.tokenAfter(last && tokenOf(last)),
  };
}

interface Placed extends FoundDisclosure {
  readonly carrierId: string;
}

async function* carriersOf(services: Services, { carrierId, subject }: AskedDisclosures): AsyncGenerator<string> {
  if (subject.of === "number" && carrierId === "") {
    for await (const carrier of carriersAsked(services, "", "")) yield carrier.carrierId;
  } else yield (await requireCarrier(services, carrierId)).carrierId;
}

async function subjectOf(
  services: Services,
  carrierId: string,
  { subject }: AskedDisclosures,
  budget: ScanBudget,
): Promise<DisclosureSubject> {
  switch (subject.of) {
    case "period":
      return subject;
    case "number":
      return { of: "records", ...(await targetOfNumber(services.db, carrierId, subject, budget)) };
    case "record":
      return subjectOfRecord(services, carrierId, subject.record);
    default:
      return subject satisfies never;
  }
}

async function subjectOfRecord(services: Services, carrierId: string, record: AskedRecord): Promise<DisclosureSubject> {
  const { side, recordId, recordDate, revision } = record;
  return systemTransaction(services.db, async (tx) => {
    if (!(await isRecordKnown(tx, carrierId, record))) {
      const metadata = { carrier_id: carrierId, record_id: recordId };
      throw new TandemError("RECORD_NOT_FOUND", "no such record is stored. If it was deleted, ask by period", metadata);
    }
    const target = await readDisclosureTarget(tx, carrierId, side, [record]);
    const only =
      revision === undefined ? undefined : { key: recordKey(carrierId, side, recordId, recordDate), revision };
    return { of: "records", ...target, only };
  });
}

async function findAt(
  services: Services,
  carrierId: string,
  subject: DisclosureSubject,
  selection: DisclosureSelection,
): Promise<Placed[]> {
  if (subject.of === "records" && subject.entries.length === 0 && subject.keys.length === 0) return [];
  const found = await systemTransaction(services.db, (tx) => findDisclosures(tx, carrierId, subject, selection), {
    statementTimeoutMs: STATEMENT_TIMEOUT_MS,
  });
  return found.map((each) => ({ ...each, carrierId }));
}

/** How many of those that were found make a page. */
function shortened(found: readonly Placed[], size: number): number {
  let named = 0;
  const end = found.findIndex(({ namedCount }) => {
    named += namedCount;
    return named > MAX_NAMED;
  });
  return end < 0 ? size : Math.min(size, Math.max(1, end));
}

async function readAll(
  services: Services,
  page: readonly Placed[],
): Promise<Map<string, MessageInitShape<typeof DisclosureSchema>>> {
  const byId = new Map<string, MessageInitShape<typeof DisclosureSchema>>();
  for (const [carrierId, its] of Map.groupBy(page, (each) => each.carrierId)) {
    const ids = its.map(({ disclosureId }) => disclosureId);
    const rows = await systemTransaction(services.db, (tx) => readDisclosures(tx, carrierId, ids), {
      statementTimeoutMs: STATEMENT_TIMEOUT_MS,
    });
    for (const row of rows) byId.set(row.disclosureId, disclosureMessage(row));
  }
  return byId;
}

export function disclosureMessage(stored: StoredDisclosure): MessageInitShape<typeof DisclosureSchema> {
  return { ...stored, commitTime: timestampFromMicros(stored.commitTime) };
}

function newestFirst(a: Placed, b: Placed): number {
  if (a.commitTime !== b.commitTime) return a.commitTime > b.commitTime ? -1 : 1;
  return a.disclosureId > b.disclosureId ? -1 : 1;
}

function placeOf(token: PageTokenValue): DisclosurePlace {
  return { commitTime: BigInt(token["time"] ?? 0), disclosureId: token["id"] ?? "" };
}

function tokenOf({ commitTime, disclosureId }: DisclosurePlace): PageTokenValue {
  return { time: String(commitTime), id: disclosureId };
}
