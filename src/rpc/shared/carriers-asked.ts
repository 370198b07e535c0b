import type { Carrier } from "../../domain/carriers/carrier.ts";
import { eachCarrier } from "../../store/carriers/carriers.ts";
import { requireCarrier, type Services } from "./context.ts";

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
  yield* eachCarrier(services.db, { region }, from);
}
