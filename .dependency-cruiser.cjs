// The import rules of the source tree; docs/architecture.md draws them.

/** A part may reach only the parts named here (and its own files). */
const mayImport = {
  domain: [],
  files: [],
  telemetry: ["domain"],
  trust: ["files", "domain"],
  port: ["trust", "domain"],
  config: ["trust", "telemetry", "files", "domain"],
  store: ["files", "domain"],
  feed: ["store", "domain"],
  erasure: ["store", "files", "domain"],
  backup: ["erasure", "store", "files", "domain"],
  upload: ["erasure", "store", "telemetry", "domain"],
  reconcile: ["store", "domain"],
  jobs: ["erasure", "reconcile", "store", "domain"],
  rpc: ["port", "trust", "upload", "feed", "erasure", "reconcile", "store", "telemetry", "domain"],
  start: ["rpc", "port", "trust", "config", "backup", "jobs", "erasure", "store", "telemetry", "files", "domain"],
  client: ["files", "domain"],
  simulator: ["client", "domain"],
};

/**
 * The contract's subjects: the wings of rpc, store and cli. What services share is in rpc/shared,
 * how messages are read in rpc/intake.
 */
const services = "carriers|cdrs|durations|numbers|reconciliation|usage|privacy";

/**
 * Where generated code may be used. The contract's enums are plain numbers, and the words of the
 * parts below the services as well; of messages these know only the types, and only where records
 * are checked or turned into messages. src/domain/contract-enums.test.ts holds that.
 */
const usesGenerated = [
  "^src/(rpc|port|client|simulator|gen|cli)/",
  "^src/(domain|store|feed|erasure|upload|reconcile|jobs)/",
  "^(test|bench)/",
  "\\.test\\.ts$",
];

const layers = Object.entries(mayImport).map(([part, others]) => ({
  name: `${part}-imports`,
  comment: `${part} may import ${others.join(", ") || "nothing of ours"}`,
  severity: "error",
  from: { path: `^src/${part}/`, pathNot: "\\.test\\.ts$" },
  to: { path: "^src/", pathNot: `^src/(${[part, "gen", ...others].join("|")})/` },
}));

module.exports = {
  forbidden: [
    ...layers,
    {
      name: "services-apart",
      comment: "no service imports another: what two need is in rpc/shared",
      severity: "error",
      from: { path: `^src/rpc/(${services})/`, pathNot: "\\.test\\.ts$" },
      to: { path: `^src/rpc/(${services})/`, pathNot: "^src/rpc/$1/" },
    },
    {
      name: "shared-below-services",
      comment: "what services share, and how messages are read, knows no service",
      severity: "error",
      from: { path: "^src/rpc/(shared|intake)/", pathNot: "\\.test\\.ts$" },
      to: { path: "^src/rpc/", pathNot: "^src/rpc/(shared|intake)/" },
    },
    {
      name: "app-is-the-root",
      comment: "only the command line, tests and benchmarks open the app",
      severity: "error",
      from: { path: "^src/", pathNot: "^src/(cli\\.ts$|cli/|app\\.ts$)|\\.test\\.ts$" },
      to: { path: "^src/app\\.ts$" },
    },
    {
      name: "cli-is-the-top",
      comment: "nothing imports the command line",
      severity: "error",
      from: { path: "^src/", pathNot: "^src/(cli\\.ts$|cli/)" },
      to: { path: "^src/cli(\\.ts$|/)" },
    },
    {
      name: "generated-at-the-edges",
      comment: "generated code stays out of what starts, backs up, configures and trusts",
      severity: "error",
      from: { path: "^(src|test|bench)/", pathNot: usesGenerated },
      to: { path: "^src/gen/" },
    },
    {
      name: "sql-in-the-store",
      comment: "Kysely and pg are used in the store only",
      severity: "error",
      from: { path: "^src/", pathNot: "^src/store/" },
      to: { path: "node_modules/(kysely|pg|pg-[a-z-]+|@types/pg)/" },
    },
    {
      name: "migrations-are-frozen",
      comment: "a migration imports nothing of src, so that it means the same for ever",
      severity: "error",
      from: { path: "^src/store/migrations/[0-9]" },
      to: { path: "^src/" },
    },
    {
      name: "telemetry-only-when-asked",
      comment: "the SDK of OpenTelemetry is loaded when metrics or traces are turned on, and not before",
      severity: "error",
      from: { path: "^src/", pathNot: "\\.test\\.ts$" },
      to: {
        path: "node_modules/@opentelemetry/(?!api/)",
        dynamic: false,
        dependencyTypesNot: ["type-only"],
      },
    },
    { name: "no-cycles", severity: "error", from: {}, to: { circular: true } },
    { name: "no-unresolved", severity: "error", from: {}, to: { couldNotResolve: true } },
    {
      name: "no-dev-dependency-in-src",
      severity: "error",
      from: { path: "^src/", pathNot: "\\.test\\.ts$" },
      to: { dependencyTypes: ["npm-dev"], pathNot: "node_modules/@types/" },
    },
  ],
  options: {
    includeOnly: { path: ["^(src|test|bench|scripts|examples/typescript)/", "node_modules"] },
    exclude: { path: ["^(dist|node_modules|\\.git)/.*/node_modules/"] },
    doNotFollow: { path: ["node_modules", "^src/gen/"] },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: "tsconfig.json" },
    enhancedResolveOptions: {
      exportsFields: ["exports"],
      conditionNames: ["import", "node", "types", "default"],
    },
  },
};
