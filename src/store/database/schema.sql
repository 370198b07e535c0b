-- The schema of a freshly migrated database, read from its catalogs. Nothing runs this file:
-- it is there to be read, so that a change of the schema shows in review. A test compares it;
-- `npm run schema:dump` writes it. It leaves out the weekly partitions and Kysely's own tables.

CREATE ROLE tandem_carrier NOLOGIN NOINHERIT;
CREATE ROLE tandem_system NOLOGIN NOINHERIT;

CREATE TABLE audit_chain (
  carrier_id text NOT NULL,
  first_sequence bigint NOT NULL,
  turns bigint DEFAULT 0 NOT NULL
) WITH (fillfactor=50);
ALTER TABLE audit_chain ADD CONSTRAINT audit_chain_pkey PRIMARY KEY (carrier_id);
ALTER TABLE audit_chain ENABLE ROW LEVEL SECURITY;
CREATE POLICY carrier_sees_its_own ON audit_chain TO tandem_carrier
  USING (((carrier_id = current_setting('tandem.carrier_id'::text, true)) AND (carrier_id <> ''::text)))
  WITH CHECK (((carrier_id = current_setting('tandem.carrier_id'::text, true)) AND (carrier_id <> ''::text)));
CREATE POLICY system_sees_all ON audit_chain TO tandem_system
  USING (true)
  WITH CHECK (true);
GRANT SELECT ON audit_chain TO tandem_carrier;
GRANT INSERT, SELECT ON audit_chain TO tandem_system;
GRANT UPDATE (turns) ON audit_chain TO tandem_carrier;
GRANT UPDATE (turns) ON audit_chain TO tandem_system;

CREATE TABLE audit_event (
  carrier_id text NOT NULL,
  sequence bigint NOT NULL,
  event_time timestamp with time zone NOT NULL,
  actor text NOT NULL,
  method text NOT NULL,
  resource text NOT NULL,
  outcome smallint NOT NULL,
  error_reason text,
  request_id text,
  changed_fields text[] NOT NULL,
  details_json text NOT NULL,
  previous_hash bytea NOT NULL,
  entry_hash bytea NOT NULL
);
ALTER TABLE audit_event ADD CONSTRAINT audit_event_outcome_check CHECK (((outcome >= 1) AND (outcome <= 3)));
ALTER TABLE audit_event ADD CONSTRAINT audit_event_pkey PRIMARY KEY (carrier_id, sequence);
CREATE INDEX audit_event_time ON audit_event USING btree (carrier_id, event_time);
ALTER TABLE audit_event ENABLE ROW LEVEL SECURITY;
CREATE POLICY carrier_appends_to_its_own ON audit_event FOR INSERT TO tandem_carrier
  WITH CHECK (((carrier_id = current_setting('tandem.carrier_id'::text, true)) AND (carrier_id <> ''::text)));
CREATE POLICY system_sees_all ON audit_event TO tandem_system
  USING (true)
  WITH CHECK (true);
GRANT INSERT ON audit_event TO tandem_carrier;
GRANT INSERT, SELECT ON audit_event TO tandem_system;

CREATE TABLE audit_head (
  carrier_id text NOT NULL,
  sequence bigint NOT NULL,
  entry_hash bytea NOT NULL,
  event_time timestamp with time zone NOT NULL
);
ALTER TABLE audit_head ADD CONSTRAINT audit_head_entry_hash_check CHECK ((octet_length(entry_hash) = 32));
ALTER TABLE audit_head ADD CONSTRAINT audit_head_pkey PRIMARY KEY (carrier_id, sequence);
ALTER TABLE audit_head ADD CONSTRAINT audit_head_sequence_check CHECK ((sequence > 0));
ALTER TABLE audit_head ENABLE ROW LEVEL SECURITY;
CREATE POLICY carrier_sees_its_own ON audit_head TO tandem_carrier
  USING (((carrier_id = current_setting('tandem.carrier_id'::text, true)) AND (carrier_id <> ''::text)))
  WITH CHECK (((carrier_id = current_setting('tandem.carrier_id'::text, true)) AND (carrier_id <> ''::text)));
CREATE POLICY system_sees_all ON audit_head TO tandem_system
  USING (true)
  WITH CHECK (true);
GRANT INSERT, SELECT ON audit_head TO tandem_carrier;
GRANT INSERT, SELECT ON audit_head TO tandem_system;

CREATE TABLE call_result (
  carrier_id text NOT NULL,
  side smallint NOT NULL,
  record_id text NOT NULL,
  record_date date NOT NULL,
  revision integer NOT NULL,
  carrier_record_ids text[] NOT NULL,
  carrier_record_dates date[] NOT NULL,
  carrier_revisions integer[] NOT NULL,
  start_time timestamp with time zone NOT NULL,
  call_date date NOT NULL,
  status smallint NOT NULL,
  causes smallint NOT NULL,
  matched_by smallint NOT NULL,
  pending_reason smallint NOT NULL,
  is_open boolean NOT NULL,
  is_merged boolean NOT NULL,
  due_time timestamp with time zone,
  direction smallint NOT NULL,
  phone_number text COLLATE "C",
  customer_id text,
  trunk_id text,
  call_id text,
  other_number text,
  other_country text,
  platform_answered boolean,
  carrier_answered boolean,
  platform_ms bigint,
  carrier_ms bigint,
  billed_s bigint,
  clock_trunk text,
  clock_time timestamp with time zone,
  vote_ms bigint,
  pair_key bigint,
  correlation_key bigint,
  result_hash bigint NOT NULL,
  arrival_time timestamp with time zone NOT NULL,
  update_time timestamp with time zone NOT NULL,
  discrepancy_id text,
  discrepancy_revision integer NOT NULL,
  first_seen_time timestamp with time zone,
  resolved_time timestamp with time zone,
  sequence bigint,
  payload bytea,
  is_erased boolean DEFAULT false NOT NULL,
  usage_customer_id text,
  id_keys bigint[],
  summed_customer_id text
);
ALTER TABLE call_result ADD CONSTRAINT call_result_pkey PRIMARY KEY (carrier_id, record_date, record_id, side);
ALTER TABLE call_result ADD CONSTRAINT call_result_side_check CHECK ((side = ANY (ARRAY[1, 2])));
CREATE INDEX call_result_clock ON call_result USING btree (carrier_id, clock_trunk, clock_time) WHERE ((side = 2) AND is_open);
CREATE INDEX call_result_correlation ON call_result USING btree (carrier_id, correlation_key) WHERE (correlation_key IS NOT NULL);
CREATE UNIQUE INDEX call_result_discrepancy ON call_result USING btree (carrier_id, discrepancy_id) WHERE (discrepancy_id IS NOT NULL);
CREATE INDEX call_result_due ON call_result USING btree (carrier_id, due_time) WHERE (due_time IS NOT NULL);
CREATE INDEX call_result_erased ON call_result USING btree (carrier_id, start_time) WHERE is_erased;
CREATE INDEX call_result_erased_customer ON call_result USING btree (COALESCE(usage_customer_id, customer_id), start_time) WHERE ((phone_number IS NULL) AND (customer_id IS NOT NULL));
CREATE INDEX call_result_ids ON call_result USING gin (id_keys) WITH (fastupdate=off) WHERE (id_keys IS NOT NULL);
CREATE INDEX call_result_number ON call_result USING btree (phone_number, start_time) WHERE (phone_number IS NOT NULL);
CREATE INDEX call_result_pair ON call_result USING btree (carrier_id, pair_key, start_time) WHERE (pair_key IS NOT NULL);
CREATE INDEX call_result_parts ON call_result USING gin (carrier_record_ids) WHERE (cardinality(carrier_record_ids) > 1);
CREATE INDEX call_result_pending ON call_result USING btree (carrier_id, pending_reason, start_time) WHERE (status = 11);
CREATE INDEX call_result_sequence ON call_result USING btree (carrier_id, sequence) WHERE (sequence IS NOT NULL);
CREATE INDEX call_result_start ON call_result USING btree (carrier_id, start_time);
CREATE INDEX call_result_unresolved ON call_result USING btree (carrier_id) WHERE ((discrepancy_id IS NOT NULL) AND (resolved_time IS NULL));
CREATE INDEX call_result_update ON call_result USING btree (carrier_id, update_time);
ALTER TABLE call_result ENABLE ROW LEVEL SECURITY;
CREATE POLICY carrier_sees_its_own ON call_result TO tandem_carrier
  USING ((carrier_id = current_setting('tandem.carrier_id'::text, true)))
  WITH CHECK ((carrier_id = current_setting('tandem.carrier_id'::text, true)));
CREATE POLICY system_sees_all ON call_result TO tandem_system
  USING (true)
  WITH CHECK (true);
GRANT SELECT ON call_result TO tandem_carrier;
GRANT DELETE, INSERT, SELECT, UPDATE ON call_result TO tandem_system;

CREATE TABLE carrier (
  carrier_id text NOT NULL,
  revision bigint NOT NULL,
  display_name text NOT NULL,
  legal_country text NOT NULL,
  time_zone text NOT NULL,
  region text NOT NULL,
  sip_domain text,
  suspended boolean NOT NULL,
  settings jsonb NOT NULL,
  create_time timestamp with time zone NOT NULL,
  update_time timestamp with time zone NOT NULL
);
ALTER TABLE carrier ADD CONSTRAINT carrier_pkey PRIMARY KEY (carrier_id);
ALTER TABLE carrier ENABLE ROW LEVEL SECURITY;
CREATE POLICY carrier_sees_its_own ON carrier TO tandem_carrier
  USING ((carrier_id = current_setting('tandem.carrier_id'::text, true)))
  WITH CHECK ((carrier_id = current_setting('tandem.carrier_id'::text, true)));
