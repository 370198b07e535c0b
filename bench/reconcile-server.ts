// A server process of its own on a database that is there, which reconciles once it is told to go
// on, until it is told again.
import { once } from "node:events";
import { openApp } from "../src/app.ts";
import { type ConfigOverrides, loadConfig } from "../src/config/config.ts";
import { runReconcile } from "../src/jobs/reconcile.ts";
import { openLog } from "../src/log.ts";
import { reconcileCarrier } from "../src/reconcile/reconcile-carrier.ts";
import { helperArgument, sayReady, sayResult } from "./helper-process.ts";

export interface ReconcileServerArgument {
  settings: ConfigOverrides;
  /** A carrier that it reconciles before it is ready, so that no code is new when it measures. */
  warmUp: string;
}

/** Between two looks for something to do. */
const INTERVAL_MS = 100;

const { settings, warmUp } = helperArgument<ReconcileServerArgument>();
const app = await openApp(loadConfig({}, { ...settings, port: 0, reconcileIntervalMs: 0 }), openLog("error"));
const stop = new AbortController();
const { db } = app.services;
await reconcileCarrier({ db, carrierId: warmUp, holder: "warm-up", signal: stop.signal });
await sayReady({ pid: process.pid });
const told = once(process, "message");
const options = { db, region: undefined, intervalMs: INTERVAL_MS, onAppended: () => {}, onError: console.error };
const running = runReconcile(options, stop.signal);
await told;
stop.abort();
await running;
await app[Symbol.asyncDispose]();
sayResult({});
