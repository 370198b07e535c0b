import { sql } from "kysely";
import { openBenchWorld } from "./world.ts";
import { addCarrier, assignNumbers } from "../test/support/carriers.ts";
import { benchNumbers, benchDuration } from "./records.ts";
import { create } from "@bufbuild/protobuf";
import { CallDurationSchema } from "../src/gen/tandem/type/v1/call_duration_pb.js";
import { durationEdge } from "../src/upload/record-edges.ts";
import { insertDurationRows } from "../src/store/record-rows.ts";
import { findKnownRevisions } from "../src/store/known-revisions.ts";
import { textArray,dateArray,int4Array,int8Array } from "../src/store/binary-array.ts";
import { carrierTransaction } from "../src/store/database.ts";
await using w = await openBenchWorld();
await addCarrier(w.app.services.db,"bench"); await assignNumbers(w.app.services.db,"bench",benchNumbers(),"c");
const now=Date.now();
const ctx={now:BigInt(now)*1000n,hashSecret:w.app.services.installation.secret,horizons:{firstDays:120,laterDays:400}};
let seq=1n;
const t:any={prep:0,look:0,key:0,rec:0,commit:0,rows:0};
const attribution={phoneNumber:"+441632960001",customerId:"customer-1",basis:3};
for(let r=0;r<16;r++){
 const msgs=Array.from({length:8000},(_,i)=>create(CallDurationSchema,benchDuration("u"+(r%4),r*8000+i,now)));
 let a=performance.now();
 const prepared=msgs.map(m=>durationEdge.prepare(m,ctx));
 const recs=prepared.map(p=>({recordId:p.recordId,recordDate:p.recordDate,revision:p.revision,isVoid:false,contentHash:p.contentHash,partyHash:p.partyHash,connectedDurationMs:p.connectedDurationMs,startTime:p.startTime,refused:false,attribution,numbers:[],row:durationEdge.row(p,"bench",attribution),encoded:()=>p.payload}));
 const warm=r>=4; const add=(k:string)=>{const b=performance.now(); if(warm) t[k]+=b-a; a=performance.now();};
 add("prep");
 await carrierTransaction(w.app.services.db,"bench",async tx=>{
  a=performance.now();
  await findKnownRevisions(tx,"bench",1,recs as any); add("look");
  await sql`INSERT INTO duration_key (carrier_id, record_id, record_date, revision, content_hash, party_hash, sequence, ingest_time)
    SELECT ${"bench"}, k.record_id, k.record_date, k.revision, k.content_hash, k.party_hash,
           ${seq}::int8 + k.position - 1, clock_timestamp()
    FROM unnest(${textArray(recs.map((r) => r.recordId))}::text[], ${dateArray(recs.map((r) => r.recordDate))}::date[],
                ${int4Array(recs.map((r) => r.revision))}::int4[], ${int8Array(recs.map((r) => r.contentHash))}::int8[],
                ${int8Array(recs.map((r) => r.partyHash))}::int8[])
         WITH ORDINALITY AS k(record_id, record_date, revision, content_hash, party_hash, position)`.execute(tx); add("key");
  await insertDurationRows(tx,"bench",{nextSequence:seq,ingestTime:BigInt(Date.now())*1000n},recs as any); add("rec");
 });
 add("commit"); if(warm) t.rows+=8000;
 seq+=8000n;
}
for(const k of ["prep","look","key","rec","commit"]) console.log(k,(t[k]*1000/t.rows).toFixed(2),"us/row");
