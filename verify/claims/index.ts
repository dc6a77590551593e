/** All claims, in the order of the register. */
import type { Claim } from "../frame/claim.ts";
import { aud1 } from "./aud-1.ts";
import { aud2 } from "./aud-2.ts";
import { aud3 } from "./aud-3.ts";
import { border1 } from "./border-1.ts";
import { cls1 } from "./cls-1.ts";
import { cls2 } from "./cls-2.ts";
import { cls3 } from "./cls-3.ts";
import { cls4 } from "./cls-4.ts";
import { cls5 } from "./cls-5.ts";
import { cls6 } from "./cls-6.ts";
import { cmk1 } from "./cmk-1.ts";
import { cmk2 } from "./cmk-2.ts";
import { cmk3 } from "./cmk-3.ts";
import { flow1 } from "./flow-1.ts";
import { flow2 } from "./flow-2.ts";
import { flow3 } from "./flow-3.ts";
import { flow4 } from "./flow-4.ts";
import { flow5 } from "./flow-5.ts";
import { iam1 } from "./iam-1.ts";
import { iam2 } from "./iam-2.ts";
import { iam3 } from "./iam-3.ts";
import { iam4 } from "./iam-4.ts";
import { iso1 } from "./iso-1.ts";
import { net1 } from "./net-1.ts";
import { res1 } from "./res-1.ts";
import { res3 } from "./res-3.ts";
import { res4 } from "./res-4.ts";
import { rest1 } from "./rest-1.ts";
import { tls1 } from "./tls-1.ts";
import { tls2 } from "./tls-2.ts";
import { tls3 } from "./tls-3.ts";
import { tls4 } from "./tls-4.ts";
import { tls5 } from "./tls-5.ts";
import { trust1 } from "./trust-1.ts";
import { trust2 } from "./trust-2.ts";
import { trust3 } from "./trust-3.ts";
import { trust4 } from "./trust-4.ts";

export const claims: readonly Claim[] = [
  ...[cls1, cls2, cls3, cls4, cls5, cls6],
  ...[flow1, flow2, flow3, flow4, flow5],
  ...[res1, res3, res4, rest1],
  ...[cmk1, cmk2, cmk3],
  ...[tls1, tls2, tls3, tls4, tls5],
  ...[aud1, aud2, aud3],
  ...[iam1, iam2, iam3, iam4],
  iso1,
  net1,
  ...[trust1, trust2, trust3, trust4],
  border1,
];
