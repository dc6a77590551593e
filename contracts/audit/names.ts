/** What logs and witnesses are called. Every name is in the checkpoints that others keep: they never change. */

/** The log of one cluster of an organization. */
export function dataLogName(org: string, cluster: string): string {
  return `${org}.data.biplane/${cluster}`;
}

/** The control plane's log of an organization. */
export function controlLogName(org: string): string {
  return `${org}.control.biplane`;
}

/** The control plane's log of what concerns no organization. An organization's name has no dot. */
export const providerLogName = "control.biplane";

/** As whom the keeper of this log signs what it saw of others. */
export function witnessNameOf(logName: string): string {
  return `${logName}/witness`;
}