CREATE POLICY system_sees_all ON carrier TO tandem_system
  USING (true)
  WITH CHECK (true);
GRANT SELECT ON carrier TO tandem_carrier;
GRANT INSERT, SELECT, UPDATE ON carrier TO tandem_system;

CREATE TABLE carrier_credential (
  identity text NOT NULL,
  carrier_id text NOT NULL,
  expire_time timestamp with time zone NOT NULL
);
ALTER TABLE carrier_credential ADD CONSTRAINT carrier_credential_pkey PRIMARY KEY (identity);
CREATE INDEX carrier_credential_carrier ON carrier_credential USING btree (carrier_id);
ALTER TABLE carrier_credential ENABLE ROW LEVEL SECURITY;
CREATE POLICY system_sees_all ON carrier_credential TO tandem_system
  USING (true)
  WITH CHECK (true);
GRANT DELETE, INSERT, SELECT, UPDATE ON carrier_credential TO tandem_system;

CREATE TABLE carrier_identity (
  identity text NOT NULL,
  carrier_id text NOT NULL
);
ALTER TABLE carrier_identity ADD CONSTRAINT carrier_identity_pkey PRIMARY KEY (identity);
ALTER TABLE carrier_identity ENABLE ROW LEVEL SECURITY;
CREATE POLICY system_sees_all ON carrier_identity TO tandem_system
  USING (true)
  WITH CHECK (true);
GRANT INSERT, SELECT ON carrier_identity TO tandem_system;

CREATE TABLE carrier_tally (
  carrier_id text NOT NULL,
  what smallint NOT NULL,
  held bigint NOT NULL
) WITH (fillfactor=50);
ALTER TABLE carrier_tally ADD CONSTRAINT carrier_tally_pkey PRIMARY KEY (carrier_id, what);
ALTER TABLE carrier_tally ADD CONSTRAINT carrier_tally_what_check CHECK (((what >= 1) AND (what <= 4)));
ALTER TABLE carrier_tally ENABLE ROW LEVEL SECURITY;
CREATE POLICY carrier_sees_its_own ON carrier_tally TO tandem_carrier
  USING ((carrier_id = current_setting('tandem.carrier_id'::text, true)))
  WITH CHECK ((carrier_id = current_setting('tandem.carrier_id'::text, true)));
CREATE POLICY system_sees_all ON carrier_tally TO tandem_system
  USING (true)
  WITH CHECK (true);
GRANT INSERT, SELECT, UPDATE ON carrier_tally TO tandem_carrier;
GRANT INSERT, SELECT, UPDATE ON carrier_tally TO tandem_system;

CREATE TABLE cdr_consumer (
  carrier_id text NOT NULL,
  consumer text NOT NULL,
  committed_sequence bigint NOT NULL,
  cursor text NOT NULL,
  commit_time timestamp with time zone NOT NULL
);
ALTER TABLE cdr_consumer ADD CONSTRAINT cdr_consumer_pkey PRIMARY KEY (carrier_id, consumer);
ALTER TABLE cdr_consumer ENABLE ROW LEVEL SECURITY;
CREATE POLICY carrier_sees_its_own ON cdr_consumer TO tandem_carrier
  USING ((carrier_id = current_setting('tandem.carrier_id'::text, true)))
  WITH CHECK ((carrier_id = current_setting('tandem.carrier_id'::text, true)));
CREATE POLICY system_sees_all ON cdr_consumer TO tandem_system
  USING (true)
  WITH CHECK (true);
GRANT INSERT, SELECT, UPDATE ON cdr_consumer TO tandem_carrier;
GRANT DELETE, INSERT, SELECT, UPDATE ON cdr_consumer TO tandem_system;

CREATE TABLE cdr_key (
  carrier_id text NOT NULL,
  record_id text NOT NULL,
  record_date date NOT NULL,
  revision integer NOT NULL,
  content_hash bigint NOT NULL,
  party_hash bigint NOT NULL,
  sequence bigint NOT NULL,
  ingest_time timestamp with time zone NOT NULL
) PARTITION BY RANGE (record_date);
ALTER TABLE cdr_key ADD CONSTRAINT cdr_key_pkey PRIMARY KEY (carrier_id, record_id, record_date, revision);
CREATE INDEX cdr_key_corrected ON cdr_key USING btree (carrier_id, record_date) WHERE (revision > 1);
ALTER TABLE cdr_key ENABLE ROW LEVEL SECURITY;
CREATE POLICY carrier_sees_its_own ON cdr_key TO tandem_carrier
  USING ((carrier_id = current_setting('tandem.carrier_id'::text, true)))
  WITH CHECK ((carrier_id = current_setting('tandem.carrier_id'::text, true)));
CREATE POLICY system_sees_all ON cdr_key TO tandem_system
  USING (true)
  WITH CHECK (true);
GRANT INSERT, SELECT ON cdr_key TO tandem_carrier;
GRANT DELETE, INSERT, SELECT, UPDATE ON cdr_key TO tandem_system;

CREATE TABLE cdr_network (
  carrier_id text NOT NULL,
  sequence bigint NOT NULL,
  ingest_time timestamp with time zone NOT NULL,
  payload bytea NOT NULL
) PARTITION BY RANGE (ingest_time);
ALTER TABLE cdr_network ADD CONSTRAINT cdr_network_pkey PRIMARY KEY (carrier_id, sequence, ingest_time);
ALTER TABLE cdr_network ENABLE ROW LEVEL SECURITY;
CREATE POLICY carrier_sees_its_own ON cdr_network TO tandem_carrier
  USING ((carrier_id = current_setting('tandem.carrier_id'::text, true)))
  WITH CHECK ((carrier_id = current_setting('tandem.carrier_id'::text, true)));
CREATE POLICY system_sees_all ON cdr_network TO tandem_system
  USING (true)
  WITH CHECK (true);
GRANT INSERT, SELECT ON cdr_network TO tandem_carrier;
GRANT DELETE, INSERT, SELECT, UPDATE ON cdr_network TO tandem_system;

CREATE TABLE cdr_quality (
  carrier_id text NOT NULL,
  sequence bigint NOT NULL,
  ingest_time timestamp with time zone NOT NULL,
  mos_lq double precision,
  mos_cq double precision,
  classified_streams integer NOT NULL,
  poor_streams integer NOT NULL,
  reasons smallint[] NOT NULL,
  payload bytea NOT NULL
) PARTITION BY RANGE (ingest_time);
ALTER TABLE cdr_quality ADD CONSTRAINT cdr_quality_pkey PRIMARY KEY (carrier_id, sequence, ingest_time);
ALTER TABLE cdr_quality ENABLE ROW LEVEL SECURITY;
CREATE POLICY carrier_sees_its_own ON cdr_quality TO tandem_carrier
  USING ((carrier_id = current_setting('tandem.carrier_id'::text, true)))
  WITH CHECK ((carrier_id = current_setting('tandem.carrier_id'::text, true)));
CREATE POLICY system_sees_all ON cdr_quality TO tandem_system
  USING (true)
  WITH CHECK (true);
GRANT INSERT, SELECT ON cdr_quality TO tandem_carrier;
GRANT DELETE, INSERT, SELECT, UPDATE ON cdr_quality TO tandem_system;

CREATE TABLE cdr_record (
  carrier_id text NOT NULL,
  sequence bigint NOT NULL,
  ingest_time timestamp with time zone NOT NULL,
  record_id text NOT NULL,
  record_date date NOT NULL,
  revision integer NOT NULL,
  entry_kind smallint NOT NULL,
  partial boolean NOT NULL,
  call_id text,
  invite_time timestamp with time zone,
  direction smallint NOT NULL,
  phone_number text,
  customer_id text,
  trunk_id text,
  dialog_call_id text,
  correlation_id text,
  codec text,
  calling_number text,
  called_number text,
  answered boolean,
  network_effective boolean,
  setup_duration_ms bigint,
  connected_duration_ms bigint,
  quality_verdict smallint NOT NULL,
  payload bytea NOT NULL
) PARTITION BY RANGE (ingest_time);
ALTER TABLE cdr_record ADD CONSTRAINT cdr_record_pkey PRIMARY KEY (carrier_id, sequence, ingest_time);
CREATE INDEX cdr_record_call ON cdr_record USING btree (carrier_id, call_id);
CREATE INDEX cdr_record_correlation ON cdr_record USING btree (carrier_id, correlation_id) WHERE (correlation_id IS NOT NULL);
CREATE INDEX cdr_record_dialog ON cdr_record USING btree (carrier_id, dialog_call_id) WHERE (dialog_call_id IS NOT NULL);
CREATE INDEX cdr_record_ingest_time ON cdr_record USING btree (carrier_id, ingest_time, sequence);
CREATE INDEX cdr_record_invite ON cdr_record USING btree (carrier_id, invite_time, sequence);
ALTER TABLE cdr_record ENABLE ROW LEVEL SECURITY;
CREATE POLICY carrier_sees_its_own ON cdr_record TO tandem_carrier
  USING ((carrier_id = current_setting('tandem.carrier_id'::text, true)))
  WITH CHECK ((carrier_id = current_setting('tandem.carrier_id'::text, true)));
CREATE POLICY system_sees_all ON cdr_record TO tandem_system
  USING (true)
  WITH CHECK (true);
GRANT INSERT, SELECT ON cdr_record TO tandem_carrier;
GRANT DELETE, INSERT, SELECT, UPDATE ON cdr_record TO tandem_system;
GRANT UPDATE (call_id) ON cdr_record TO tandem_carrier;
GRANT UPDATE (correlation_id) ON cdr_record TO tandem_carrier;
GRANT UPDATE (customer_id) ON cdr_record TO tandem_carrier;
GRANT UPDATE (dialog_call_id) ON cdr_record TO tandem_carrier;
GRANT UPDATE (direction) ON cdr_record TO tandem_carrier;
GRANT UPDATE (invite_time) ON cdr_record TO tandem_carrier;
GRANT UPDATE (phone_number) ON cdr_record TO tandem_carrier;
GRANT UPDATE (quality_verdict) ON cdr_record TO tandem_carrier;
GRANT UPDATE (trunk_id) ON cdr_record TO tandem_carrier;

