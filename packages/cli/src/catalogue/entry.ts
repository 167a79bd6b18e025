import { parseOptions } from '@updraft/core';
import { closest } from 'fastest-levenshtein';
import type { z } from 'zod';
import { CliError } from '../errors.js';

/** Something that a configuration can name: how it is described, and how it is made of its options. */
export interface Entry<T> {
  readonly summary: string;
  readonly options: z.ZodObject;
  readonly make: (options: never) => T;
}

/** Entries by name. */
export type Catalogue<T> = Readonly<Record<string, Entry<T>>>;

export const entry = <Schema extends z.ZodObject, T>(
  summary: string,
  options: Schema,
  make: (options: z.output<Schema>) => T,
): Entry<T> => ({ summary, options, make });

/** A part of a configuration by name, with its options. */
export interface NamedPart {
  readonly name: string;
  readonly options: Readonly<Record<string, unknown>>;
}

/** The entry of a name. @throws CliError for an unknown one, with the nearest known one. */
export function findEntry<T>(what: string, catalogue: Catalogue<T>, name: string): Entry<T> {
  if (Object.hasOwn(catalogue, name)) return catalogue[name] as Entry<T>;
  const names = Object.keys(catalogue);
  throw new CliError(`There is no ${what} named "${name}".`, {
    hint: `Did you mean "${closest(name, names)}"? Known are: ${names.join(', ')}.`,
  });
}

/** Make what a part names. @throws CliError, OptionsError */
export function makeEntry<T>(what: string, catalogue: Catalogue<T>, { name, options }: NamedPart): T {
  const found = findEntry(what, catalogue, name);
  return found.make(parseOptions(found.options, options, `${what} ${name}`) as never);
}
