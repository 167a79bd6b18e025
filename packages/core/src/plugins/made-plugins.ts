/** What a plugin was made of: its contract, its name, and the options after validation. */
export interface MadePlugin {
  readonly contract: string;
  readonly name: string;
  readonly options: Readonly<Record<string, unknown>>;
}

const made = new WeakMap<object, MadePlugin>();

/** Remember what an instance was made of, so that options that hold it can be written down. */
export const rememberPlugin = (instance: object, from: MadePlugin): void => {
  made.set(instance, from);
};

/** What an instance was made of; undefined for values that no factory and no registry made. */
export const madePlugin = (value: unknown): MadePlugin | undefined =>
  typeof value === 'object' && value !== null ? made.get(value) : undefined;
