/** Which records somebody asks for: one meaning in both planes and in clients. */
import type { AuditRecord } from "./record.ts";

/** Empty parts match every record. */
export interface AuditFilter {
  readonly sinceMs?: number;
  readonly untilMs?: number;
  /** Who did it, or whose rights were used. */
  readonly subject?: string;
  readonly project?: string;
  readonly domain?: string;
  readonly run?: string;
  readonly codes?: readonly string[];
  readonly decisions?: readonly string[];
}

export function matchesFilter(record: AuditRecord, filter: AuditFilter): boolean {
  const { sinceMs, untilMs, subject, project, domain, run, codes = [], decisions = [] } = filter;
  if (sinceMs !== undefined && record.atMs < sinceMs) return false;
  if (untilMs !== undefined && record.atMs >= untilMs) return false;
  if (subject !== undefined && record.subject !== subject && record.actingFor !== subject) return false;
  if (project !== undefined && record.project !== project) return false;
  if (domain !== undefined && record.domain !== domain) return false;
  if (run !== undefined && record.run !== run) return false;
  if (codes.length > 0 && !codes.includes(record.code)) return false;
  return decisions.length === 0 || decisions.includes(record.decision);
}
