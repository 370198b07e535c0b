import type pg from "pg";

/** What pg's Connection is asked for each statement with parameters; not in its types. */
interface BindConfig {
  portal?: string | undefined;
  statement?: string | undefined;
  values?: readonly unknown[] | undefined;
  binary?: boolean | undefined;
  valueMapper: (value: unknown, index: number) => string | Buffer | null;
}

interface Connection {
  stream: NodeJS.WritableStream;
  bind(config: BindConfig): void;
}

/** Smaller parameters are left to pg, whose one buffer for all is cheaper then. */
const DIRECT_BYTES = 16_384;

/**
 * Sends large binary parameters from where they are. pg copies every parameter into one message in a buffer that grows step by step: a column of a
 * megabyte was copied several times, and the memory that this took had the garbage collector run three times as often during uploads.
 */
export function bindDirectly(client: pg.PoolClient): void {
  const { connection } = client as unknown as { connection: Connection };
  const bind = connection.bind.bind(connection);
  connection.bind = (config) => {
    if (!config.values?.some((value) => Buffer.isBuffer(value) && value.length >= DIRECT_BYTES)) return bind(config);
    // Mapped before anything is written: a value that cannot be mapped throws, and the connection stays usable.
    const values = config.values.map((value, index) => config.valueMapper(value, index));
    for (const part of bindMessage(config, values)) connection.stream.write(part);
  };
}

// Bind of the PostgreSQL frontend/backend protocol 3.0 (postgresql.org/docs/current/protocol-message-formats.html).
function bindMessage(config: BindConfig, values: readonly (string | Buffer | null)[]): Buffer[] {
  const parts: Buffer[] = [Buffer.from(`${config.portal ?? ""}\0${config.statement ?? ""}\0`)];
  parts.push(int16s([values.length, ...values.map((value) => (Buffer.isBuffer(value) ? 1 : 0)), values.length]));
  for (const value of values) {
    const bytes = typeof value === "string" ? Buffer.from(value) : value;
    parts.push(int32(bytes === null ? -1 : bytes.length));
    if (bytes !== null) parts.push(bytes);
  }
  parts.push(int16s([1, config.binary ? 1 : 0]));
  const length = parts.reduce((sum, part) => sum + part.length, 4);
  return [Buffer.from("B"), int32(length), ...parts];
}

function int32(value: number): Buffer {
  const buffer = Buffer.allocUnsafe(4);
  buffer.writeInt32BE(value);
  return buffer;
}

function int16s(values: readonly number[]): Buffer {
  const buffer = Buffer.allocUnsafe(values.length * 2);
  for (const [index, value] of values.entries()) buffer.writeUInt16BE(value, index * 2);
  return buffer;
}
