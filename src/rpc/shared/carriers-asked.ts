import type { Carrier } from "../../domain/carriers/carrier.ts";
import { listCarriers } from "../../store/carriers/carriers.ts";
import { systemTransaction } from "../../store/database/database.ts";
import { requireCarrier, type Services } from "./context.ts";

/** How many carriers are read at once. */
const CARRIER_PAGE = 100;

/**
 * The carriers that a request asks for: the one that it names, or with an empty id every one that
 * this process serves, by id.
 * @param from the carrier to go on with, where a page ended; empty: the first.
 * @throws TandemError CARRIER_NOT_FOUND.
 */
export async function* carriersAsked(services: Services, carrierId: string, from: string): AsyncGenerator<Carrier> {
  if (carrierId !== "") {
    yield await requireCarrier(services, carrierId);
    return;
  }
  const { region } = services.config;
  if (from !== "") yield await requireCarrier(services, from);
  let after = from;
  while (true) {
    const page = { afterCarrierId: after, limit: CARRIER_PAGE };
    const carriers = await systemTransaction(services.db, (tx) =>
      listCarriers(tx, region === undefined ? {} : { region }, page),
    );
    yield* carriers;
    const last = carriers.at(-1);
    if (!last || carriers.length < CARRIER_PAGE) return;
    after = last.carrierId;
  }
}