CREATE TABLE clock_lacking (
  carrier_id text NOT NULL,
  side smallint NOT NULL,
  record_id text NOT NULL,
  record_date date NOT NULL,
  start_time timestamp with time zone NOT NULL,
  pair_key bigint NOT NULL,
  trunk_id text NOT NULL,
  vote_ms bigint,
  length_ms bigint,
  is_alike boolean DEFAULT false NOT NULL
);
ALTER TABLE clock_lacking ADD CONSTRAINT clock_lacking_pkey PRIMARY KEY (carrier_id, record_date, record_id, side, start_time);
ALTER TABLE clock_lacking ADD CONSTRAINT clock_lacking_side_check CHECK ((side = ANY (ARRAY[1, 2])));
CREATE INDEX clock_lacking_pair ON clock_lacking USING btree (carrier_id, pair_key, side, start_time);
CREATE INDEX clock_lacking_start ON clock_lacking USING btree (carrier_id, start_time);
ALTER TABLE clock_lacking ENABLE ROW LEVEL SECURITY;
CREATE POLICY system_sees_all ON clock_lacking TO tandem_system
  USING (true)
  WITH CHECK (true);
GRANT DELETE, INSERT, SELECT, UPDATE ON clock_lacking TO tandem_system;

CREATE TABLE clock_minute (
  carrier_id text NOT NULL,
  minute timestamp with time zone NOT NULL,
  votes jsonb NOT NULL
);
ALTER TABLE clock_minute ADD CONSTRAINT clock_minute_pkey PRIMARY KEY (carrier_id, minute);
ALTER TABLE clock_minute ENABLE ROW LEVEL SECURITY;
CREATE POLICY system_sees_all ON clock_minute TO tandem_system
  USING (true)
  WITH CHECK (true);
GRANT DELETE, INSERT, SELECT, UPDATE ON clock_minute TO tandem_system;

CREATE TABLE clock_offset (
  carrier_id text NOT NULL,
  trunk_id text NOT NULL,
  hour timestamp with time zone NOT NULL,
  votes jsonb NOT NULL
);
ALTER TABLE clock_offset ADD CONSTRAINT clock_offset_pkey PRIMARY KEY (carrier_id, trunk_id, hour);
CREATE INDEX clock_offset_hour ON clock_offset USING btree (carrier_id, hour);
ALTER TABLE clock_offset ENABLE ROW LEVEL SECURITY;
CREATE POLICY carrier_sees_its_own ON clock_offset FOR SELECT TO tandem_carrier
  USING ((carrier_id = current_setting('tandem.carrier_id'::text, true)));
CREATE POLICY system_sees_all ON clock_offset TO tandem_system
  USING (true)
  WITH CHECK (true);
GRANT SELECT ON clock_offset TO tandem_carrier;
GRANT DELETE, INSERT, SELECT, UPDATE ON clock_offset TO tandem_system;

CREATE TABLE disclosure (
  carrier_id text NOT NULL,
  disclosure_id uuid NOT NULL,
  commit_time timestamp with time zone NOT NULL,
  recipient_kind smallint NOT NULL,
  credential_id text NOT NULL,
  method text NOT NULL,
  kind smallint NOT NULL,
  session_id text,
  filter_json text NOT NULL,
  filter_has_number boolean NOT NULL,
  record_parts smallint[] NOT NULL,
  masked boolean NOT NULL,
  feed smallint,
  feed_epoch bigint,
  after_sequence bigint,
  reserved_through bigint,
  through_sequence bigint,
  side smallint,
  record_ids text[],
  record_dates date[],
  revisions integer[],
  record_keys bigint[],
  record_count integer NOT NULL,
  first_record_date date NOT NULL,
  last_record_date date NOT NULL,
  span_class smallint GENERATED ALWAYS AS (
CASE
    WHEN ((last_record_date - first_record_date) < 8) THEN 1
    WHEN ((last_record_date - first_record_date) < 64) THEN 2
    WHEN ((last_record_date - first_record_date) < 512) THEN 3
    ELSE 4
END) STORED NOT NULL,
  purpose smallint NOT NULL,
  legal_basis smallint NOT NULL,
  privacy_statement_version text NOT NULL
);
ALTER TABLE disclosure ADD CONSTRAINT disclosure_check CHECK ((last_record_date >= first_record_date));
ALTER TABLE disclosure ADD CONSTRAINT disclosure_check1 CHECK (((kind = 1) = (feed IS NOT NULL)));
ALTER TABLE disclosure ADD CONSTRAINT disclosure_check2 CHECK (((feed IS NULL) OR ((feed_epoch IS NOT NULL) AND (after_sequence IS NOT NULL) AND (reserved_through > after_sequence) AND (reserved_through <= (after_sequence + 10000)) AND (record_keys IS NULL))));
ALTER TABLE disclosure ADD CONSTRAINT disclosure_check3 CHECK (((feed IS NOT NULL) OR ((through_sequence IS NULL) AND (side IS NOT NULL) AND (record_count > 0) AND (cardinality(record_keys) = record_count) AND (cardinality(record_ids) = record_count) AND (cardinality(record_dates) = record_count) AND (cardinality(revisions) = record_count))));
ALTER TABLE disclosure ADD CONSTRAINT disclosure_check4 CHECK (((through_sequence >= after_sequence) AND (through_sequence <= reserved_through)));
ALTER TABLE disclosure ADD CONSTRAINT disclosure_feed_check CHECK (((feed >= 1) AND (feed <= 3)));
ALTER TABLE disclosure ADD CONSTRAINT disclosure_filter_json_check CHECK ((char_length(filter_json) <= 4096));
ALTER TABLE disclosure ADD CONSTRAINT disclosure_kind_check CHECK (((kind >= 1) AND (kind <= 4)));
ALTER TABLE disclosure ADD CONSTRAINT disclosure_pkey PRIMARY KEY (carrier_id, disclosure_id);
ALTER TABLE disclosure ADD CONSTRAINT disclosure_recipient_kind_check CHECK ((recipient_kind = ANY (ARRAY[1, 2])));
ALTER TABLE disclosure ADD CONSTRAINT disclosure_record_count_check CHECK (((record_count >= 0) AND (record_count <= 10000)));
ALTER TABLE disclosure ADD CONSTRAINT disclosure_side_check CHECK (((side >= 0) AND (side <= 2)));
CREATE INDEX disclosure_block ON disclosure USING btree (carrier_id, feed, after_sequence) WHERE (feed IS NOT NULL);
CREATE INDEX disclosure_commit_time ON disclosure USING btree (carrier_id, commit_time, disclosure_id);
CREATE INDEX disclosure_dates ON disclosure USING btree (carrier_id, span_class, first_record_date);
CREATE INDEX disclosure_numbered ON disclosure USING btree (carrier_id, commit_time) WHERE filter_has_number;
CREATE INDEX disclosure_open ON disclosure USING btree (carrier_id, commit_time) WHERE ((feed IS NOT NULL) AND (through_sequence IS NULL));
CREATE INDEX disclosure_record ON disclosure USING gin (record_keys) WITH (gin_pending_list_limit='256');
ALTER TABLE disclosure ENABLE ROW LEVEL SECURITY;
CREATE POLICY carrier_adds_its_own ON disclosure FOR INSERT TO tandem_carrier
  WITH CHECK ((carrier_id = current_setting('tandem.carrier_id'::text, true)));
CREATE POLICY carrier_closes_its_open_blocks ON disclosure FOR UPDATE TO tandem_carrier
  USING (((carrier_id = current_setting('tandem.carrier_id'::text, true)) AND (feed IS NOT NULL) AND (through_sequence IS NULL)))
  WITH CHECK ((carrier_id = current_setting('tandem.carrier_id'::text, true)));
CREATE POLICY carrier_finds_its_own ON disclosure FOR SELECT TO tandem_carrier
  USING ((carrier_id = current_setting('tandem.carrier_id'::text, true)));
CREATE POLICY system_closes_open_blocks ON disclosure FOR UPDATE TO tandem_system
  USING (((feed IS NOT NULL) AND (through_sequence IS NULL)))
  WITH CHECK (true);
CREATE POLICY system_sees_all ON disclosure FOR SELECT TO tandem_system
  USING (true);
GRANT INSERT ON disclosure TO tandem_carrier;
GRANT SELECT ON disclosure TO tandem_system;
GRANT SELECT (carrier_id) ON disclosure TO tandem_carrier;
GRANT SELECT (disclosure_id) ON disclosure TO tandem_carrier;
GRANT UPDATE (first_record_date) ON disclosure TO tandem_system;
GRANT UPDATE (first_record_date) ON disclosure TO tandem_carrier;
GRANT UPDATE (last_record_date) ON disclosure TO tandem_system;
GRANT UPDATE (last_record_date) ON disclosure TO tandem_carrier;
GRANT UPDATE (record_count) ON disclosure TO tandem_system;
GRANT UPDATE (record_count) ON disclosure TO tandem_carrier;
GRANT UPDATE (through_sequence) ON disclosure TO tandem_system;
GRANT UPDATE (through_sequence) ON disclosure TO tandem_carrier;

