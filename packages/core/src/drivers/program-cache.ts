import { chunkSteps, type Backend, type Program } from '@updraft/backend';
import type { InputSpec } from '../module/module.js';
import { buildStepProgram, type StepProgram, type StepProgramSource } from '../program/step-program.js';

/** A step program with its compiled form. */
export interface CompiledStep {
  readonly step: StepProgram;
  readonly program: Program;
  /** Whether the program takes many steps: its host inputs and metrics have a leading axis of steps. */
  readonly chunked: boolean;
  /** Milliseconds spent building the graph and compiling it. */
  readonly milliseconds: number;
}

/** What tells the variants of a step apart. */
export interface StepVariant {
  readonly phase: string;
  readonly monitored: boolean;
  /** Values of the named sizes of the batch. */
  readonly sizes: ReadonlyMap<string, number>;
  /** Many steps in one call. */
  readonly chunked: boolean;
}

/** A name that no size of a model has. */
const CHUNK_STEPS = 'steps of the chunk';

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

  /** Whether the program of a variant exists already. */
  has(variant: StepVariant): boolean {
    return this.#compiled.has(this.#place(variant).key);
  }

  get(variant: StepVariant): Promise<CompiledStep> {
    const { key, sizes } = this.#place(variant);
    let compiled = this.#compiled.get(key);
    if (compiled === undefined) {
      compiled = this.#compile({ ...variant, sizes });
      this.#compiled.set(key, compiled);
      // A failed compilation is reported to its caller and may be tried again.
      compiled.catch(() => this.#compiled.delete(key));
    }
    return compiled;
  }

  /** Key of a variant, and the sizes that its program is specialised to. */
  #place({ phase, monitored, sizes, chunked }: StepVariant): { key: string; sizes: ReadonlyMap<string, number> } {
    const text = [...sizes].map(([name, size]) => `${name}=${size}`).join();
    if (!this.#sizes.has(text) && this.#sizes.size < SPECIALISED_SIZES) this.#sizes.add(text);
    const special = this.#sizes.has(text);
    return {
      key: [phase, monitored ? 'monitored' : '', chunked ? 'chunked' : '', special ? text : 'symbolic'].join('|'),
      sizes: special ? sizes : new Map<string, number>(),
    };
  }

  async #compile({ phase, monitored, sizes, chunked }: StepVariant): Promise<CompiledStep> {
    const start = performance.now();
    const columns = bindColumns(this.source.columns, sizes);
    const step = buildStepProgram({ ...this.source, columns, phase, monitored });
    const { updates, reads } = step;
    const graph = chunked
      ? chunkSteps(step.graph, {
          updates,
          shared: reads.filter((name) => !updates.has(name)),
          steps: CHUNK_STEPS,
        })
      : step.graph;
    const program = await this.backend.compile(graph, { resident: reads, updates });
    return { step, program, chunked, milliseconds: performance.now() - start };
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
