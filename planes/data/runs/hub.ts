/** Tells those who watch of what has been committed. Costs nothing for what nobody watches. */
import type { RunId } from "@biplane/base";
import { runKey } from "./state.ts";
import type { ActionRecord, RunRecord } from "./types.ts";

export type RunListener = (record: RunRecord) => void;
export type ActionListener = (record: ActionRecord) => void;

/** What of a run somebody listens to. */
export type ActionTopic = "actions" | `action:${string}` | `children:${string}`;

interface RunTopics {
  readonly id: RunId;
  readonly run: Set<RunListener>;
  readonly actions: Map<string, Set<ActionListener>>;
}

export class WatchHub {
  readonly #runs = new Map<string, RunTopics>();
  readonly #scopes = new Map<string, Set<RunListener>>();

  get watchedRuns(): readonly RunId[] {
    return [...this.#runs.values()].map(({ id }) => id);
  }

  onRun(id: RunId, listener: RunListener): () => void {
    const key = runKey(id);
    this.#topics(id).run.add(listener);
    return () => {
      this.#runs.get(key)?.run.delete(listener);
      this.#forgetIfIdle(key);
    };
  }

  onActions(id: RunId, topic: ActionTopic, listener: ActionListener): () => void {
    const key = runKey(id);
    const { actions } = this.#topics(id);
    const listeners = actions.get(topic) ?? new Set();
    actions.set(topic, listeners.add(listener));
    return () => {
      listeners.delete(listener);
      if (listeners.size === 0 && actions.get(topic) === listeners) actions.delete(topic);
      this.#forgetIfIdle(key);
    };
  }

  /** Runs of one project-domain, keyed `project/domain`. */
  onScope(scope: string, listener: RunListener): () => void {
    const listeners = this.#scopes.get(scope) ?? new Set();
    this.#scopes.set(scope, listeners.add(listener));
    return () => {
      listeners.delete(listener);
      if (listeners.size === 0 && this.#scopes.get(scope) === listeners) this.#scopes.delete(scope);
    };
  }

  publishRun(record: RunRecord): void {
    for (const listener of this.#runs.get(runKey(record))?.run ?? []) listener(record);
    for (const listener of this.#scopes.get(`${record.project}/${record.domain}`) ?? []) listener(record);
  }

  publishAction(record: ActionRecord): void {
    const topics = this.#runs.size === 0 ? undefined : this.#runs.get(runKey(record))?.actions;
    if (topics === undefined) return;
    for (const listener of topics.get("actions") ?? []) listener(record);
    for (const listener of topics.get(`action:${record.action}`) ?? []) listener(record);
    for (const listener of topics.get(`children:${record.parent}`) ?? []) listener(record);
  }

  #topics(id: RunId): RunTopics {
    const key = runKey(id);
    const known = this.#runs.get(key);
    if (known !== undefined) return known;
    const topics: RunTopics = { id, run: new Set(), actions: new Map() };
    this.#runs.set(key, topics);
    return topics;
  }

  #forgetIfIdle(key: string): void {
    const topics = this.#runs.get(key);
    if (topics !== undefined && topics.run.size === 0 && topics.actions.size === 0) this.#runs.delete(key);
  }
}
