import type { CheckpointManifest } from './checkpoint.js';

/** Which checkpoints stay when a new one is written; a checkpoint stays when any of the rules keeps it. */
export interface KeepPolicy {
  /** Newest ones to keep; default 3, at least 1. */
  readonly last?: number;
  /** Also keep every checkpoint whose step is a multiple of this. */
  readonly every?: number;
  /** Also keep the best ones. */
  readonly best?: BestPolicy;
}

export interface BestPolicy {
  readonly count: number;
  /** A metric of the newest evaluation before the checkpoint, or `loss`, the training loss (default). */
  readonly metric?: string;
  /** Whether larger is better. Default false. */
  readonly highest?: boolean;
}

/** What a manifest says about the metric that a policy goes by; undefined when it does not say. */
export function scoreOf(manifest: CheckpointManifest, { metric = 'loss' }: BestPolicy): number | undefined {
  const value = manifest.metrics?.[metric] ?? (metric === 'loss' ? manifest.loss : null);
  return value === null || !Number.isFinite(value) ? undefined : value;
}

/** A checkpoint as the policy sees it. */
export interface Kept {
  readonly name: string;
  readonly step: number;
  readonly score?: number | undefined;
}

/** Names of the checkpoints that may go. @param all Oldest first. */
export function superfluous(all: readonly Kept[], { last = 3, every, best }: KeepPolicy): string[] {
  const stay = new Set(all.slice(-Math.max(1, last)).map(({ name }) => name));
  if (every !== undefined) for (const { name, step } of all) if (step % every === 0) stay.add(name);
  if (best !== undefined) {
    const sign = best.highest === true ? -1 : 1;
    const ranked = all
      .filter((one): one is Kept & { score: number } => one.score !== undefined)
      // Of equally good ones the older stays: it is the one that was kept before.
      .sort((a, b) => sign * (a.score - b.score) || a.step - b.step);
    for (const { name } of ranked.slice(0, best.count)) stay.add(name);
  }
  return all.filter(({ name }) => !stay.has(name)).map(({ name }) => name);
}
