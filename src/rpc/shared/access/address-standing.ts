import { addressGroup } from "../../../port/address-group.ts";
import { addressSpender, type Spender } from "../../../port/memory-budget.ts";
import type { PortRequest } from "../../../port/port.ts";
import { readClientCertificate } from "../../../trust/client-certificate.ts";
import type { Trust } from "../../../trust/trust.ts";

/**
 * Whom a request's memory is charged to until its call is judged. Callers with a credential, even a
 * false one, do not share with those without: the latter may stay for as long as they like, while a
 * credential is judged at once.
 */
export function unknownSpender(request: PortRequest, trust: Trust): Spender {
  const socket = "stream" in request ? request.stream.session?.socket : request.socket;
  const showsCredential =
    request.headers.authorization !== undefined || readClientCertificate(socket, trust)?.isTrusted === true;
  return addressSpender(showsCredential ? "unjudged" : "stranger", addressGroup(socket?.remoteAddress));
}
