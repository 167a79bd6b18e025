import { sha1 } from '@noble/hashes/legacy.js';
import { bytesToHex } from '@noble/hashes/utils.js';
import type { StringStringEntryProto } from '../serialise/generated/onnx_pb.js';
import type { LoadBudgets } from './budgets.js';
import { ModelBudgetError, ModelFormatError } from './format-error.js';

/**
 * Contents of the external files of a model, by the location that the model gives them, or a function that finds them.
 * The loader never opens a file itself.
 */
export type ExternalData = ReadonlyMap<string, Uint8Array> | ((location: string) => Uint8Array | undefined);

const KEYS: ReadonlySet<string> = new Set(['location', 'offset', 'length', 'checksum']);

/** Resolves references to external tensor data within one model. */
export class ExternalDataReader {
  readonly #files = new Map<string, Uint8Array>();
  readonly #digests = new Map<string, string>();
  #total = 0;

  constructor(
    readonly source: ExternalData | undefined,
    readonly budgets: LoadBudgets,
  ) {}

  /** The bytes that a tensor refers to; `size` is what its shape and element type need. */
  read(entries: readonly StringStringEntryProto[], size: number, where: string): Uint8Array {
    const facts = new Map<string, string>();
    for (const { key, value } of entries) {
      if (!KEYS.has(key))
        throw new ModelFormatError(where, `Its external data has the unknown key "${key.slice(0, 80)}".`, {
          hint: `Allowed are ${[...KEYS].join(', ')}.`,
        });
      if (facts.has(key)) throw new ModelFormatError(where, `Its external data gives "${key}" twice.`);
      facts.set(key, value);
    }
    const location = this.#location(facts.get('location'), where);
    const file = this.#file(location, where);
    const offset = this.#number(facts, 'offset', 0, where);
    const length = this.#number(facts, 'length', size, where);
    if (length !== size)
      throw new ModelFormatError(where, `Its external data has ${length} bytes where its shape needs ${size}.`, {
        details: { length, size },
      });
    if (offset + length > file.length)
      throw new ModelFormatError(
        where,
        `Its external data lies at bytes ${offset} to ${offset + length} of "${location}", which has ${file.length}.`,
        {
          details: { offset, length, available: file.length },
        },
      );
    this.#total += length;
    if (this.#total > this.budgets.externalBytes)
      throw new ModelBudgetError(where, 'externalBytes', this.budgets.externalBytes, this.#total);
    const checksum = facts.get('checksum');
    if (checksum !== undefined) this.#verify(location, file, checksum, where);
    return file.subarray(offset, offset + length);
  }

  #location(location: string | undefined, where: string): string {
    if (location === undefined || location === '')
      throw new ModelFormatError(where, 'Its external data has no location.');
    const parts = location.split('/');
    const hostile =
      location.length > 1024 ||
      /[\0-\x1f\\:]/.test(location) ||
      parts.some((part) => part === '' || part === '..' || part === '.');
    if (hostile)
      throw new ModelFormatError(
        where,
        `Its external data has the location ${JSON.stringify(location.slice(0, 120))}.`,
        {
          hint: 'A location is the name of a file beside the model, without "..", drive or leading "/".',
        },
      );
    return location;
  }

  #file(location: string, where: string): Uint8Array {
    const known = this.#files.get(location);
    if (known !== undefined) return known;
    const { source } = this;
    const file = typeof source === 'function' ? source(location) : source?.get(location);
    if (file === undefined)
      throw new ModelFormatError(where, `Its data lies in the external file "${location}", which was not given.`, {
        hint: `Pass the contents: { externalData: new Map([['${location}', bytes]]) }. Updraft follows no path from a model.`,
        details: { location },
      });
    this.#files.set(location, file);
    return file;
  }

  #number(facts: ReadonlyMap<string, string>, key: string, fallback: number, where: string): number {
    const text = facts.get(key);
    if (text === undefined) return fallback;
    const value = Number(text);
    if (!/^\d{1,16}$/.test(text) || !Number.isSafeInteger(value))
      throw new ModelFormatError(
        where,
        `The "${key}" of its external data is ${JSON.stringify(text.slice(0, 80))}, not a number of bytes.`,
      );
    return value;
  }

  #verify(location: string, file: Uint8Array, checksum: string, where: string): void {
    let digest = this.#digests.get(location);
    if (digest === undefined) this.#digests.set(location, (digest = bytesToHex(sha1(file))));
    if (digest !== checksum.toLowerCase())
      throw new ModelFormatError(
        where,
        `The SHA-1 of "${location}" is ${digest}; the model says ${checksum.slice(0, 80)}.`,
        {
          hint: 'The external file does not belong to this model or is damaged.',
        },
      );
  }
}
