/** The example outside of a cluster, on the real data. */
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { File } from "@biplane/sdk";
import { expect, test } from "vitest";
import { openDatabase } from "./database.ts";
import { delays, gather } from "./index.ts";
import { partitionByOrigin } from "./partition.ts";
import { reportPage } from "./report-page.ts";

const data = resolve(import.meta.dirname, "../../node_modules/vega-datasets/data/flights-3m.parquet");

test("no flight is lost between the file and its 229 parts", async () => {
  const folder = await mkdtemp(join(tmpdir(), "flights-test-"));
  const parts = await partitionByOrigin(data, folder);
  expect(parts).toHaveLength(229);
  const database = await openDatabase();
  const stored = parts.map((part) => `'${part.flights.uri}'`).join(", ");
  const [row] = await database.rows(`select count(*) as total from read_parquet([${stored}])`);
  expect(Number(row?.["total"])).toBe(3_000_000);
});

test("an airport's figures are those that a query over the whole file gives", async () => {
  const database = await openDatabase();
  const folder = await mkdtemp(join(tmpdir(), "flights-test-"));
  const part = join(folder, "SBP.parquet");
  await database.run(
    `copy (select * from read_parquet(?) where origin = 'SBP') to '${part}' (format parquet)`,
    [data],
  );
  const [expected] = await database.rows(
    "select count(*) as flights, avg(delay) as mean from read_parquet(?) where origin = 'SBP'",
    [data],
  );
  const found = await delays({ origin: "SBP", flights: new File(part) });
  expect(found.flights).toBe(Number(expected?.["flights"]));
  expect(found.meanDelay).toBeCloseTo(Number(expected?.["mean"]), 9);
});

test("the gathered table holds a row for each airport, the slowest first", async () => {
  const airports = ["AAA", "BBB"].map((origin, index) => ({
    origin,
    flights: 2_000,
    meanDelay: 5 * (index + 1),
    medianDelay: 1,
    delay90: 30,
    lateShare: 0.25,
    mostFlownTo: "CCC",
  }));
  const table = await gather({ airports });
  const database = await openDatabase();
  const rows = await database.rows("select origin, flights from read_parquet(?)", [await table.download()]);
  expect(rows.map((row) => row["origin"])).toEqual(["BBB", "AAA"]);
});

test("the report shows names as text and loads nothing from anywhere", () => {
  const page = reportPage([
    {
      origin: "<script>",
      flights: 5_000,
      meanDelay: 12.34,
      medianDelay: 3,
      delay90: 40,
      lateShare: 0.5,
      mostFlownTo: "ATL",
    },
  ]);
  expect(page).toContain("&lt;script&gt;");
  expect(page).not.toContain("<script");
  expect(page).not.toMatch(/https?:|src=|@import/);
  expect(page).toContain("12.3 min");
});
