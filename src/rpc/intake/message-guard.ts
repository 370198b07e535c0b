import type { DescMethod } from "@bufbuild/protobuf";
import { Code, ConnectError, type ContextValues } from "@connectrpc/connect";
import { compressedFlag, type UniversalHandler, type UniversalServerRequest } from "@connectrpc/connect/protocol";
import { TandemError } from "../../domain/errors.ts";
import type { Limits } from "../../domain/limits.ts";
import { isTransportGone } from "../../port/client-gone.ts";
import { fastGzip } from "../../port/compression.ts";
import type { MemoryHold } from "../../port/memory-budget.ts";
import { type FaultReporter, toConnectError } from "../shared/errors.ts";
import { countBinary, type ElementCount } from "./count-elements.ts";
import { countJson } from "./count-json.ts";
import { asPost } from "./get-request.ts";
import { checkJsonRequest, parseJson } from "./json-faults.ts";
import { boundsOf, type MessageBounds } from "./message-bounds.ts";
import { MessageBytes } from "./message-bytes.ts";
import { type RawMessage, rawMessagesKey } from "./raw-messages.ts";
import { type RecordPath, recordPathOf } from "./record-paths.ts";
import { splitJson } from "./split-json.ts";
import { type MessageShape, shapeOf } from "./wire-shape.ts";

/** What stands between an exchange and its messages. */
export interface GuardedCall {
  /** Received parts of messages that are not whole yet. */
  readonly received: MemoryHold;
  /** What whole messages cost while they are decoded and worked on. */
  readonly decoded: MemoryHold;
  /** Memory for decoded messages is held until this has settled, too. */
  holdDecoded(until: Promise<unknown>): void;
  /** The first part of a framed message has come. */
  messageBegan(): void;
  /** A framed message is whole. */
  messageCame(): void;
}

export interface GuardOptions {
  readonly limits: Limits;
  /** The call of an exchange; undefined: it is not guarded. */
  readonly callOf: (values: ContextValues) => GuardedCall | undefined;
  /**
   * Called for each message of a stream that anyone may send, but for the first, which was paid for
   * with the call. Throws for one too many.
   */
  readonly takeAnonymous: (values: ContextValues) => void;
  readonly report: FaultReporter;
}

/**
 * Puts a guard before each handler. It reads requests in the handler's stead, and gives it only
 * whole messages that were counted and paid for, so that the number of elements is known before
 * Connect decodes a message. Compressed messages are inflated here, because only then can they be
 * counted.
 */
export function guardMessages(handlers: UniversalHandler[], options: GuardOptions): void {
  for (const [index, handler] of handlers.entries()) handlers[index] = guarded(handler, options);
}

function guarded(handler: UniversalHandler, options: GuardOptions): UniversalHandler {
  const { method } = handler;
  const path = recordPathOf(method);
  const guard: MethodGuard = {
    ...options,
    method,
    bounds: boundsOf(method, options.limits),
    shape: shapeOf(method.input),
    records: path && { path, shape: shapeOf(path.record) },
  };
  const handle = (sent: UniversalServerRequest) => {
    const request = asPost(sent, method);
    const values = request.contextValues;
    const call = values && options.callOf(values);
    if (!values || !call || !isByteStream(request.body)) return handler(request);
    const raw: RawMessage[] = [];
    if (path) values.set(rawMessagesKey, raw);
    const body = new GuardedBody(guard, { request, values, call, raw });
    request.body = body.read(request.body);
    const answer = handler(request);
    call.holdDecoded(answer);
    const release = () => body.releaseMessage();
    answer.then(release, release);
    return answer;
  };
  return Object.assign(handle, handler);
}

function isByteStream(body: UniversalServerRequest["body"]): body is AsyncIterable<Uint8Array> {
  return typeof body === "object" && body !== null && Symbol.asyncIterator in body;
}

/** What is known of a method's messages. */
interface MethodGuard extends GuardOptions {
  readonly method: DescMethod;
  readonly bounds: MessageBounds;
  readonly shape: MessageShape;
  /** For a method of records, which takes its messages undecoded. */
  readonly records: { readonly path: RecordPath; readonly shape: MessageShape } | undefined;
}

/** One request. */
interface GuardedRequest {
  readonly request: UniversalServerRequest;
  readonly values: ContextValues;
  readonly call: GuardedCall;
  /** Where the messages of a method of records go. */
  readonly raw: RawMessage[];
}

/**
 * Estimates of what a decoded message costs at most: a field or an item, an object with its own
 * fields, and a byte of JSON with its parsed form. Records are decoded one at a time, and of each
 * stays what is prepared to be stored.
 */
