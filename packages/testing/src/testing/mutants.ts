import { readFileSync } from 'node:fs';
import type { Backend } from '@updraft/backend';
import type { ContractKit } from '../kit/contract-kit.js';

/** A wrong implementation, made by one change to a correct one. */
export interface Mutant {
  readonly fault: string;
  /** What is wrong with it. */
  readonly wrong: string;
  /** Why no kit can see it; absent where one must. */
  readonly unseen?: string;
}

/** Wrong implementations of a contract and the kit that must tell them from the right ones. */
export interface MutantFamily {
  readonly contract: string;
  readonly mutants: readonly Mutant[];
  /** Kits of the right implementations. */
  correct(backend: Backend): readonly ContractKit[];
  kit(fault: string, backend: Backend): ContractKit;
}

/** A golden file of this package. */
export const goldenFile = (name: string): unknown =>
  JSON.parse(readFileSync(new URL(`../../golden/${name}.json`, import.meta.url), 'utf8'));
