import { type DescField, type DescMessage, ScalarType } from "@bufbuild/protobuf";

/** How the wire writes a field: the wire types of protobuf's encoding. */
export const Wire = { VARINT: 0, FIXED64: 1, DELIMITED: 2, START_GROUP: 3, END_GROUP: 4, FIXED32: 5 } as const;

/** A field, as far as its bytes can be walked through without being decoded. */
export interface FieldShape {
  readonly wire: number;
  /** The wire type of an item, if items may be packed into one field; -1: they may not. */
  readonly packed: number;
  /** The fields inside a message or an entry of a map. */
  readonly inner: MessageShape | undefined;
}

/** The fields of a message by their numbers. */
export type MessageShape = readonly (FieldShape | undefined)[];

const shapes = new WeakMap<DescMessage, MessageShape>();

/** The shape of a message, made once. */
export function shapeOf(message: DescMessage): MessageShape {
  const known = shapes.get(message);
  if (known) return known;
  const shape: (FieldShape | undefined)[] = [];
  // Set before its fields are, so that a recursive message finds this one.
  shapes.set(message, shape);
  for (const field of message.fields) shape[field.number] = fieldShape(field);
  return shape;
}

function fieldShape(field: DescField): FieldShape {
  switch (field.fieldKind) {
    case "scalar":
      return scalarShape(field.scalar);
    case "enum":
      return scalarShape(ScalarType.INT32);
    case "message":
      return { ...DELIMITED, inner: shapeOf(field.message) };
    case "list": {
      if (field.listKind === "message") return { ...DELIMITED, inner: shapeOf(field.message) };
      const item = scalarShape(field.listKind === "enum" ? ScalarType.INT32 : field.scalar);
      return item.wire === Wire.DELIMITED ? item : { ...item, packed: item.wire };
    }
    case "map":
      return { ...DELIMITED, inner: [undefined, scalarShape(field.mapKey), mapValueShape(field)] };
    default:
      return field satisfies never;
  }
}

const DELIMITED: FieldShape = { wire: Wire.DELIMITED, packed: -1, inner: undefined };

function mapValueShape(field: DescField & { fieldKind: "map" }): FieldShape {
  if (field.mapKind === "message") return { ...DELIMITED, inner: shapeOf(field.message) };
  return scalarShape(field.mapKind === "enum" ? ScalarType.INT32 : field.scalar);
}

function scalarShape(scalar: ScalarType): FieldShape {
  switch (scalar) {
    case ScalarType.STRING:
    case ScalarType.BYTES:
      return DELIMITED;
    case ScalarType.DOUBLE:
    case ScalarType.FIXED64:
    case ScalarType.SFIXED64:
      return { ...DELIMITED, wire: Wire.FIXED64 };
    case ScalarType.FLOAT:
    case ScalarType.FIXED32:
    case ScalarType.SFIXED32:
      return { ...DELIMITED, wire: Wire.FIXED32 };
    default:
      return { ...DELIMITED, wire: Wire.VARINT };
  }
}