const ELEMENT_BYTES = 32;
const OBJECT_BYTES = 256;
const RECORD_BYTES = 4_096;
const JSON_BYTES = 3;
/** By how much gzip can shrink something at most. */
const MAX_INFLATION = 1_032;
const ENVELOPE_BYTES = 5;
const EMPTY = new Uint8Array(0);
const EMPTY_JSON = Buffer.from("{}");

interface Framing {
  /** Whether messages come in frames of five bytes and a length. */
  readonly isEnveloped: boolean;
  /** The flag of a frame that is the end of a stream, and no message. */
  readonly endFlag: number;
  /** The header that says how messages are compressed. */
  readonly encodingHeader: string;
}

function framingOf(contentType: string): Framing {
  if (/^application\/connect\b/i.test(contentType))
    return { isEnveloped: true, endFlag: 0b10, encodingHeader: "connect-content-encoding" };
  if (/^application\/grpc-web\b/i.test(contentType))
    return { isEnveloped: true, endFlag: 0x80, encodingHeader: "grpc-encoding" };
  const isEnveloped = /^application\/grpc\b/i.test(contentType);
  return { isEnveloped, endFlag: 0, encodingHeader: isEnveloped ? "grpc-encoding" : "content-encoding" };
}

/** The body of one request. */
class GuardedBody {
  readonly #guard: MethodGuard;
  readonly #of: GuardedRequest;
  readonly #isJson: boolean;
  readonly #framing: Framing;
  readonly #isGzip: boolean;
  readonly #isOneMessage: boolean;
  readonly #promisedBytes: number = 0;
  /** What the one message of a request costs, as long as it is held. */
  #heldBytes = 0;
  #messageCount = 0;

