import type { Backend, Program } from '@updraft/backend';
import type { InputSpec } from '../module/module.js';
import { buildStepProgram, type StepProgram, type StepProgramSource } from '../program/step-program.js';

/** A step program with its compiled form. */
export interface CompiledStep {
  readonly step: StepProgram;
  readonly program: Program;
  /** Milliseconds spent building the graph and compiling it. */
  readonly milliseconds: number;
}

/** Sizes that get a program of their own before a program with symbolic sizes takes over. */
const SPECIALISED_SIZES = 2;

/**
 * Compiles the variants of a step as they are needed: one per phase, monitoring and batch size. The first batch sizes
 * get specialised programs (static shapes run faster); further sizes share one program with symbolic dimensions, so that
 * a sampler may change the batch size at every step without compiling each time.
 */
export class StepPrograms {
  readonly #compiled = new Map<string, Promise<CompiledStep>>();
  readonly #sizes = new Set<string>();

  constructor(
    readonly backend: Backend,
    readonly source: Omit<StepProgramSource, 'phase' | 'monitored'>,
  ) {}

  /** Whether the program for these settings exists already. */
  has(phase: string, monitored: boolean, sizes: ReadonlyMap<string, number>): boolean {
    return this.#compiled.has(this.#key(phase, monitored, sizes).key);
  }

  get(phase: string, monitored: boolean, sizes: ReadonlyMap<string, number>): Promise<CompiledStep> {
    const { key, bound } = this.#key(phase, monitored, sizes);
    let compiled = this.#compiled.get(key);
    if (compiled === undefined) {
      compiled = this.#compile(phase, monitored, bound);
      this.#compiled.set(key, compiled);
      // A failed compilation is reported to its caller and may be tried again.
      compiled.catch(() => this.#compiled.delete(key));
    }
    return compiled;
  }

  #key(
    phase: string,
    monitored: boolean,
    sizes: ReadonlyMap<string, number>,
  ): { key: string; bound: ReadonlyMap<string, number> } {
    const text = [...sizes].map(([name, size]) => `${name}=${size}`).join();
    if (!this.#sizes.has(text) && this.#sizes.size < SPECIALISED_SIZES) this.#sizes.add(text);
    const special = this.#sizes.has(text);
    return {
      key: `${phase}|${monitored ? 'monitored' : ''}|${special ? text : 'symbolic'}`,
      bound: special ? sizes : new Map<string, number>(),
    };
  }

  async #compile(phase: string, monitored: boolean, sizes: ReadonlyMap<string, number>): Promise<CompiledStep> {
    const start = performance.now();
    const columns = bindColumns(this.source.columns, sizes);
    const step = buildStepProgram({ ...this.source, columns, phase, monitored });
    const program = await this.backend.compile(step.graph, { resident: step.reads, updates: step.updates });
    return { step, program, milliseconds: performance.now() - start };
  }

  async dispose(): Promise<void> {
    const all = await Promise.allSettled(this.#compiled.values());
    this.#compiled.clear();
    for (const one of all) if (one.status === 'fulfilled') await one.value.program.dispose();
  }
}

/** Columns with their named sizes replaced by numbers where known. */
export const bindColumns = (
  columns: Readonly<Record<string, InputSpec>>,
  sizes: ReadonlyMap<string, number>,
): Record<string, InputSpec> =>
  Object.fromEntries(
    Object.entries(columns).map(([name, spec]) => [
      name,
      { ...spec, shape: spec.shape.map((dim) => (typeof dim === 'string' ? (sizes.get(dim) ?? dim) : dim)) },
    ]),
  );
