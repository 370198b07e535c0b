import { create, type DescMessage, type MessageInitShape, type MessageShape } from "@bufbuild/protobuf";

/** The fields of a message. One that is undefined is left out. */
export type FieldsOf<Desc extends DescMessage> = Loose<MessageInitShape<Desc>>;

type Loose<T> = T extends bigint | boolean | number | string | Uint8Array | undefined
  ? T
  : T extends readonly (infer Item)[]
    ? readonly Loose<Item>[]
    : { [Field in keyof T]?: Loose<T[Field]> | undefined };

/** Creates a message. Unlike the types of `create`, these allow a field to be undefined. */
export function messageOf<Desc extends DescMessage>(schema: Desc, fields: FieldsOf<Desc>): MessageShape<Desc> {
  return create(schema, fields as MessageInitShape<Desc>);
}