CREATE TABLE discrepancy_entry (
  carrier_id text NOT NULL,
  sequence bigint NOT NULL,
  ingest_time timestamp with time zone NOT NULL,
  entry_kind smallint NOT NULL,
  discrepancy_id text,
  status smallint,
  causes smallint,
  customer_id text,
  trunk_id text,
  direction smallint,
  unresolved boolean,
  absolute_delta_ms bigint,
  previous_status smallint,
  previous_causes smallint,
  previous_customer_id text,
  previous_trunk_id text,
  previous_direction smallint,
  previous_unresolved boolean,
  previous_absolute_delta_ms bigint,
  payload bytea NOT NULL
);
ALTER TABLE discrepancy_entry ADD CONSTRAINT discrepancy_entry_entry_kind_check CHECK ((entry_kind = ANY (ARRAY[1, 2])));
ALTER TABLE discrepancy_entry ADD CONSTRAINT discrepancy_entry_pkey PRIMARY KEY (carrier_id, sequence);
CREATE INDEX discrepancy_entry_discrepancy ON discrepancy_entry USING btree (carrier_id, discrepancy_id) WHERE (discrepancy_id IS NOT NULL);
CREATE INDEX discrepancy_entry_ingest_time ON discrepancy_entry USING btree (carrier_id, ingest_time);
ALTER TABLE discrepancy_entry ENABLE ROW LEVEL SECURITY;
CREATE POLICY carrier_sees_its_own ON discrepancy_entry TO tandem_carrier
  USING ((carrier_id = current_setting('tandem.carrier_id'::text, true)))
  WITH CHECK ((carrier_id = current_setting('tandem.carrier_id'::text, true)));
CREATE POLICY system_sees_all ON discrepancy_entry TO tandem_system
  USING (true)
  WITH CHECK (true);
GRANT SELECT ON discrepancy_entry TO tandem_carrier;
GRANT DELETE, INSERT, SELECT, UPDATE ON discrepancy_entry TO tandem_system;

CREATE TABLE duration_key (
  carrier_id text NOT NULL,
  record_id text NOT NULL,
  record_date date NOT NULL,
  revision integer NOT NULL,
  content_hash bigint NOT NULL,
  party_hash bigint NOT NULL,
  sequence bigint NOT NULL,
  ingest_time timestamp with time zone NOT NULL
) PARTITION BY RANGE (record_date);
ALTER TABLE duration_key ADD CONSTRAINT duration_key_pkey PRIMARY KEY (carrier_id, record_id, record_date, revision);
CREATE INDEX duration_key_corrected ON duration_key USING btree (carrier_id, record_date) WHERE (revision > 1);
ALTER TABLE duration_key ENABLE ROW LEVEL SECURITY;
CREATE POLICY carrier_sees_its_own ON duration_key TO tandem_carrier
  USING ((carrier_id = current_setting('tandem.carrier_id'::text, true)))
  WITH CHECK ((carrier_id = current_setting('tandem.carrier_id'::text, true)));
CREATE POLICY system_sees_all ON duration_key TO tandem_system
  USING (true)
  WITH CHECK (true);
GRANT INSERT, SELECT ON duration_key TO tandem_carrier;
GRANT DELETE, INSERT, SELECT, UPDATE ON duration_key TO tandem_system;

CREATE TABLE duration_record (
  carrier_id text NOT NULL,
  sequence bigint NOT NULL,
  ingest_time timestamp with time zone NOT NULL,
  record_id text NOT NULL,
  record_date date NOT NULL,
  revision integer NOT NULL,
  entry_kind smallint NOT NULL,
  start_time timestamp with time zone,
  direction smallint NOT NULL,
  phone_number text,
  customer_id text,
  connected_duration_ms bigint,
  payload bytea NOT NULL,
  part_index integer,
  trunk_id text
) PARTITION BY RANGE (ingest_time);
ALTER TABLE duration_record ADD CONSTRAINT duration_record_pkey PRIMARY KEY (carrier_id, sequence, ingest_time);
CREATE INDEX duration_record_part ON duration_record USING btree (carrier_id, start_time) WHERE (part_index IS NOT NULL);
CREATE INDEX duration_record_start ON duration_record USING btree (carrier_id, start_time);
ALTER TABLE duration_record ENABLE ROW LEVEL SECURITY;
CREATE POLICY carrier_sees_its_own ON duration_record TO tandem_carrier
  USING ((carrier_id = current_setting('tandem.carrier_id'::text, true)))
  WITH CHECK ((carrier_id = current_setting('tandem.carrier_id'::text, true)));
CREATE POLICY system_sees_all ON duration_record TO tandem_system
  USING (true)
  WITH CHECK (true);
GRANT INSERT, SELECT ON duration_record TO tandem_carrier;
GRANT DELETE, INSERT, SELECT, UPDATE ON duration_record TO tandem_system;
GRANT UPDATE (customer_id) ON duration_record TO tandem_carrier;
GRANT UPDATE (direction) ON duration_record TO tandem_carrier;
GRANT UPDATE (part_index) ON duration_record TO tandem_carrier;
GRANT UPDATE (phone_number) ON duration_record TO tandem_carrier;
GRANT UPDATE (start_time) ON duration_record TO tandem_carrier;
GRANT UPDATE (trunk_id) ON duration_record TO tandem_carrier;

CREATE TABLE erasure (
  erasure_id text NOT NULL,
  request_id text NOT NULL,
  state smallint NOT NULL,
  start_time timestamp with time zone NOT NULL,
  end_time timestamp with time zone NOT NULL,
  role smallint NOT NULL,
  case_reference text NOT NULL,
  verified_by text NOT NULL,
  requested_by text NOT NULL,
  journal bytea NOT NULL,
  create_time timestamp with time zone NOT NULL,
  drain_time timestamp with time zone,
  complete_time timestamp with time zone,
  receipt_time timestamp with time zone
);
ALTER TABLE erasure ADD CONSTRAINT erasure_pkey PRIMARY KEY (erasure_id);
ALTER TABLE erasure ADD CONSTRAINT erasure_request_id_key UNIQUE (request_id);
ALTER TABLE erasure ADD CONSTRAINT erasure_role_check CHECK (((role >= 1) AND (role <= 3)));
ALTER TABLE erasure ADD CONSTRAINT erasure_state_check CHECK (((state >= 1) AND (state <= 5)));
CREATE INDEX erasure_unfinished ON erasure USING btree (create_time) WHERE (state < 4);
ALTER TABLE erasure ENABLE ROW LEVEL SECURITY;
CREATE POLICY system_sees_all ON erasure TO tandem_system
  USING (true)
  WITH CHECK (true);
GRANT INSERT, SELECT, UPDATE ON erasure TO tandem_system;

CREATE TABLE erasure_carrier (
  carrier_id text NOT NULL,
  erasure_id text NOT NULL,
  journal bytea NOT NULL,
  done boolean NOT NULL,
  look_time timestamp with time zone,
  counts jsonb NOT NULL,
  exceptions jsonb NOT NULL,
  notices jsonb NOT NULL,
  late_cdrs bigint NOT NULL,
  late_durations bigint NOT NULL,
  late_time timestamp with time zone
);
ALTER TABLE erasure_carrier ADD CONSTRAINT erasure_carrier_pkey PRIMARY KEY (carrier_id, erasure_id);
CREATE INDEX erasure_carrier_erasure ON erasure_carrier USING btree (erasure_id, carrier_id);
ALTER TABLE erasure_carrier ENABLE ROW LEVEL SECURITY;
CREATE POLICY carrier_sees_its_own ON erasure_carrier TO tandem_carrier
  USING ((carrier_id = current_setting('tandem.carrier_id'::text, true)))
  WITH CHECK ((carrier_id = current_setting('tandem.carrier_id'::text, true)));
CREATE POLICY system_sees_all ON erasure_carrier TO tandem_system
  USING (true)
  WITH CHECK (true);
GRANT SELECT ON erasure_carrier TO tandem_carrier;
GRANT INSERT, SELECT, UPDATE ON erasure_carrier TO tandem_system;
GRANT UPDATE (late_cdrs) ON erasure_carrier TO tandem_carrier;
GRANT UPDATE (late_durations) ON erasure_carrier TO tandem_carrier;
GRANT UPDATE (late_time) ON erasure_carrier TO tandem_carrier;

CREATE TABLE feed_head (
  carrier_id text NOT NULL,
  feed smallint NOT NULL,
  epoch bigint NOT NULL,
  next_sequence bigint NOT NULL,
  earliest_sequence bigint NOT NULL,
  last_ingest_time timestamp with time zone NOT NULL,
  payload_generation bigint NOT NULL,
  lost_since timestamp with time zone,
  lost_timeline bigint,
  accepted_ingest_time timestamp with time zone
) WITH (fillfactor=50);
ALTER TABLE feed_head ADD CONSTRAINT feed_head_feed_check CHECK (((feed >= 1) AND (feed <= 4)));
ALTER TABLE feed_head ADD CONSTRAINT feed_head_pkey PRIMARY KEY (carrier_id, feed);
ALTER TABLE feed_head ENABLE ROW LEVEL SECURITY;
CREATE POLICY carrier_sees_its_own ON feed_head TO tandem_carrier
  USING ((carrier_id = current_setting('tandem.carrier_id'::text, true)))
  WITH CHECK ((carrier_id = current_setting('tandem.carrier_id'::text, true)));
CREATE POLICY system_sees_all ON feed_head TO tandem_system
  USING (true)
  WITH CHECK (true);
GRANT SELECT, UPDATE ON feed_head TO tandem_carrier;
GRANT INSERT, SELECT, UPDATE ON feed_head TO tandem_system;

