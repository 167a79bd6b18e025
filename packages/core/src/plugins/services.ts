import './reflect.js';
import type { Backend } from '@updraft/backend';
import { container as root, type DependencyContainer, type InjectionToken } from 'tsyringe';
import { CoreError } from '../errors.js';
import { defaultLinearAlgebra, type LinearAlgebra } from '../linear-algebra/index.js';
import type { ReviveSchedule } from '../options/schedule.js';
import type { RandomStream } from '../random/index.js';

/** Time, so that tests and simulations can give their own. */
export interface Clock {
  /** Milliseconds since 1970. */
  now(): number;
  /** Wait; rejects with the reason of the signal when it is aborted. */
  sleep(milliseconds: number, signal?: AbortSignal): Promise<void>;
}

export type LogLevel = 'debug' | 'info' | 'warn' | 'error';

/** Where a plugin tells people something that is no event of the run. */
export interface Logger {
  log(level: LogLevel, message: string, facts?: Readonly<Record<string, unknown>>): void;
}

/** Named files that belong to a run: figures, samples, caches. Names are paths with `/`, without `..`. */
export interface ArtifactStore {
  read(name: string): Promise<Uint8Array | undefined>;
  /** Complete or not at all. */
  write(name: string, bytes: Uint8Array): Promise<void>;
  list(prefix?: string): Promise<readonly string[]>;
}

/** Services of a pipeline, which its plugins may ask for in their constructors. */
export interface Services {
  readonly random: RandomStream;
  readonly linearAlgebra: LinearAlgebra;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly artifacts: ArtifactStore;
  readonly backend: Backend;
  /** Makes schedules of serialised ones in options. */
  readonly schedules: ReviveSchedule;
}

/** Token under which a plugin finds its validated options. */
export const OPTIONS: InjectionToken<unknown> = Symbol('updraft.options');
export const RANDOM: InjectionToken<RandomStream> = Symbol('updraft.random');
export const LINEAR_ALGEBRA: InjectionToken<LinearAlgebra> = Symbol('updraft.linear-algebra');
export const CLOCK: InjectionToken<Clock> = Symbol('updraft.clock');
export const LOGGER: InjectionToken<Logger> = Symbol('updraft.logger');
export const ARTIFACTS: InjectionToken<ArtifactStore> = Symbol('updraft.artifacts');
export const BACKEND: InjectionToken<Backend> = Symbol('updraft.backend');
export const SCHEDULES: InjectionToken<ReviveSchedule> = Symbol('updraft.schedules');

const TOKENS: { readonly [Name in keyof Services]: InjectionToken<Services[Name]> } = {
  random: RANDOM,
  linearAlgebra: LINEAR_ALGEBRA,
  clock: CLOCK,
  logger: LOGGER,
  artifacts: ARTIFACTS,
  backend: BACKEND,
  schedules: SCHEDULES,
};

/** The clock of the machine. */
export const systemClock: Clock = {
  now: () => Date.now(),
  sleep: (milliseconds, signal) =>
    new Promise((resolve, reject) => {
      const abort = (): void => {
        clearTimeout(timer);
        reject(signal?.reason as Error);
      };
      const timer = setTimeout(() => {
        signal?.removeEventListener('abort', abort);
        resolve();
      }, milliseconds);
      if (signal?.aborted === true) abort();
      else signal?.addEventListener('abort', abort, { once: true });
    }),
};

/** Says nothing. */
export const silentLogger: Logger = { log: () => undefined };

/** Artifacts in memory, for tests and pages without storage. */
export class MemoryArtifactStore implements ArtifactStore {
  readonly #files = new Map<string, Uint8Array>();
  read(name: string): Promise<Uint8Array | undefined> {
    return Promise.resolve(this.#files.get(name)?.slice());
  }
  write(name: string, bytes: Uint8Array): Promise<void> {
    this.#files.set(name, bytes.slice());
    return Promise.resolve();
  }
  list(prefix = ''): Promise<readonly string[]> {
    return Promise.resolve([...this.#files.keys()].filter((name) => name.startsWith(prefix)).sort());
  }
}

/**
 * A container for one pipeline with its services. Linear algebra, the clock and a silent logger are there by default; a
 * plugin that asks for another service which was not given is refused with its name.
 *
 * @param parent A container to look further in: that of another pipeline, or of an application.
 */
export function createContainer(
  services: Partial<Services> = {},
  parent: DependencyContainer = root,
): DependencyContainer {
  const child = parent.createChildContainer();
  const defaults: Partial<Services> = { linearAlgebra: defaultLinearAlgebra, clock: systemClock, logger: silentLogger };
  for (const name of Object.keys(TOKENS) as (keyof Services)[]) {
    const token = TOKENS[name] as InjectionToken<unknown>;
    const given = services[name];
    // What the parent has is not hidden by defaults.
    const service = given ?? (parent.isRegistered(token, true) ? undefined : defaults[name]);
    if (service !== undefined) child.register(token, { useValue: service });
    else if (!parent.isRegistered(token, true))
      child.register(token, {
        useFactory: () => {
          throw new CoreError('plugin', `This pipeline has no service "${name}".`, {
            hint: `Give it: createContainer({ ${name}: … }).`,
          });
        },
      });
  }
  return child;
}

/** Services that were really given or have a default; `schedules` is looked up so. */
export function serviceIfGiven<Name extends keyof Services>(
  container: DependencyContainer,
  name: Name,
): Services[Name] | undefined {
  const token: InjectionToken<Services[Name]> = TOKENS[name];
  try {
    return container.isRegistered(token, true) ? container.resolve(token) : undefined;
  } catch (error) {
    if (error instanceof CoreError) return undefined;
    throw error;
  }
}
