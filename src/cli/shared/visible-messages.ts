import type { DescMessage, Message } from "@bufbuild/protobuf";
import type { Interceptor } from "@connectrpc/connect";
import { visibleText } from "../../domain/privacy/visible-text.ts";
import { visitField } from "../../rpc/shared/masking/message-fields.ts";

/**
 * Makes every text of every answer fit for a terminal before a command sees it, so no table or line
 * can forget to. For commands that print for people; JSON and CSV have escapes that can be read
 * back.
 */
export const visibleAnswers: Interceptor = (next) => async (request) => {
  const response = await next(request);
  if (response.stream) return { ...response, message: eachVisible(response.method.output, response.message) };
  makeVisible(response.method.output, response.message as Message);
  return response;
};

async function* eachVisible<T>(schema: DescMessage, messages: AsyncIterable<T>): AsyncIterable<T> {
  for await (const message of messages) {
    makeVisible(schema, message as Message);
    yield message;
  }
}

function makeVisible(schema: DescMessage, message: Message): void {
  for (const field of schema.fields) {
    visitField(message, field, (value, set) => {
      if (field.message) makeVisible(field.message, value as Message);
      else if (typeof value === "string") set(visibleText(value));
    });
  }
}