CREATE TABLE held_record (
  carrier_id text NOT NULL,
  side smallint NOT NULL,
  sequence bigint NOT NULL,
  ingest_time timestamp with time zone NOT NULL,
  record_id text NOT NULL,
  record_date date NOT NULL,
  revision integer NOT NULL,
  entry_kind smallint NOT NULL,
  start_time timestamp with time zone,
  direction smallint NOT NULL,
  phone_number text,
  customer_id text,
  trunk_id text,
  call_id text,
  dialog_call_id text,
  correlation_id text,
  calling_number text,
  called_number text,
  quality_verdict smallint NOT NULL,
  payload bytea NOT NULL,
  quality bytea,
  network bytea
);
ALTER TABLE held_record ADD CONSTRAINT held_record_pkey PRIMARY KEY (carrier_id, side, sequence);
ALTER TABLE held_record ADD CONSTRAINT held_record_side_check CHECK ((side = ANY (ARRAY[1, 2])));
CREATE INDEX held_record_identity ON held_record USING btree (carrier_id, side, record_id, record_date, revision);
CREATE INDEX held_record_start ON held_record USING btree (carrier_id, side, start_time, sequence);
ALTER TABLE held_record ENABLE ROW LEVEL SECURITY;
CREATE POLICY carrier_sees_its_own ON held_record FOR SELECT TO tandem_carrier
  USING ((carrier_id = current_setting('tandem.carrier_id'::text, true)));
CREATE POLICY system_sees_all ON held_record TO tandem_system
  USING (true)
  WITH CHECK (true);
GRANT SELECT ON held_record TO tandem_carrier;
GRANT DELETE, INSERT, SELECT, UPDATE ON held_record TO tandem_system;

CREATE TABLE hold (
  carrier_id text NOT NULL,
  hold_id text NOT NULL,
  start_date date,
  end_date date,
  start_time timestamp with time zone,
  before_time timestamp with time zone,
  customer_id text,
  trunk_id text,
  direction smallint NOT NULL,
  reason smallint NOT NULL,
  case_reference text NOT NULL,
  owner text NOT NULL,
  end_time timestamp with time zone NOT NULL,
  create_time timestamp with time zone NOT NULL,
  created_by text NOT NULL,
  release_time timestamp with time zone,
  released_by text,
  release_note text,
  held_count bigint,
  count_time timestamp with time zone
);
ALTER TABLE hold ADD CONSTRAINT hold_pkey PRIMARY KEY (carrier_id, hold_id);
ALTER TABLE hold ADD CONSTRAINT hold_reason_check CHECK (((reason >= 1) AND (reason <= 5)));
CREATE INDEX hold_create ON hold USING btree (create_time, hold_id);
CREATE UNIQUE INDEX hold_id ON hold USING btree (hold_id);
ALTER TABLE hold ENABLE ROW LEVEL SECURITY;
CREATE POLICY system_sees_all ON hold TO tandem_system
  USING (true)
  WITH CHECK (true);
GRANT INSERT, SELECT, UPDATE ON hold TO tandem_system;

CREATE TABLE hold_item (
  carrier_id text NOT NULL,
  hold_id text NOT NULL,
  side smallint NOT NULL,
  record_id text NOT NULL,
  record_date date NOT NULL
);
ALTER TABLE hold_item ADD CONSTRAINT hold_item_pkey PRIMARY KEY (carrier_id, side, record_id, record_date, hold_id);
ALTER TABLE hold_item ADD CONSTRAINT hold_item_side_check CHECK ((side = ANY (ARRAY[1, 2])));
CREATE INDEX hold_item_hold ON hold_item USING btree (carrier_id, hold_id);
ALTER TABLE hold_item ENABLE ROW LEVEL SECURITY;
CREATE POLICY system_sees_all ON hold_item TO tandem_system
  USING (true)
  WITH CHECK (true);
GRANT DELETE, INSERT, SELECT, UPDATE ON hold_item TO tandem_system;

CREATE TABLE installation (
  singleton boolean DEFAULT true NOT NULL,
  installation_id uuid NOT NULL,
  secret bytea NOT NULL,
  system_identifier text NOT NULL,
  timeline bigint NOT NULL,
  create_time timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);
ALTER TABLE installation ADD CONSTRAINT installation_pkey PRIMARY KEY (singleton);
ALTER TABLE installation ADD CONSTRAINT installation_secret_check CHECK ((octet_length(secret) = 32));
ALTER TABLE installation ADD CONSTRAINT installation_singleton_check CHECK (singleton);
GRANT SELECT ON installation TO tandem_system;

CREATE TABLE isolation_probe (
  carrier_id text NOT NULL
);
ALTER TABLE isolation_probe ADD CONSTRAINT isolation_probe_pkey PRIMARY KEY (carrier_id);
ALTER TABLE isolation_probe ENABLE ROW LEVEL SECURITY;
CREATE POLICY carrier_sees_its_own ON isolation_probe TO tandem_carrier
  USING ((carrier_id = current_setting('tandem.carrier_id'::text, true)))
  WITH CHECK ((carrier_id = current_setting('tandem.carrier_id'::text, true)));
CREATE POLICY system_sees_all ON isolation_probe TO tandem_system
  USING (true)
  WITH CHECK (true);
GRANT SELECT ON isolation_probe TO tandem_carrier;
GRANT INSERT, SELECT, UPDATE ON isolation_probe TO tandem_system;

CREATE TABLE job_lease (
  carrier_id text NOT NULL,
  job text NOT NULL,
  holder text NOT NULL,
  lease_epoch bigint NOT NULL,
  until_time timestamp with time zone NOT NULL
);
ALTER TABLE job_lease ADD CONSTRAINT job_lease_pkey PRIMARY KEY (carrier_id, job);
ALTER TABLE job_lease ENABLE ROW LEVEL SECURITY;
CREATE POLICY system_sees_all ON job_lease TO tandem_system
  USING (true)
  WITH CHECK (true);
GRANT DELETE, INSERT, SELECT, UPDATE ON job_lease TO tandem_system;

CREATE TABLE number_approval (
  carrier_id text NOT NULL,
  phone_number text COLLATE "C" NOT NULL
);
ALTER TABLE number_approval ADD CONSTRAINT number_approval_pkey PRIMARY KEY (carrier_id, phone_number);
ALTER TABLE number_approval ENABLE ROW LEVEL SECURITY;
CREATE POLICY carrier_sees_its_own ON number_approval TO tandem_carrier
  USING ((carrier_id = current_setting('tandem.carrier_id'::text, true)))
  WITH CHECK ((carrier_id = current_setting('tandem.carrier_id'::text, true)));
CREATE POLICY system_sees_all ON number_approval TO tandem_system
  USING (true)
  WITH CHECK (true);
GRANT SELECT ON number_approval TO tandem_carrier;
GRANT DELETE, INSERT, SELECT ON number_approval TO tandem_system;

CREATE TABLE number_entry (
  carrier_id text NOT NULL,
  sequence bigint NOT NULL,
  ingest_time timestamp with time zone NOT NULL,
  entry_kind smallint NOT NULL,
  phone_number text COLLATE "C",
  state smallint,
  customer_id text,
  country_code text,
  previous_state smallint,
  previous_customer_id text,
  previous_country_code text,
  payload bytea NOT NULL
);
ALTER TABLE number_entry ADD CONSTRAINT number_entry_entry_kind_check CHECK ((entry_kind = ANY (ARRAY[1, 2])));
ALTER TABLE number_entry ADD CONSTRAINT number_entry_pkey PRIMARY KEY (carrier_id, sequence);
CREATE INDEX number_entry_ingest_time ON number_entry USING btree (carrier_id, ingest_time);
CREATE INDEX number_entry_number ON number_entry USING btree (carrier_id, phone_number, sequence);
ALTER TABLE number_entry ENABLE ROW LEVEL SECURITY;
CREATE POLICY carrier_sees_its_own ON number_entry TO tandem_carrier
  USING ((carrier_id = current_setting('tandem.carrier_id'::text, true)))
  WITH CHECK ((carrier_id = current_setting('tandem.carrier_id'::text, true)));
CREATE POLICY system_sees_all ON number_entry TO tandem_system
  USING (true)
  WITH CHECK (true);
GRANT INSERT, SELECT ON number_entry TO tandem_carrier;
GRANT DELETE, INSERT, SELECT, UPDATE ON number_entry TO tandem_system;

CREATE TABLE number_holding (
  carrier_id text NOT NULL,
  phone_number text COLLATE "C" NOT NULL,
  start_time timestamp with time zone NOT NULL,
  end_time timestamp with time zone NOT NULL,
  holding_start_time timestamp with time zone NOT NULL,
  customer_id text,
  ended_as smallint,
  revision bigint NOT NULL,
  recorded_time timestamp with time zone NOT NULL,
  detail jsonb NOT NULL
);
ALTER TABLE number_holding ADD CONSTRAINT number_holding_pkey PRIMARY KEY (carrier_id, phone_number, start_time);
CREATE INDEX number_holding_customer ON number_holding USING btree (customer_id, phone_number) WHERE (customer_id IS NOT NULL);
CREATE INDEX number_holding_number ON number_holding USING btree (phone_number, start_time);
CREATE INDEX number_holding_scheduled ON number_holding USING btree (start_time) WHERE (revision = 0);
ALTER TABLE number_holding ENABLE ROW LEVEL SECURITY;
CREATE POLICY carrier_sees_its_own ON number_holding TO tandem_carrier
  USING ((carrier_id = current_setting('tandem.carrier_id'::text, true)))
  WITH CHECK ((carrier_id = current_setting('tandem.carrier_id'::text, true)));
CREATE POLICY system_sees_all ON number_holding TO tandem_system
  USING (true)
  WITH CHECK (true);
GRANT DELETE, INSERT, SELECT, UPDATE ON number_holding TO tandem_carrier;
GRANT DELETE, INSERT, SELECT, UPDATE ON number_holding TO tandem_system;

CREATE TABLE number_owner (
  phone_number text COLLATE "C" NOT NULL,
  carrier_id text NOT NULL,
  claim_time timestamp with time zone NOT NULL,
  in_transit boolean NOT NULL
);
ALTER TABLE number_owner ADD CONSTRAINT number_owner_pkey PRIMARY KEY (phone_number);
ALTER TABLE number_owner ENABLE ROW LEVEL SECURITY;
CREATE POLICY system_sees_all ON number_owner TO tandem_system
  USING (true)
  WITH CHECK (true);
