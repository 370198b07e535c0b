import { METRICS, type MetricName } from "../../src/telemetry/catalogue.ts";
import { scrapedName, sentName } from "../../src/telemetry/scraped-names.ts";
import { ALERTS, type Alert } from "./alerts.ts";
import { type Panel, ROWS } from "./panels.ts";

/** One file of deploy/, made of the tables beside this one. */
export interface TelemetryFile {
  /** From the root of the repository. */
  readonly path: string;
  readonly text: string;
  /** The metrics that it uses, by their names in Prometheus. */
  readonly metrics: ReadonlySet<string>;
}

/** By which way metrics come to Prometheus: its scrapes of /metrics, or OTLP. */
const WAYS = [
  { suffix: "", title: "Tandem", nameOf: scrapedName },
  { suffix: "-otlp", title: "Tandem (OTLP)", nameOf: sentName },
] as const;

/** Every file, with what it holds now. */
export function makeTelemetryFiles(): TelemetryFile[] {
  return WAYS.flatMap(({ suffix, title, nameOf }) => {
    const rules = new Naming(nameOf);
    const dashboard = new Naming(nameOf);
    return [
      { path: `deploy/prometheus/tandem-alerts${suffix}.yml`, text: rulesText(rules), metrics: rules.used },
      {
        path: `deploy/grafana/tandem${suffix}.json`,
        text: `${JSON.stringify(dashboardOf(dashboard, `tandem${suffix}`, title), undefined, 2)}\n`,
        metrics: dashboard.used,
      },
    ];
  });
}

/** Puts the metrics' names of one way into queries. */
class Naming {
  readonly used = new Set<string>();
  readonly #nameOf: (name: MetricName) => string;

  constructor(nameOf: (name: MetricName) => string) {
    this.#nameOf = nameOf;
  }

  in(expr: string): string {
    return expr.replaceAll(/\{\{([\w.]+)\}\}/g, (_, name: string) => {
      if (!(name in METRICS)) throw new Error(`no metric is called ${name}`);
      const shown = this.#nameOf(name as MetricName);
      this.used.add(shown);
      return shown;
    });
  }
}

const MADE = "Made by `npm run telemetry:files` of scripts/telemetry; change it there.";

// JSON's texts are texts of YAML too.
function rulesText(naming: Naming): string {
  const rules = ALERTS.map((alert) => ruleText(alert, naming));
  return `# ${MADE}\ngroups:\n  - name: tandem\n    rules:\n${rules.join("")}`;
}

function ruleText({ name, expr, for: span, severity, summary }: Alert, naming: Naming): string {
  return `      - alert: ${name}
        expr: ${JSON.stringify(naming.in(expr))}
        for: ${span}
        labels:
          severity: ${severity}
        annotations:
          summary: ${JSON.stringify(summary)}
          description: ${JSON.stringify(`docs/operations.md says under "Alerts" what to do about ${name}.`)}
`;
}

const WIDTH = 24;
const ACROSS = 3;
const HEIGHT = 8;

function dashboardOf(naming: Naming, uid: string, title: string): object {
  return {
    uid,
    title,
    description: MADE,
    tags: ["tandem"],
    schemaVersion: 39,
    editable: true,
    refresh: "30s",
    time: { from: "now-6h", to: "now" },
    templating: {
      list: [{ name: "datasource", label: "Data source", type: "datasource", query: "prometheus", current: {} }],
    },
    panels: panelsOf(naming),
  };
}

function panelsOf(naming: Naming): object[] {
  const made: object[] = [];
  let y = 0;
  for (const row of ROWS) {
    made.push({
      id: made.length + 1,
      type: "row",
      title: row.title,
      collapsed: false,
      gridPos: { x: 0, y, w: WIDTH, h: 1 },
    });
    y += 1;
    for (const [index, panel] of row.panels.entries()) {
      const place = { x: ((index % ACROSS) * WIDTH) / ACROSS, y: y + Math.floor(index / ACROSS) * HEIGHT };
      made.push(panelOf(panel, naming, { id: made.length + 1, ...place }));
    }
    y += Math.ceil(row.panels.length / ACROSS) * HEIGHT;
  }
  return made;
}

function panelOf({ title, unit, queries }: Panel, naming: Naming, { id, x, y }: { id: number; x: number; y: number }) {
  // Grafana puts the chosen source in.
  const datasource = { type: "prometheus", uid: `$${"{datasource}"}` };
  return {
    id,
    type: "timeseries",
    title,
    datasource,
    gridPos: { x, y, w: WIDTH / ACROSS, h: HEIGHT },
    fieldConfig: { defaults: { unit, min: 0 }, overrides: [] },
    options: { legend: { displayMode: "list", placement: "bottom" }, tooltip: { mode: "multi" } },
    targets: queries.map(({ expr, legend }, index) => ({
      refId: String.fromCharCode(65 + index),
      datasource,
      expr: naming.in(expr),
      legendFormat: legend,
    })),
  };
}
