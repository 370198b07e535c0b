import pg from "pg";
const acc=new Map<string,{n:number,ms:number,max:number}>();
const orig=pg.Client.prototype.query as any;
(pg.Client.prototype as any).query=function(...a:any[]){
  const text=(typeof a[0]==="string"?a[0]:a[0]?.text??"?").replace(/\s+/g," ").slice(0,46);
  const t=performance.now();
  const r=orig.apply(this,a);
  if(r&&typeof r.then==="function"){r.then(()=>{const e=acc.get(text)??{n:0,ms:0,max:0};const d=performance.now()-t;e.n++;e.ms+=d;e.max=Math.max(e.max,d);acc.set(text,e);},()=>{});}
  return r;
};
const {measureUploads}=await import("./upload.ts");
for (const r of await measureUploads(Number(process.argv[2]??2), Number(process.argv[3]??50000), Number(process.argv[4]??1000))) console.log(Math.round(r.upload), Math.round(r.copy), (r.upload/r.copy).toFixed(3));
for(const [k,v] of [...acc].sort((a,b)=>b[1].ms-a[1].ms).slice(0,16)) console.log(v.ms.toFixed(0).padStart(7),String(v.n).padStart(6),(v.ms/v.n).toFixed(2).padStart(8),k);
