import { create, type DescMessage, type MessageInitShape, type MessageShape } from "@bufbuild/protobuf";
import { Command, Option } from "commander";

// Options that have the names of the contract's fields in the code: together they are a request, or
// a part of one. What else a command was given, messages leave out.

/** The fields of a message that a command's options fill. */
export type Filled<Desc extends DescMessage> = Partial<Omit<MessageShape<Desc>, "$typeName" | "$unknown">>;

type Parse<T> = (text: string, before: T) => T;

/** A command of which options fill fields, whatever they are called on the command line. */
export class FieldsCommand extends Command {
  /** As `option`, for one that fills a field. */
  field<T = string>(field: string, flags: string, description: string, parse?: Parse<T>): this {
    return this.addOption(fieldOption(field, flags, description, parse));
  }

  /** As `requiredOption`, for one that fills a field. */
  requiredField<T = string>(field: string, flags: string, description: string, parse?: Parse<T>): this {
    return this.addOption(fieldOption(field, flags, description, parse).makeOptionMandatory());
  }
}

/** An option that fills a field. */
export function fieldOption<T = string>(field: string, flags: string, description: string, parse?: Parse<T>): Option {
  const option = filling(field, new Option(flags, description));
  return parse === undefined ? option : option.argParser(parse);
}

/** Makes an option fill a field. */
export function filling(field: string, option: Option): Option {
  option.attributeName = () => field;
  return option;
}

/**
 * The filter that the options mean; undefined when they name none, for a cursor is bound to its
 * filter.
 */
export function filterOf<Desc extends DescMessage>(schema: Desc, options: object): MessageShape<Desc> | undefined {
  const isNamed = schema.fields.some(({ localName }) => localName in options);
  return isNamed ? create(schema, options as MessageInitShape<Desc>) : undefined;
}