  constructor(guard: MethodGuard, of: GuardedRequest) {
    this.#guard = guard;
    this.#of = of;
    const { header } = of.request;
    const { methodKind } = guard.method;
    const contentType = header.get("content-type") ?? "";
    this.#isJson = /\bjson\b/i.test(contentType);
    this.#framing = framingOf(contentType);
    this.#isOneMessage = methodKind === "unary" || methodKind === "server_streaming";
    this.#isGzip = header.get(this.#framing.encodingHeader) === fastGzip.name && !guard.bounds.isAnonymous;
    if (this.#framing.isEnveloped) return;
    this.#promisedBytes = Number(header.get("content-length") ?? 0);
    // Connect would allocate the announced length before anything has come.
    header.delete("content-length");
    // What has been inflated must not be declared as compressed.
    if (this.#isGzip) header.delete("content-encoding");
  }

  /** Whole messages, checked, in the protocol's frames. */
  async *read(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    try {
      yield* this.#framing.isEnveloped ? this.#readEnvelopes(chunks) : this.#readBare(chunks);
    } catch (error) {
      // A connection that breaks here is the client's; the methods could not tell it from the
      // database's.
      const told = isTransportGone(error) ? new TandemError("CANCELLED", "the client left") : error;
      throw told instanceof TandemError ? toConnectError(told, undefined, this.#guard.report) : told;
    }
  }

  /**
   * Gives back what one message costs: once its method has answered, of a stream with the first
   * frame. What a stream keeps of its request is small by its bounds. In a stream of requests, each
   * message is given back when the next is asked for.
   */
  releaseMessage(): void {
    this.#of.call.decoded.remove(this.#heldBytes);
    this.#heldBytes = 0;
  }

  async *#readBare(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    const { bounds } = this.#guard;
    const { call } = this.#of;
    this.#assertSize(this.#promisedBytes);
    using body = new MessageBytes(call.received);
    for await (const chunk of chunks) {
      this.#assertSize(body.length + chunk.length);
      body.append(chunk, Math.min(bounds.maxBytes, this.#promisedBytes || bounds.maxBytes));
    }
    yield* this.#check(body, this.#isGzip, false);
  }

  async *#readEnvelopes(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    const head = Buffer.alloc(ENVELOPE_BYTES);
    let headLength = 0;
    using message = new MessageBytes(this.#of.call.received);
    for await (const chunk of chunks) {
      for (let at = 0; at < chunk.length; ) {
        this.#of.call.messageBegan();
        if (headLength < ENVELOPE_BYTES) {
          head[headLength++] = chunk[at++] as number;
          if (headLength < ENVELOPE_BYTES) continue;
          this.#assertSize(head.readUInt32BE(1));
        }
        const length = head.readUInt32BE(1);
        const part = chunk.subarray(at, at + length - message.length);
        message.append(part, length);
        at += part.length;
        if (message.length < length) continue;
        headLength = 0;
        this.#of.call.messageCame();
        yield* this.#takeEnvelope(head.readUInt8(0), message);
      }
    }
    if (headLength > 0) throw new ConnectError("protocol error: incomplete envelope", Code.InvalidArgument);
  }

  async *#takeEnvelope(flags: number, message: MessageBytes): AsyncGenerator<Uint8Array> {
    this.#messageCount += 1;
    const { bounds, takeAnonymous } = this.#guard;
    if (this.#messageCount > 1 && bounds.isAnonymous) takeAnonymous(this.#of.values);
    const isCompressed = (flags & compressedFlag) !== 0;
    const isMessage = (flags & this.#framing.endFlag) === 0;
    if (isMessage && (!isCompressed || this.#isGzip)) yield* this.#check(message, isCompressed, true, flags);
    // Connect refuses a compressed message without a named encoding. It skips end frames as well,
    // but inflates them first.
    else if (isMessage) yield Buffer.concat([envelopeHead(flags, message.length), message.bytes]);
    message[Symbol.dispose]();
  }

  /** Passes a whole message on once it was counted and its cost was paid for. */
  async *#check(
    message: MessageBytes,
    isCompressed: boolean,
    isEnveloped: boolean,
    flags = 0,
  ): AsyncGenerator<Uint8Array> {
    const { call, request } = this.#of;
    using inflated = new MessageBytes(call.received);
    const whole = isCompressed ? inflated : message;
    if (isCompressed) {
      await this.#inflate(message.bytes, inflated);
      message[Symbol.dispose]();
    }
    const counted = this.#count(whole.bytes);
    const held = await call.decoded.addWhenRoom(this.#costOf(whole.bytes, counted), request.signal);
    if (this.#isOneMessage) this.#heldBytes += held;
    const given = this.#giveRaw(whole.bytes, counted.split);
    if (isEnveloped) yield envelopeHead(flags & ~compressedFlag, given.length);
    if (given.length > 0) yield given;
    // When the next message of a stream is asked for, the method has taken this one. In a request
    // of one message it is only asked whether there is more.
    if (!this.#isOneMessage) call.decoded.remove(held);
  }

  /** The inflated size is paid for before it is inflated. */
  async #inflate(compressed: Uint8Array<ArrayBuffer>, inflated: MessageBytes): Promise<void> {
    const { call, request } = this.#of;
    const { bounds } = this.#guard;
    const most = Math.min(bounds.maxBytes, compressed.length * MAX_INFLATION);
    const held = await call.decoded.addWhenRoom(most, request.signal);
    try {
      const bytes = await fastGzip.decompress(compressed, bounds.maxBytes);
      inflated.append(bytes, bytes.length);
    } finally {
      call.decoded.remove(held);
    }
  }

  #count(bytes: Uint8Array): ElementCount & Pick<RawMessage, "split"> {
    const { bounds, shape, records, method, limits } = this.#guard;
    if (!this.#isJson) return countBinary(shape, bytes, bounds, records?.shape);
    if (records) {
      const split = splitJson(records.path, bytes, limits.maxBatchRecords);
      return { ...countJson(split.head, bounds), records: split.bounds.length / 2, split };
    }
    const counted = countJson(bytes, bounds, bounds.hasFieldMask);
    // Methods that anyone may call are not of this contract, and nothing is parsed twice for
    // strangers. What is not JSON is refused where it is decoded.
    if (!bounds.isAnonymous)
      checkJsonRequest(
        method.input,
        parseJson(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString()) ?? null,
      );
    return counted;
  }

  /** What Connect gets of a message: an empty one, if its method takes it undecoded. */
  #giveRaw(bytes: Uint8Array, split: RawMessage["split"]): Uint8Array {
    if (!this.#guard.records) return bytes;
    this.#of.raw.push({ bytes, isJson: this.#isJson, split });
    return this.#isJson ? EMPTY_JSON : EMPTY;
  }

  #costOf({ length }: Uint8Array, { elements, objects, records = 0 }: ElementCount): number {
    const inside = elements * ELEMENT_BYTES + objects * OBJECT_BYTES + records * RECORD_BYTES;
    return length * (this.#isJson ? JSON_BYTES : 1) + inside;
  }

  #assertSize(bytes: number): void {
    const { maxBytes } = this.#guard.bounds;
    if (bytes <= maxBytes) return;
    const limit = String(maxBytes);
    throw new TandemError("MESSAGE_TOO_LARGE", `the message is over ${limit} bytes`, { limit, unit: "bytes" });
  }
}

function envelopeHead(flags: number, length: number): Uint8Array {
  const head = Buffer.alloc(ENVELOPE_BYTES);
  head.writeUInt8(flags);
  head.writeUInt32BE(length, 1);
  return head;
}
