import { InvalidArgumentError, Option, type Command } from 'commander';

/** A value for a key of the configuration, such as `updateRule.options.learningRate` = 0.001. */
export interface Assignment {
  readonly path: readonly string[];
  readonly value: unknown;
}

/** Flags that stand for keys of a configuration. */
export interface ConfigFlags {
  readonly model?: string;
  readonly data?: string;
  readonly sampler?: string;
  readonly reward?: string;
  readonly updateRule?: string;
  readonly option: readonly Assignment[];
  readonly set: readonly Assignment[];
  readonly plugin: readonly string[];
  readonly steps?: number;
  readonly seed?: number;
  readonly device?: string;
  readonly output?: string;
  readonly name?: string;
}

/** @throws InvalidArgumentError, which commander shows with the name of the flag. */
export function wholeNumber(text: string): number {
  const value = Number(text);
  if (text.trim() === '' || !Number.isSafeInteger(value)) throw new InvalidArgumentError('It is no whole number.');
  return value;
}

export const collect = <T>(value: T, previous: readonly T[]): readonly T[] => [...previous, value];

/** `path=value`, the value as JSON where it is JSON, else as text. @throws InvalidArgumentError */
export function assignment(text: string): Assignment {
  const [, path, value] = /^([^=]+)=(.*)$/s.exec(text) ?? [];
  if (path === undefined || value === undefined || path.split('.').includes(''))
    throw new InvalidArgumentError('Write path=value, such as updateRule.learningRate=0.001.');
  return { path: path.split('.'), value: jsonOrText(value) };
}

function jsonOrText(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return text;
  }
}

/** `part.option=value` as a value for `part.options.option`. */
function partOption(text: string): Assignment {
  const { path, value } = assignment(text);
  const [part, ...option] = path;
  if (part === undefined || option.length === 0)
    throw new InvalidArgumentError('Write part.option=value, such as updateRule.learningRate=0.001.');
  // People also write the whole path.
  return { path: [part, 'options', ...(option[0] === 'options' ? option.slice(1) : option)], value };
}

/** Adds the flags of {@link ConfigFlags} to a command. */
export function addConfigFlags(command: Command): Command {
  return command
    .argument('[config]', 'configuration: JSON, YAML, TypeScript or JavaScript; flags override it')
    .option('--model <name>', 'reference model')
    .option('--data <name>', 'dataset')
    .option('--sampler <name>', 'sampler')
    .option('--reward <name>', 'reward')
    .option('--update-rule <name>', 'update rule')
    .option(
      '--option <part.option=value>',
      'option of a part, such as updateRule.learningRate=0.001; may be repeated',
      (text, previous: readonly Assignment[]) => collect(partOption(text), previous),
      [],
    )
    .option(
      '--set <path=value>',
      'any key of the configuration, the value as JSON; may be repeated',
      (text, previous: readonly Assignment[]) => collect(assignment(text), previous),
      [],
    )
    .option('--plugin <package>', 'package or module with further plugins; may be repeated', collect<string>, [])
    .option('--steps <number>', 'steps to take', wholeNumber)
    .option('--seed <number>', 'seed of parameters, order and noise', wholeNumber)
    .addOption(new Option('--device <device>', 'where to run').choices(['auto', 'webgpu', 'cuda', 'cpu']))
    .option('--output <folder>', 'folder of the run')
    .option('--name <text>', 'name of the run in reports');
}
