import { expect, test } from "vitest";
import { destinationsOf, resolversFor } from "./destinations.ts";

test("what the settings name is listed as it is dialled, with its port (claim RES-4)", () => {
  const listed = destinationsOf({
    linkAddress: "control.example:7443",
    edgeAddress: "[2001:4860::1]:443",
    databaseUrl: "postgres://biplane@db.example/biplane",
    keys: { kind: "aws-kms", region: "eu-central-1", aliasPrefix: "biplane" },
    identityIssuer: "https://login.example/realm",
    environment: { AWS_ACCESS_KEY_ID: "given" },
  });
  expect(listed.map(({ purpose, host, port }) => `${purpose}: ${host} ${port}`)).toEqual([
    "control plane: control.example 7443",
    "tunnel edge: 2001:4860::1 443",
    "database: db.example 5432",
    "keys: kms.eu-central-1.amazonaws.com 443",
    "identity provider: login.example 443",
  ]);
});

test("whoever is asked for names is listed where there is a name to ask for", () => {
  const servers = ["10.0.0.2", "fd12::53", "127.0.0.53:5353", "[fd12::54]:5353"];
  expect(resolversFor(["control.example"], servers).map(({ host, port }) => `${host} ${port}`)).toEqual([
    "10.0.0.2 53",
    "fd12::53 53",
    "127.0.0.53 5353",
    "fd12::54 5353",
  ]);
  expect(resolversFor(["localhost", "10.1.2.3", "fd12::1"], servers)).toEqual([]);
});
