import { CreateError } from './errors.js';

/** What a method can be, and where such methods lie in the repository of Updraft. */
export const CONTRACTS = {
  'update-rule': 'update-rules',
  sampler: 'samplers',
  reward: 'rewards',
  aggregator: 'aggregators',
} as const;
export type Contract = keyof typeof CONTRACTS;

/** What somebody asks for. */
export interface MethodRequest {
  /** Name of the method, kebab-case; with a scope, `@you/my-rule`, the name of the package. */
  readonly name: string;
  readonly contract: string;
  /** Whether the package belongs into the repository of Updraft, and shares its settings. Default false. */
  readonly inside?: boolean;
  /** Version of Updraft's packages that it is made for. */
  readonly version: string;
}

/** All names that templates are filled with. */
export interface MethodDescription {
  readonly slug: string;
  readonly packageName: string;
  /** `MyRule` */
  readonly className: string;
  /** `myRule` */
  readonly factory: string;
  readonly contract: Contract;
  readonly inside: boolean;
  readonly version: string;
  /** Folder relative to where it is made. */
  readonly folder: string;
}

const SLUG = /^[a-z][a-z0-9]*(-[a-z0-9]+)*$/;
const NAME = /^(?:@[a-z0-9~][a-z0-9._~-]*\/)?([^/]+)$/;

/** Words that a factory of that name could not be called by. */
const RESERVED = new Set(
  'await break case catch class const continue debugger default delete do else enum export extends false finally for function if import in instanceof new null options return static super switch this throw true try typeof var void while with yield'.split(
    ' ',
  ),
);

/** @throws CreateError for a name that is not kebab-case and for a contract that there is not. */
export function describeMethod({ name, contract, inside = false, version }: MethodRequest): MethodDescription {
  const slug = NAME.exec(name)?.[1] ?? '';
  if (!SLUG.test(slug))
    throw new CreateError(
      `"${name}" is no name for a method. Names are kebab-case, with or without a scope: my-rule, @you/my-rule.`,
    );
  if (!Object.hasOwn(CONTRACTS, contract))
    throw new CreateError(
      `There is no contract "${contract}". A method is one of: ${Object.keys(CONTRACTS).join(', ')}.`,
    );
  const className = slug.replace(/(?:^|-)(.)/g, (_, letter: string) => letter.toUpperCase());
  const factory = className.charAt(0).toLowerCase() + className.slice(1);
  if (RESERVED.has(factory))
    throw new CreateError(`"${slug}" cannot name a function. Take a longer name: ${slug}-method.`);
  const known = contract as Contract;
  return {
    slug,
    packageName: inside ? `@updraft/${slug}` : name,
    className,
    factory,
    contract: known,
    inside,
    version,
    folder: inside ? `packages/${CONTRACTS[known]}/${slug}` : slug,
  };
}