GRANT DELETE, INSERT, SELECT, UPDATE ON number_owner TO tandem_system;

CREATE TABLE number_port (
  carrier_id text NOT NULL,
  phone_number text COLLATE "C" NOT NULL,
  port_id uuid NOT NULL,
  role smallint NOT NULL,
  other_carrier_id text NOT NULL,
  effective_time timestamp with time zone NOT NULL,
  stage smallint NOT NULL,
  moved jsonb,
  ordered_by text
);
ALTER TABLE number_port ADD CONSTRAINT number_port_pkey PRIMARY KEY (carrier_id, phone_number, port_id);
ALTER TABLE number_port ADD CONSTRAINT number_port_role_check CHECK ((role = ANY (ARRAY[1, 2])));
ALTER TABLE number_port ADD CONSTRAINT number_port_stage_check CHECK ((stage = ANY (ARRAY[1, 2, 3])));
CREATE UNIQUE INDEX number_port_scheduled ON number_port USING btree (carrier_id, phone_number) WHERE (stage = 1);
CREATE INDEX number_port_unfinished ON number_port USING btree (effective_time) WHERE (stage < 3);
CREATE INDEX number_port_unfinished_number ON number_port USING btree (phone_number) WHERE (stage < 3);
ALTER TABLE number_port ENABLE ROW LEVEL SECURITY;
CREATE POLICY carrier_sees_its_own ON number_port TO tandem_carrier
  USING ((carrier_id = current_setting('tandem.carrier_id'::text, true)))
  WITH CHECK ((carrier_id = current_setting('tandem.carrier_id'::text, true)));
CREATE POLICY system_sees_all ON number_port TO tandem_system
  USING (true)
  WITH CHECK (true);
GRANT DELETE, INSERT, SELECT, UPDATE ON number_port TO tandem_carrier;
GRANT DELETE, INSERT, SELECT, UPDATE ON number_port TO tandem_system;

CREATE TABLE number_range (
  prefix text COLLATE "C" NOT NULL,
  carrier_id text NOT NULL
);
ALTER TABLE number_range ADD CONSTRAINT number_range_pkey PRIMARY KEY (prefix);
CREATE INDEX number_range_carrier ON number_range USING btree (carrier_id, prefix);
ALTER TABLE number_range ENABLE ROW LEVEL SECURITY;
CREATE POLICY system_sees_all ON number_range TO tandem_system
  USING (true)
  WITH CHECK (true);
GRANT DELETE, INSERT, SELECT ON number_range TO tandem_system;

CREATE TABLE phone_number (
  carrier_id text NOT NULL,
  phone_number text COLLATE "C" NOT NULL,
  state smallint NOT NULL,
  customer_id text,
  country_code text,
  revision bigint NOT NULL,
  recorded_time timestamp with time zone NOT NULL,
  claim_time timestamp with time zone NOT NULL,
  payload bytea NOT NULL
);
ALTER TABLE phone_number ADD CONSTRAINT phone_number_pkey PRIMARY KEY (carrier_id, phone_number);
CREATE INDEX phone_number_customer ON phone_number USING btree (carrier_id, customer_id, phone_number) WHERE (customer_id IS NOT NULL);
CREATE INDEX phone_number_number ON phone_number USING btree (phone_number, carrier_id);
ALTER TABLE phone_number ENABLE ROW LEVEL SECURITY;
CREATE POLICY carrier_sees_its_own ON phone_number TO tandem_carrier
  USING ((carrier_id = current_setting('tandem.carrier_id'::text, true)))
  WITH CHECK ((carrier_id = current_setting('tandem.carrier_id'::text, true)));
CREATE POLICY system_sees_all ON phone_number TO tandem_system
  USING (true)
  WITH CHECK (true);
GRANT INSERT, SELECT, UPDATE ON phone_number TO tandem_carrier;
GRANT DELETE, INSERT, SELECT, UPDATE ON phone_number TO tandem_system;

CREATE TABLE quarantine (
  carrier_id text NOT NULL,
  kind smallint NOT NULL,
  record_id text NOT NULL,
  record_date date NOT NULL,
  revision integer NOT NULL,
  content_hash bigint NOT NULL,
  upload_id text NOT NULL,
  record_offset bigint NOT NULL,
  issue smallint NOT NULL,
  numbers text[] NOT NULL,
  start_time timestamp with time zone,
  judged_numbers_sequence bigint NOT NULL,
  payload bytea NOT NULL,
  create_time timestamp with time zone NOT NULL
);
ALTER TABLE quarantine ADD CONSTRAINT quarantine_pkey PRIMARY KEY (carrier_id, kind, record_id, record_date, revision);
CREATE INDEX quarantine_start ON quarantine USING btree (carrier_id, kind, start_time, record_id);
CREATE INDEX quarantine_waiting ON quarantine USING btree (carrier_id, kind, judged_numbers_sequence, create_time, record_offset) WHERE (issue = 11);
ALTER TABLE quarantine ENABLE ROW LEVEL SECURITY;
CREATE POLICY carrier_sees_its_own ON quarantine TO tandem_carrier
  USING ((carrier_id = current_setting('tandem.carrier_id'::text, true)))
  WITH CHECK ((carrier_id = current_setting('tandem.carrier_id'::text, true)));
CREATE POLICY system_sees_all ON quarantine TO tandem_system
  USING (true)
  WITH CHECK (true);
GRANT DELETE, INSERT, SELECT, UPDATE ON quarantine TO tandem_carrier;
GRANT DELETE, INSERT, SELECT, UPDATE ON quarantine TO tandem_system;

CREATE TABLE reconcile_minute (
  carrier_id text NOT NULL,
  minute timestamp with time zone NOT NULL,
  round smallint DEFAULT 0 NOT NULL
);
ALTER TABLE reconcile_minute ADD CONSTRAINT reconcile_minute_pkey PRIMARY KEY (carrier_id, minute);
CREATE INDEX reconcile_minute_round ON reconcile_minute USING btree (carrier_id, round, minute);
ALTER TABLE reconcile_minute ENABLE ROW LEVEL SECURITY;
CREATE POLICY system_sees_all ON reconcile_minute TO tandem_system
  USING (true)
  WITH CHECK (true);
GRANT DELETE, INSERT, SELECT, UPDATE ON reconcile_minute TO tandem_system;

CREATE TABLE reconcile_position (
  carrier_id text NOT NULL,
  cdr_sequence bigint NOT NULL,
  duration_sequence bigint NOT NULL,
  marked_cdr_sequence bigint DEFAULT 0 NOT NULL,
  marked_duration_sequence bigint DEFAULT 0 NOT NULL,
  cdr_epoch bigint NOT NULL,
  duration_epoch bigint NOT NULL,
  agreement_revision bigint NOT NULL,
  rule_version integer NOT NULL,
  reconciled_through timestamp with time zone NOT NULL,
  update_time timestamp with time zone NOT NULL,
  marked_through timestamp with time zone
);
ALTER TABLE reconcile_position ADD CONSTRAINT reconcile_position_pkey PRIMARY KEY (carrier_id);
ALTER TABLE reconcile_position ENABLE ROW LEVEL SECURITY;
CREATE POLICY carrier_sees_its_own ON reconcile_position TO tandem_carrier
  USING ((carrier_id = current_setting('tandem.carrier_id'::text, true)))
  WITH CHECK ((carrier_id = current_setting('tandem.carrier_id'::text, true)));
CREATE POLICY system_sees_all ON reconcile_position TO tandem_system
  USING (true)
  WITH CHECK (true);
GRANT SELECT ON reconcile_position TO tandem_carrier;
GRANT DELETE, INSERT, SELECT, UPDATE ON reconcile_position TO tandem_system;

CREATE TABLE request_log (
  carrier_id text NOT NULL,
  method text NOT NULL,
  request_id text NOT NULL,
  content_hash bigint NOT NULL,
  response bytea NOT NULL,
  create_time timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);
ALTER TABLE request_log ADD CONSTRAINT request_log_pkey PRIMARY KEY (carrier_id, method, request_id);
CREATE INDEX request_log_create_time ON request_log USING btree (create_time);
ALTER TABLE request_log ENABLE ROW LEVEL SECURITY;
CREATE POLICY carrier_sees_its_own ON request_log TO tandem_carrier
  USING ((carrier_id = current_setting('tandem.carrier_id'::text, true)))
  WITH CHECK ((carrier_id = current_setting('tandem.carrier_id'::text, true)));
CREATE POLICY system_sees_all ON request_log TO tandem_system
  USING (true)
  WITH CHECK (true);
GRANT INSERT, SELECT, UPDATE ON request_log TO tandem_carrier;
GRANT DELETE, INSERT, SELECT, UPDATE ON request_log TO tandem_system;

CREATE TABLE retention_policy (
  country_code text NOT NULL,
  carrier_id text NOT NULL,
  record_part smallint NOT NULL,
  purpose smallint NOT NULL,
  legal_basis smallint NOT NULL,
  retention_days integer NOT NULL,
  source text NOT NULL,
  privacy_statement_version text NOT NULL,
  revision bigint NOT NULL,
  update_time timestamp with time zone NOT NULL,
  updated_by text NOT NULL
);
ALTER TABLE retention_policy ADD CONSTRAINT retention_policy_legal_basis_check CHECK (((legal_basis >= 1) AND (legal_basis <= 4)));
ALTER TABLE retention_policy ADD CONSTRAINT retention_policy_pkey PRIMARY KEY (country_code, carrier_id, record_part, purpose);
ALTER TABLE retention_policy ADD CONSTRAINT retention_policy_purpose_check CHECK (((purpose >= 1) AND (purpose <= 5)));
ALTER TABLE retention_policy ADD CONSTRAINT retention_policy_record_part_check CHECK (((record_part >= 1) AND (record_part <= 6)));
ALTER TABLE retention_policy ADD CONSTRAINT retention_policy_retention_days_check CHECK ((retention_days >= 1));
ALTER TABLE retention_policy ENABLE ROW LEVEL SECURITY;
CREATE POLICY system_sees_all ON retention_policy TO tandem_system
  USING (true)
  WITH CHECK (true);
