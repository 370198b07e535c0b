import { addressGroup } from "../../../port/address-group.ts";
import { addressSpender, type Spender } from "../../../port/memory-budget.ts";
import type { PortRequest } from "../../../port/port.ts";
import { readClientCertificate } from "../../../trust/client-certificate.ts";
import type { Trust } from "../../../trust/trust.ts";

/**
 * Who a request's memory is spent for until its call is judged. Whoever shows a credential, be it a
 * false one, does not share with those who show none: those may stay for as long as they like,
 * while a credential is judged at once.
 */
export function unknownSpender(request: PortRequest, trust: Trust): Spender {
  const socket = "stream" in request ? request.stream.session?.socket : request.socket;
  const showsCredential =
    request.headers.authorization !== undefined || readClientCertificate(socket, trust)?.isTrusted === true;
  return addressSpender(showsCredential ? "unjudged" : "stranger", addressGroup(socket?.remoteAddress));
}
