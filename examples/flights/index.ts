/**
 * Which airports lose the most time? Three million flights are split by airport, each airport's delays are computed in
 * an action of its own, and the results are gathered into a table and a report. Run it with
 * `biplane run examples/flights/index.ts flights --source flights-3m.parquet --wait`.
 */
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DataFrame, Duration, dataFrame, environment, File, file, map, report, z } from "@biplane/sdk";
import { type AirportDelays, airportDelays } from "./airport-delays.ts";
import { openDatabase } from "./database.ts";
import { partitionByOrigin } from "./partition.ts";
import { reportPage } from "./report-page.ts";

const env = environment("flights", { retries: 2, timeout: Duration.of({ minutes: 10 }) });

const part = z.object({ origin: z.string(), flights: file() }).meta({ title: "Part" });

/** One Parquet file for each airport that flights leave from. */
export const partition = env.task(
  { input: z.object({ source: file() }), output: z.array(part), resources: { memory: "1Gi" } },
  async ({ source }) => {
    const folder = await mkdtemp(join(tmpdir(), "flights-"));
    const parts = await partitionByOrigin(await source.download(), folder);
    console.log(`${parts.length} airports`);
    return parts;
  },
);

/** What one airport's flights say about its delays. */
export const delays = env.task(
  { input: part, output: airportDelays, resources: { memory: "512Mi" } },
  async ({ origin, flights }) => {
    const database = await openDatabase();
    const [row] = await database.rows(
      `select count(*) as flights, avg(delay) as mean, median(delay) as median,
              quantile_cont(delay, 0.9) as delay90, avg((delay > 15)::int) as late,
              mode(destination) as destination
       from read_parquet(?)`,
      [await flights.download()],
    );
    return {
      origin,
      flights: Number(row?.["flights"]),
      meanDelay: Number(row?.["mean"]),
      medianDelay: Number(row?.["median"]),
      delay90: Number(row?.["delay90"]),
      lateShare: Number(row?.["late"]),
      mostFlownTo: String(row?.["destination"]),
    };
  },
);

/** The whole table as Parquet, and a page about it. */
export const gather = env.task(
  {
    input: z.object({ airports: z.array(airportDelays) }),
    output: dataFrame(),
    resources: { memory: "512Mi" },
  },
  async ({ airports }) => {
    const ranked = [...airports].sort((left, right) => right.meanDelay - left.meanDelay);
    report.html(reportPage(ranked));
    const folder = await mkdtemp(join(tmpdir(), "flights-"));
    const path = join(folder, "airports.parquet");
    const json = await File.write("airports.json", JSON.stringify(ranked));
    const database = await openDatabase();
    await database.run(`copy (select * from read_json(?)) to '${path}' (format parquet)`, [
      await json.download(),
    ]);
    return DataFrame.upload(path, {
      columns: [
        { name: "origin", type: "string" },
        { name: "flights", type: "integer" },
        { name: "meanDelay", type: "float" },
        { name: "medianDelay", type: "float" },
        { name: "delay90", type: "float" },
        { name: "lateShare", type: "float" },
        { name: "mostFlownTo", type: "string" },
      ],
    });
  },
);

/** Airports with fewer flights than this say little. */
const flightsMin = 1_000;

export const flights = env.task(
  {
    description: "Delay statistics of US airports, one action for each airport",
    input: z.object({
      source: file().describe("flights-3m.parquet of the npm package vega-datasets"),
      worst: z.int().min(1).max(100).default(10).describe("airports in the printed table"),
    }),
    output: z.object({
      airports: z.int(),
      flights: z.int(),
      worst: z.array(airportDelays),
      table: dataFrame(),
    }),
  },
  async ({ source, worst }) => {
    const parts = await partition({ source });
    const airports = await map(delays, parts);
    const table = await gather({ airports });
    const ranked = airports
      .filter((airport) => airport.flights >= flightsMin)
      .sort((left, right) => right.meanDelay - left.meanDelay);
    for (const airport of ranked.slice(0, worst)) console.log(lineOf(airport));
    return {
      airports: airports.length,
      flights: airports.reduce((sum, airport) => sum + airport.flights, 0),
      worst: ranked.slice(0, worst),
      table,
    };
  },
);

function lineOf(airport: AirportDelays): string {
  const mean = airport.meanDelay.toFixed(1).padStart(6);
  return `${airport.origin}  ${mean} min on average, ${(airport.lateShare * 100).toFixed(0)} % late, ${airport.flights} flights`;
}