GRANT INSERT, SELECT, UPDATE ON retention_policy TO tandem_system;

CREATE TABLE retention_state (
  carrier_id text NOT NULL,
  hold_generation bigint DEFAULT 0 NOT NULL,
  call_before timestamp with time zone DEFAULT '1970-01-01 00:00:00+00'::timestamp with time zone NOT NULL,
  quality_before timestamp with time zone DEFAULT '1970-01-01 00:00:00+00'::timestamp with time zone NOT NULL,
  network_before timestamp with time zone DEFAULT '1970-01-01 00:00:00+00'::timestamp with time zone NOT NULL,
  duration_before timestamp with time zone DEFAULT '1970-01-01 00:00:00+00'::timestamp with time zone NOT NULL,
  verdict_sequence bigint DEFAULT 0 NOT NULL,
  keys_from date DEFAULT '1970-01-01'::date NOT NULL
) WITH (fillfactor=50);
ALTER TABLE retention_state ADD CONSTRAINT retention_state_pkey PRIMARY KEY (carrier_id);
ALTER TABLE retention_state ENABLE ROW LEVEL SECURITY;
CREATE POLICY system_sees_all ON retention_state TO tandem_system
  USING (true)
  WITH CHECK (true);
GRANT DELETE, INSERT, SELECT, UPDATE ON retention_state TO tandem_system;

CREATE TABLE rounding_vote (
  carrier_id text NOT NULL,
  trunk_id text NOT NULL,
  day date NOT NULL,
  votes jsonb NOT NULL
);
ALTER TABLE rounding_vote ADD CONSTRAINT rounding_vote_pkey PRIMARY KEY (carrier_id, trunk_id, day);
ALTER TABLE rounding_vote ENABLE ROW LEVEL SECURITY;
CREATE POLICY carrier_sees_its_own ON rounding_vote FOR SELECT TO tandem_carrier
  USING ((carrier_id = current_setting('tandem.carrier_id'::text, true)));
CREATE POLICY system_sees_all ON rounding_vote TO tandem_system
  USING (true)
  WITH CHECK (true);
GRANT SELECT ON rounding_vote TO tandem_carrier;
GRANT DELETE, INSERT, SELECT, UPDATE ON rounding_vote TO tandem_system;

CREATE TABLE seal_key (
  key_id bigint NOT NULL,
  secret bytea NOT NULL,
  create_time timestamp with time zone NOT NULL,
  retire_time timestamp with time zone
);
ALTER TABLE seal_key ADD CONSTRAINT seal_key_key_id_check CHECK (((key_id >= 1) AND (key_id <= '4294967295'::bigint)));
ALTER TABLE seal_key ADD CONSTRAINT seal_key_pkey PRIMARY KEY (key_id);
ALTER TABLE seal_key ADD CONSTRAINT seal_key_secret_check CHECK ((octet_length(secret) = 32));
CREATE UNIQUE INDEX seal_key_current ON seal_key USING btree ((true)) WHERE (retire_time IS NULL);
ALTER TABLE seal_key ENABLE ROW LEVEL SECURITY;
CREATE POLICY system_sees_all ON seal_key FOR SELECT TO tandem_system
  USING (true);
GRANT SELECT ON seal_key TO tandem_system;

CREATE TABLE serving_process (
  process_id text NOT NULL,
  beat_time timestamp with time zone NOT NULL,
  clear_time timestamp with time zone NOT NULL
);
ALTER TABLE serving_process ADD CONSTRAINT serving_process_pkey PRIMARY KEY (process_id);
ALTER TABLE serving_process ENABLE ROW LEVEL SECURITY;
CREATE POLICY system_sees_all ON serving_process TO tandem_system
  USING (true)
  WITH CHECK (true);
GRANT DELETE, INSERT, SELECT, UPDATE ON serving_process TO tandem_system;

CREATE TABLE shared_file (
  file text NOT NULL,
  fingerprint text NOT NULL,
  agree_time timestamp with time zone NOT NULL
);
ALTER TABLE shared_file ADD CONSTRAINT shared_file_file_check CHECK ((file = ANY (ARRAY['erasure-key'::text, 'erasure-journal'::text, 'signing-key'::text])));
ALTER TABLE shared_file ADD CONSTRAINT shared_file_pkey PRIMARY KEY (file);
ALTER TABLE shared_file ENABLE ROW LEVEL SECURITY;
CREATE POLICY system_sees_all ON shared_file FOR SELECT TO tandem_system
  USING (true);
GRANT SELECT ON shared_file TO tandem_system;

CREATE TABLE summary_fill (
  carrier_id text NOT NULL,
  filled_from timestamp with time zone NOT NULL
);
ALTER TABLE summary_fill ADD CONSTRAINT summary_fill_pkey PRIMARY KEY (carrier_id);
ALTER TABLE summary_fill ENABLE ROW LEVEL SECURITY;
CREATE POLICY carrier_sees_its_own ON summary_fill FOR SELECT TO tandem_carrier
  USING ((carrier_id = current_setting('tandem.carrier_id'::text, true)));
CREATE POLICY system_sees_all ON summary_fill TO tandem_system
  USING (true)
  WITH CHECK (true);
GRANT SELECT ON summary_fill TO tandem_carrier;
GRANT DELETE, INSERT, SELECT, UPDATE ON summary_fill TO tandem_system;

CREATE TABLE summary_sum (
  carrier_id text NOT NULL,
  call_date date NOT NULL,
  customer_id text COLLATE "C" NOT NULL,
  trunk_id text COLLATE "C" NOT NULL,
  direction smallint NOT NULL,
  status smallint NOT NULL,
  causes smallint NOT NULL,
  matched_by smallint NOT NULL,
  pair_key bigint NOT NULL,
  traits smallint NOT NULL,
  calls bigint NOT NULL,
  platform_ms bigint NOT NULL,
  carrier_ms bigint NOT NULL,
  call_delta_ms bigint NOT NULL,
  hours integer[] NOT NULL
);
ALTER TABLE summary_sum ADD CONSTRAINT summary_sum_pkey PRIMARY KEY (carrier_id, call_date, customer_id, trunk_id, direction, status, causes, matched_by, pair_key, traits);
ALTER TABLE summary_sum ENABLE ROW LEVEL SECURITY;
CREATE POLICY carrier_sees_its_own ON summary_sum FOR SELECT TO tandem_carrier
  USING ((carrier_id = current_setting('tandem.carrier_id'::text, true)));
CREATE POLICY system_sees_all ON summary_sum TO tandem_system
  USING (true)
  WITH CHECK (true);
GRANT SELECT ON summary_sum TO tandem_carrier;
GRANT DELETE, INSERT, SELECT, UPDATE ON summary_sum TO tandem_system;

CREATE TABLE upload (
  carrier_id text NOT NULL,
  kind smallint NOT NULL,
  upload_id text NOT NULL,
  next_offset bigint NOT NULL,
  writer_epoch bigint NOT NULL,
  sealed boolean NOT NULL,
  seal_time timestamp with time zone,
  finished boolean NOT NULL,
  accepted bigint NOT NULL,
  duplicate bigint NOT NULL,
  conflict bigint NOT NULL,
  superseded bigint NOT NULL,
  rejected bigint NOT NULL,
  quarantined bigint NOT NULL,
  stored_rejects bigint NOT NULL,
  connected_duration_ms numeric(30,0) NOT NULL,
  create_time timestamp with time zone NOT NULL,
  update_time timestamp with time zone NOT NULL
) WITH (fillfactor=70);
ALTER TABLE upload ADD CONSTRAINT upload_kind_check CHECK ((kind = ANY (ARRAY[1, 2])));
ALTER TABLE upload ADD CONSTRAINT upload_pkey PRIMARY KEY (carrier_id, kind, upload_id);
CREATE INDEX upload_open ON upload USING btree (carrier_id, kind, create_time, upload_id) WHERE (NOT sealed);
CREATE INDEX upload_order ON upload USING btree (carrier_id, kind, create_time, upload_id);
ALTER TABLE upload ENABLE ROW LEVEL SECURITY;
CREATE POLICY carrier_sees_its_own ON upload TO tandem_carrier
  USING ((carrier_id = current_setting('tandem.carrier_id'::text, true)))
  WITH CHECK ((carrier_id = current_setting('tandem.carrier_id'::text, true)));
CREATE POLICY system_sees_all ON upload TO tandem_system
  USING (true)
  WITH CHECK (true);
GRANT INSERT, SELECT, UPDATE ON upload TO tandem_carrier;
GRANT DELETE, INSERT, SELECT, UPDATE ON upload TO tandem_system;

CREATE TABLE upload_batch (
  carrier_id text NOT NULL,
  kind smallint NOT NULL,
  upload_id text NOT NULL,
  first_offset bigint NOT NULL,
  record_count integer NOT NULL,
  verdicts bytea NOT NULL,
  hashes bytea NOT NULL,
  create_time timestamp with time zone NOT NULL
);
ALTER TABLE upload_batch ADD CONSTRAINT upload_batch_pkey PRIMARY KEY (carrier_id, kind, upload_id, first_offset);
ALTER TABLE upload_batch ENABLE ROW LEVEL SECURITY;
CREATE POLICY carrier_sees_its_own ON upload_batch TO tandem_carrier
  USING ((carrier_id = current_setting('tandem.carrier_id'::text, true)))
  WITH CHECK ((carrier_id = current_setting('tandem.carrier_id'::text, true)));
