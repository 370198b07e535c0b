import { readFileSync } from "node:fs";
import { sql } from "kysely";
import { openBenchWorld } from "./world.ts";
import { addCarrier, assignNumbers } from "../test/support/carriers.ts";
import { benchNumbers, benchDuration } from "./records.ts";
import { create } from "@bufbuild/protobuf";
import { CallDurationSchema } from "../src/gen/tandem/type/v1/call_duration_pb.js";
import { durationEdge } from "../src/upload/record-edges.ts";
import { insertDurationRows } from "../src/store/record-rows.ts";
import { findKnownRevisions } from "../src/store/known-revisions.ts";
import * as A from "../src/store/binary-array.ts";
import { isoFromMicros } from "../src/domain/instant.ts";
import { carrierTransaction } from "../src/store/database.ts";
import { from as copyFrom, to as copyTo } from "pg-copy-streams";
import { pipeline } from "node:stream/promises";
import { Readable } from "node:stream";
const cpu=(pid:number)=>Number(readFileSync(`/proc/${pid}/schedstat`,"utf8").split(" ")[0])/1e3;
await using w = await openBenchWorld({databasePool:2});
const db=w.app.services.db;
await addCarrier(db,"bench");
if(process.argv[2]) await db.pool.query(process.argv[2]);
const now=Date.now();
const ctx={now:BigInt(now)*1000n,hashSecret:w.app.services.installation.secret,horizons:{firstDays:120,laterDays:400}};
const attribution={phoneNumber:"+441632960001",customerId:"customer-1",basis:3};
const variants:Record<string,(tx:any,recs:any[],seq:bigint,t:(k:string)=>void)=>Promise<void>>={
 async separate(tx,recs,seq,t){
  await findKnownRevisions(tx,"bench",1,recs as any); t("look");
  await sql`INSERT INTO duration_key (carrier_id, record_id, record_date, revision, content_hash, party_hash, sequence, ingest_time)
    SELECT ${"bench"}, k.record_id, k.record_date, k.revision, k.content_hash, k.party_hash, ${seq}::int8 + k.position - 1, clock_timestamp()
    FROM unnest(${A.textArray(recs.map((r) => r.recordId))}::text[], ${A.dateArray(recs.map((r) => r.recordDate))}::date[],
                ${A.int4Array(recs.map((r) => r.revision))}::int4[], ${A.int8Array(recs.map((r) => r.contentHash))}::int8[],
                ${A.int8Array(recs.map((r) => r.partyHash))}::int8[])
         WITH ORDINALITY AS k(record_id, record_date, revision, content_hash, party_hash, position)`.execute(tx); t("key");
  await insertDurationRows(tx,"bench",{nextSequence:seq,ingestTime:BigInt(Date.now())*1000n},recs as any); t("rec");
 },
 async merged(tx,recs,seq,t){
  await findKnownRevisions(tx,"bench",1,recs as any); t("look");
  const rows=recs.map(r=>r.row);
  await sql`WITH r AS MATERIALIZED (SELECT * FROM unnest(${A.textArray(recs.map((r) => r.recordId))}::text[], ${A.dateArray(recs.map((r) => r.recordDate))}::date[],
      ${A.int4Array(recs.map((r) => r.revision))}::int4[], ${A.int8Array(recs.map((r) => r.contentHash))}::int8[], ${A.int8Array(recs.map((r) => r.partyHash))}::int8[], ${A.int2Array(rows.map((r) => r.entryKind))}::int2[],
      ${A.timestamptzArray(rows.map((r) => r.startTime))}::timestamptz[], ${A.int2Array(rows.map((r) => r.direction))}::int2[],
      ${A.textArray(recs.map((r) => r.attribution?.phoneNumber ?? null))}::text[],
      ${A.textArray(recs.map((r) => r.attribution?.customerId ?? null))}::text[],
      ${A.int8Array(rows.map((r) => r.connectedDurationMs))}::int8[], ${A.byteaArray(rows.map((r) => r.payload))}::bytea[])
      WITH ORDINALITY AS r(record_id, record_date, revision, content_hash, party_hash, entry_kind, start_time, direction, phone_number, customer_id,
        connected_duration_ms, payload, position)),
     k AS (INSERT INTO duration_key (carrier_id, record_id, record_date, revision, content_hash, party_hash, sequence, ingest_time)
    SELECT ${"bench"}, k.record_id, k.record_date, k.revision, k.content_hash, k.party_hash, ${seq}::int8 + k.position - 1, ${isoFromMicros(BigInt(Date.now())*1000n)}::timestamptz FROM r k)
     INSERT INTO duration_record (carrier_id, sequence, ingest_time, record_id, record_date, revision, entry_kind, start_time, direction,
      phone_number, customer_id, connected_duration_ms, payload)
    SELECT ${"bench"}, ${seq}::int8 + r.position - 1, ${isoFromMicros(BigInt(Date.now())*1000n)}::timestamptz, r.record_id, r.record_date,
      r.revision, r.entry_kind, r.start_time, r.direction, r.phone_number, r.customer_id, r.connected_duration_ms, r.payload FROM r`.execute(tx); t("both");
 },
};
for(const [name,f] of Object.entries(variants)){
 await db.pool.query("TRUNCATE duration_record, duration_key");
 let seq=1n; const acc:Record<string,[number,number]>={};let rows=0;
 for(let r=0;r<14;r++){
  const msgs=Array.from({length:8000},(_,i)=>create(CallDurationSchema,benchDuration("u"+(r%4),r*8000+i,now)));
  const u0=process.cpuUsage();
  const prepared=msgs.map(m=>durationEdge.prepare(m,ctx));
  const recs=prepared.map(p=>({recordId:p.recordId,recordDate:p.recordDate,revision:p.revision,isVoid:false,contentHash:p.contentHash,partyHash:p.partyHash,connectedDurationMs:p.connectedDurationMs,startTime:p.startTime,refused:false,attribution,numbers:[],row:durationEdge.row(p,"bench",attribution),encoded:()=>p.payload}));
  const u1=process.cpuUsage(u0); const warm=r>=4;
  if(warm){(acc.prep??=[0,0])[1]+=u1.user+u1.system;rows+=8000;}
  let pid=0; 
  await carrierTransaction(db,"bench",async tx=>{
   pid=Number((await sql<any>`select pg_backend_pid() p`.execute(tx)).rows[0].p);
   let c=cpu(pid),n=process.cpuUsage();
   await f(tx,recs,seq,(k)=>{const d=cpu(pid)-c;c=cpu(pid);const m=process.cpuUsage(n);n=process.cpuUsage();if(warm){const e=acc[k]??=[0,0];e[0]+=d;e[1]+=m.user+m.system;}});
  });
  seq+=8000n;
 }
 console.log(name,Object.entries(acc).map(([k,[p,n]])=>`${k}: pg ${(p/rows).toFixed(2)} node ${(n/rows).toFixed(2)}`).join(" | "));
}
{ const c=await db.pool.connect(); const chunks:Buffer[]=[]; await pipeline(c.query(copyTo("COPY (SELECT * FROM duration_record) TO STDOUT")),async s=>{for await(const x of s)chunks.push(x as Buffer)}); const n=(await c.query("select count(*) n from duration_record")).rows[0].n; await c.query("TRUNCATE duration_record"); const pid=Number((await c.query("select pg_backend_pid() p")).rows[0].p); const a=cpu(pid); const u=process.cpuUsage(); const t0=performance.now(); await pipeline(Readable.from(chunks),c.query(copyFrom("COPY duration_record FROM STDIN"))); const m=process.cpuUsage(u); console.log("copy pg",((cpu(pid)-a)/Number(n)).toFixed(2),"node",((m.user+m.system)/Number(n)).toFixed(2),"wall",((performance.now()-t0)*1000/Number(n)).toFixed(2)); c.release(); }
