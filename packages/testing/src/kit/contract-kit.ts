import { createBackend, type Backend } from '@updraft/backend';
import { ContractError } from '../errors.js';

/** One thing that a contract demands. `run` throws where the subject does not do it. */
export interface Check {
  /** Short name, kebab-case; by it a check is waived. */
  readonly id: string;
  /** What holds when the check passes, as a sentence without its subject. */
  readonly title: string;
  run(): Promise<void>;
  /** Why the check does not apply; it is reported as skipped. */
  readonly skip?: string | undefined;
}

/** All checks of a contract for one implementation. */
export interface ContractKit {
  /** Contract and name of what is checked. */
  readonly subject: string;
  readonly checks: readonly Check[];
  /** Frees what the checks share (a backend that they made). */
  dispose(): Promise<void>;
}

/** What all kits take. */
export interface KitSettings {
  /** Where programs run; default: a CPU backend of the kit's own. */
  readonly backend?: Backend;
  /**
   * Makes a second backend, whose numbers must agree with the first: `() => childBackend()` of `@updraft/testing/node` for
   * WebGPU. It is made when its check runs and disposed of after it. Leave it out where there is no such device.
   */
  readonly otherBackend?: (() => Promise<Backend>) | undefined;
  /** Checks that do not apply, by id, each with the reason; they are shown as skipped. */
  readonly waive?: Readonly<Record<string, string>>;
}

export type CheckResult =
  | { readonly id: string; readonly outcome: 'passed' }
  | { readonly id: string; readonly outcome: 'skipped'; readonly reason: string }
  | { readonly id: string; readonly outcome: 'failed'; readonly error: Error };

/** The functions of a test framework that {@link registerKit} needs: those of jest, vitest and node:test fit. */
export interface TestRunner {
  describe(name: string, body: () => void): unknown;
  readonly test: ((name: string, body: () => Promise<void>) => unknown) & {
    skip(name: string, body: () => Promise<void>): unknown;
  };
  /** Called `after` in node:test; without it a backend made by the kit lives until the process ends. */
  afterAll?(body: () => Promise<void>): unknown;
}

/** A backend that is made when the first check asks for it, unless one was given. */
export class SharedBackend {
  #made: Promise<Backend> | undefined;

  constructor(readonly given: Backend | undefined) {}

  get(): Promise<Backend> {
    if (this.given !== undefined) return Promise.resolve(this.given);
    return (this.#made ??= createBackend({ device: 'cpu' }));
  }

  async dispose(): Promise<void> {
    const made = this.#made;
    this.#made = undefined;
    await (await made)?.dispose();
  }
}

/**
 * Put a kit together: waived checks become skipped ones.
 *
 * @throws ContractError where `waive` names a check that the kit does not have.
 */
export function makeKit(
  subject: string,
  checks: readonly Check[],
  shared: SharedBackend,
  waive: Readonly<Record<string, string>> = {},
): ContractKit {
  const known = checks.map(({ id }) => id);
  for (const [id, reason] of Object.entries(waive)) {
    if (!known.includes(id))
      throw new ContractError(`"${id}" is waived for the ${subject}, but the kit has no such check.`, {
        hint: `It has: ${known.join(', ')}.`,
      });
    if (reason.trim() === '')
      throw new ContractError(`The check "${id}" is waived for the ${subject} without a reason.`, {
        hint: 'Say why it does not apply.',
      });
  }
  return {
    subject,
    checks: checks.map((check) => ({ ...check, skip: waive[check.id] ?? check.skip })),
    dispose: () => shared.dispose(),
  };
}

/** Run every check of a kit, one after the other, and say how each ended. */
export async function runKit(kit: ContractKit): Promise<CheckResult[]> {
  const results: CheckResult[] = [];
  for (const { id, skip, run } of kit.checks) {
    if (skip !== undefined) {
      results.push({ id, outcome: 'skipped', reason: skip });
      continue;
    }
    try {
      await run();
      results.push({ id, outcome: 'passed' });
    } catch (thrown) {
      results.push({ id, outcome: 'failed', error: thrown instanceof Error ? thrown : new Error(String(thrown)) });
    }
  }
  return results;
}

function globalRunner(): TestRunner {
  const { describe, test, it, afterAll, after } = globalThis as unknown as Partial<
    Record<'describe' | 'test' | 'it' | 'afterAll' | 'after', unknown>
  >;
  const found = { describe, test: test ?? it, afterAll: afterAll ?? after };
  if (typeof found.describe !== 'function' || typeof found.test !== 'function')
    throw new ContractError('There are no global functions describe() and test() to register checks with.', {
      hint: 'Give those of your test framework as the last argument.',
    });
  return found as unknown as TestRunner;
}

/**
 * Register every check of a kit as a test. By default the global functions of jest (and of vitest with `globals`) are
 * used; others are given: `registerKit(kit, { describe, test, afterAll: after })`.
 *
 * @throws ContractError where there is no test framework.
 */
export function registerKit(kit: ContractKit, runner: TestRunner = globalRunner()): void {
  runner.describe(kit.subject, () => {
    for (const { title, skip, run } of kit.checks)
      if (skip === undefined) runner.test(title, run);
      else runner.test.skip(`${title} (${skip})`, run);
    runner.afterAll?.(() => kit.dispose());
  });
}

/** Programs compiled so far; a backend that does not count them never compiles anything as far as a kit can see. */
export const compilations = (backend: Backend): number =>
  (backend as Backend & { readonly compilations?: number }).compilations ?? 0;