CREATE POLICY system_sees_all ON upload_batch TO tandem_system
  USING (true)
  WITH CHECK (true);
GRANT INSERT, SELECT ON upload_batch TO tandem_carrier;
GRANT DELETE, INSERT, SELECT, UPDATE ON upload_batch TO tandem_system;

CREATE TABLE upload_reject (
  carrier_id text NOT NULL,
  kind smallint NOT NULL,
  upload_id text NOT NULL,
  record_offset bigint NOT NULL,
  record_id text NOT NULL,
  verdict smallint NOT NULL,
  issue smallint NOT NULL,
  field_path text,
  message text NOT NULL,
  retryable boolean NOT NULL,
  record_json text NOT NULL,
  create_time timestamp with time zone NOT NULL
);
ALTER TABLE upload_reject ADD CONSTRAINT upload_reject_pkey PRIMARY KEY (carrier_id, kind, upload_id, record_offset);
ALTER TABLE upload_reject ENABLE ROW LEVEL SECURITY;
CREATE POLICY carrier_sees_its_own ON upload_reject TO tandem_carrier
  USING ((carrier_id = current_setting('tandem.carrier_id'::text, true)))
  WITH CHECK ((carrier_id = current_setting('tandem.carrier_id'::text, true)));
CREATE POLICY system_sees_all ON upload_reject TO tandem_system
  USING (true)
  WITH CHECK (true);
GRANT INSERT, SELECT ON upload_reject TO tandem_carrier;
GRANT DELETE, INSERT, SELECT, UPDATE ON upload_reject TO tandem_system;

CREATE TABLE usage_line (
  period_id text NOT NULL,
  restatement_number integer NOT NULL,
  usage_date date NOT NULL,
  phone_number text COLLATE "C" NOT NULL,
  direction smallint NOT NULL,
  country_code text NOT NULL,
  carrier_id text NOT NULL,
  parts jsonb NOT NULL
);
ALTER TABLE usage_line ADD CONSTRAINT usage_line_pkey PRIMARY KEY (period_id, usage_date, phone_number, direction, country_code, carrier_id, restatement_number);
ALTER TABLE usage_line ENABLE ROW LEVEL SECURITY;
CREATE POLICY system_sees_all ON usage_line TO tandem_system
  USING (true)
  WITH CHECK (true);
GRANT DELETE, INSERT, SELECT, UPDATE ON usage_line TO tandem_system;

CREATE TABLE usage_mark (
  carrier_id text NOT NULL,
  mark_id uuid NOT NULL,
  phone_number text COLLATE "C" NOT NULL,
  start_time timestamp with time zone NOT NULL,
  end_time timestamp with time zone NOT NULL,
  is_passed_on boolean NOT NULL
);
ALTER TABLE usage_mark ADD CONSTRAINT usage_mark_pkey PRIMARY KEY (carrier_id, mark_id);
ALTER TABLE usage_mark ENABLE ROW LEVEL SECURITY;
CREATE POLICY carrier_marks_its_own ON usage_mark FOR INSERT TO tandem_carrier
  WITH CHECK ((carrier_id = current_setting('tandem.carrier_id'::text, true)));
CREATE POLICY system_sees_all ON usage_mark TO tandem_system
  USING (true)
  WITH CHECK (true);
GRANT INSERT ON usage_mark TO tandem_carrier;
GRANT DELETE, INSERT, SELECT, UPDATE ON usage_mark TO tandem_system;

CREATE TABLE usage_period (
  period_id text NOT NULL,
  customer_id text NOT NULL,
  start_date date NOT NULL,
  end_date date NOT NULL,
  time_zone text NOT NULL,
  close_time timestamp with time zone NOT NULL,
  closed_by text NOT NULL,
  restatement_number integer NOT NULL,
  checked_time timestamp with time zone NOT NULL,
  completeness bytea NOT NULL,
  judged jsonb NOT NULL,
  closed_totals bigint[] NOT NULL,
  current_totals bigint[] NOT NULL,
  start_time timestamp with time zone NOT NULL,
  end_time timestamp with time zone NOT NULL
);
ALTER TABLE usage_period ADD CONSTRAINT usage_period_check CHECK ((start_date < end_date));
ALTER TABLE usage_period ADD CONSTRAINT usage_period_pkey PRIMARY KEY (period_id);
CREATE INDEX usage_period_checked ON usage_period USING btree (checked_time);
CREATE INDEX usage_period_customer ON usage_period USING btree (customer_id, start_date);
ALTER TABLE usage_period ENABLE ROW LEVEL SECURITY;
CREATE POLICY system_sees_all ON usage_period TO tandem_system
  USING (true)
  WITH CHECK (true);
GRANT DELETE, INSERT, SELECT, UPDATE ON usage_period TO tandem_system;

CREATE TABLE usage_restatement (
  period_id text NOT NULL,
  restatement_number integer NOT NULL,
  record_time timestamp with time zone NOT NULL,
  payload bytea NOT NULL
);
ALTER TABLE usage_restatement ADD CONSTRAINT usage_restatement_pkey PRIMARY KEY (period_id, restatement_number);
ALTER TABLE usage_restatement ADD CONSTRAINT usage_restatement_restatement_number_check CHECK ((restatement_number >= 1));
ALTER TABLE usage_restatement ENABLE ROW LEVEL SECURITY;
CREATE POLICY system_sees_all ON usage_restatement TO tandem_system
  USING (true)
  WITH CHECK (true);
GRANT DELETE, INSERT, SELECT, UPDATE ON usage_restatement TO tandem_system;

CREATE TABLE usage_sum (
  carrier_id text NOT NULL,
  customer_id text NOT NULL,
  time_zone text COLLATE "C" NOT NULL,
  usage_date date NOT NULL,
  direction smallint NOT NULL,
  country_code text NOT NULL,
  part smallint NOT NULL,
  attempts bigint NOT NULL,
  answered bigint NOT NULL,
  connected_ms bigint NOT NULL,
  billed_count bigint NOT NULL,
  billed_s bigint NOT NULL,
  unmeasured bigint NOT NULL,
  reported bigint NOT NULL
);
ALTER TABLE usage_sum ADD CONSTRAINT usage_sum_pkey PRIMARY KEY (carrier_id, customer_id, time_zone, usage_date, direction, country_code, part);
ALTER TABLE usage_sum ENABLE ROW LEVEL SECURITY;
CREATE POLICY system_sees_all ON usage_sum TO tandem_system
  USING (true)
  WITH CHECK (true);
GRANT DELETE, INSERT, SELECT, UPDATE ON usage_sum TO tandem_system;

CREATE TABLE usage_zone (
  carrier_id text NOT NULL,
  time_zone text COLLATE "C" NOT NULL,
  filled_from timestamp with time zone NOT NULL
);
ALTER TABLE usage_zone ADD CONSTRAINT usage_zone_pkey PRIMARY KEY (carrier_id, time_zone);
ALTER TABLE usage_zone ENABLE ROW LEVEL SECURITY;
CREATE POLICY system_sees_all ON usage_zone TO tandem_system
  USING (true)
  WITH CHECK (true);
GRANT DELETE, INSERT, SELECT, UPDATE ON usage_zone TO tandem_system;

CREATE TABLE zone_day (
  time_zone text COLLATE "C" NOT NULL,
  day date NOT NULL,
  start_time timestamp with time zone NOT NULL
);
ALTER TABLE zone_day ADD CONSTRAINT zone_day_pkey PRIMARY KEY (time_zone, day);
ALTER TABLE zone_day ENABLE ROW LEVEL SECURITY;
CREATE POLICY system_fills ON zone_day FOR INSERT TO tandem_system
  WITH CHECK (true);
CREATE POLICY system_moves_what_is_to_come ON zone_day FOR UPDATE TO tandem_system
  USING ((start_time > now()))
  WITH CHECK ((start_time > now()));
CREATE POLICY system_sees_all ON zone_day FOR SELECT TO tandem_system
  USING (true);
GRANT INSERT, SELECT ON zone_day TO tandem_system;
GRANT UPDATE (start_time) ON zone_day TO tandem_system;

CREATE TABLE zone_year (
  time_zone text COLLATE "C" NOT NULL,
  year smallint NOT NULL,
  data_version text COLLATE "C" NOT NULL
);
ALTER TABLE zone_year ADD CONSTRAINT zone_year_pkey PRIMARY KEY (time_zone, year);
ALTER TABLE zone_year ENABLE ROW LEVEL SECURITY;
CREATE POLICY system_sees_all ON zone_year TO tandem_system
  USING (true)
  WITH CHECK (true);
GRANT INSERT, SELECT ON zone_year TO tandem_system;
GRANT UPDATE (data_version) ON zone_year TO tandem_system;

CREATE OR REPLACE FUNCTION add_counts(a integer[], b integer[])
 RETURNS integer[]
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
RETURN (SELECT array_agg((COALESCE(c.x, 0) + COALESCE(c.y, 0)) ORDER BY c.place) AS array_agg FROM UNNEST(add_counts.a, add_counts.b) WITH ORDINALITY c(x, y, place));
GRANT EXECUTE ON FUNCTION add_counts(integer[],integer[]) TO tandem_system;
CREATE OR REPLACE FUNCTION clock_from(of_row timestamp with time zone)
 RETURNS timestamp with time zone
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
RETURN clock_timestamp();
GRANT EXECUTE ON FUNCTION clock_from(timestamp with time zone) TO tandem_carrier;
GRANT EXECUTE ON FUNCTION clock_from(timestamp with time zone) TO tandem_system;
