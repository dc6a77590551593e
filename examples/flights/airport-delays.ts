import { z } from "@biplane/sdk";

/** What one airport's departures say. Delays in minutes; negative where flights leave early. */
export const airportDelays = z
  .object({
    origin: z.string(),
    flights: z.int(),
    meanDelay: z.number(),
    medianDelay: z.number(),
    delay90: z.number(),
    lateShare: z.number(),
    mostFlownTo: z.string(),
  })
  .meta({ title: "AirportDelays" });

export type AirportDelays = z.infer<typeof airportDelays>;
