import { type Kysely, sql } from "kysely";

// Frozen. What usage asks for: a customer's numbers over time, calls that were judged anew, and the
// sums of closed periods.

const CHANGES = `
CREATE INDEX number_holding_customer ON number_holding (customer_id, phone_number) WHERE customer_id IS NOT NULL;
CREATE INDEX call_result_update ON call_result (carrier_id, update_time);

ALTER TABLE usage_period ADD COLUMN judged jsonb NOT NULL;
ALTER TABLE usage_period ADD COLUMN closed_totals bigint[] NOT NULL;
ALTER TABLE usage_period ADD COLUMN current_totals bigint[] NOT NULL;
CREATE INDEX usage_period_checked ON usage_period (checked_time);
`;

export async function up(db: Kysely<unknown>): Promise<void> {
  await sql.raw(CHANGES).execute(db);
}
