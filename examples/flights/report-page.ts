/** The report: one self-contained page with a chart and the whole table. It loads nothing from anywhere. */
import { report } from "@biplane/sdk";
import type { AirportDelays } from "./airport-delays.ts";

const shownAirports = 25;
const flightsMin = 1_000;

export function reportPage(airports: readonly AirportDelays[]): string {
  const flights = airports.reduce((sum, airport) => sum + airport.flights, 0);
  const shown = airports.filter((airport) => airport.flights >= flightsMin).slice(0, shownAirports);
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Delays by airport</title>
<style>
  :root { color-scheme: light dark; --page: #fff; --text: #1b1f24; --line: #d8dee4; --mean: #1f6fb2; --most: #b6d4f0; }
  @media (prefers-color-scheme: dark) { :root { --page: #14171a; --text: #e6e9ec; --line: #3a4047; --mean: #63abe6; --most: #284b66; } }
  body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: var(--text); background: var(--page); }
  table { border-collapse: collapse; width: 100%; }
  th, td { padding: 0.2rem 0.6rem; text-align: right; border-bottom: 1px solid var(--line); white-space: nowrap; }
  .list { overflow-x: auto; }
  .mean { fill: var(--mean); } .most { fill: var(--most); }
  th:first-child, td:first-child, th:last-child, td:last-child { text-align: left; }
  svg text { font: 13px system-ui, sans-serif; fill: var(--text); }
</style>
<h1>Delays by airport</h1>
<p>${flights.toLocaleString("en")} flights from ${airports.length} airports of the United States, first half of 2001.</p>
<h2>Longest mean delays</h2>
<p>Airports with at least ${flightsMin.toLocaleString("en")} flights; the strong part of a bar is the mean, the pale part reaches to the delay that nine of ten flights stay below.</p>
${chart(shown)}
<h2>All airports</h2>
${tableOf(airports)}
</html>`;
}

function chart(airports: readonly AirportDelays[]): string {
  const rowHeight = 22;
  const [left, width] = [60, 700];
  const longest = Math.max(1, ...airports.map((airport) => airport.delay90));
  const scale = (minutes: number) => Math.max(0, (minutes / longest) * (width - left - 90));
  const rows = airports.map((airport, index) => {
    const y = index * rowHeight;
    const label = `${airport.meanDelay.toFixed(1)} min`;
    return `<text x="${left - 8}" y="${y + 15}" text-anchor="end">${report.escape(airport.origin)}</text>
<rect x="${left}" y="${y + 3}" width="${scale(airport.delay90).toFixed(1)}" height="16" class="most"></rect>
<rect x="${left}" y="${y + 3}" width="${scale(airport.meanDelay).toFixed(1)}" height="16" class="mean"></rect>
<text x="${(left + scale(airport.delay90) + 6).toFixed(1)}" y="${y + 15}">${label}</text>`;
  });
  const height = airports.length * rowHeight;
  return `<svg role="img" aria-label="Mean delay of ${airports.length} airports" viewBox="0 0 ${width} ${height}" width="100%">
${rows.join("\n")}
</svg>`;
}

function tableOf(airports: readonly AirportDelays[]): string {
  const titles = ["Airport", "Flights", "Mean", "Median", "90 % below", "Late by 15 min", "Most flown to"];
  const rows = airports.map((airport) => {
    const cells = [
      report.escape(airport.origin),
      airport.flights.toLocaleString("en"),
      airport.meanDelay.toFixed(1),
      airport.medianDelay.toFixed(0),
      airport.delay90.toFixed(0),
      `${(airport.lateShare * 100).toFixed(0)} %`,
      report.escape(airport.mostFlownTo),
    ];
    return `<tr>${cells.map((cell) => `<td>${cell}</td>`).join("")}</tr>`;
  });
  const head = titles.map((title) => `<th scope="col">${title}</th>`).join("");
  return `<div class="list" tabindex="0" role="region" aria-label="All airports"><table><thead><tr>${head}</tr></thead><tbody>${rows.join("\n")}</tbody></table></div>`;
}
