import { elementCount, emptyTensor, writeElement, type TensorData } from '@updraft/graph';
import { z } from 'zod';
import { ContractError } from '../errors.js';
import type { Named } from '../kit/compare.js';

/** Numbers as golden files hold them: what JSON lacks is written out. */
const number = z.union([z.number(), z.enum(['inf', '-inf', 'nan'])]);
type GoldenNumber = z.output<typeof number>;

type Nested = GoldenNumber | readonly Nested[];
const nested: z.ZodType<Nested> = z.lazy(() => z.union([number, z.array(nested)]));

/** A float32 tensor as nested lists, any other with its element type. */
const tensorSchema = z.union([
  nested,
  z.strictObject({
    dataType: z.enum(['float32', 'float64', 'int32', 'int64', 'uint8', 'bool']),
    shape: z.array(z.number().int().min(0)),
    data: z.array(number),
  }),
]);
const tensors = z.record(z.string(), tensorSchema);
const options = z.record(z.string(), z.unknown());
const caseBase = {
  /** What the case shows; unique in its file. */
  name: z.string().min(1),
  options: options.default({}),
  /** Largest difference relative to the largest expected value of a tensor. */
  tolerance: z.number().positive(),
};

const updateRuleCase = z.strictObject({
  ...caseBase,
  seed: z.number().int().default(0),
  params: tensors,
  /** Gradients of each step. */
  gradients: z.array(tensors).min(1),
  /** Gradients of each step with targets drawn from the model, for rules that ask for them; default: the same. */
  sampledGradients: z.array(tensors).min(1).optional(),
  /** Values after some of the steps, counted from 1. */
  expected: z
    .array(z.strictObject({ step: z.number().int().min(1), params: tensors, state: tensors.optional() }))
    .min(1),
});
const samplerCase = z.strictObject({
  ...caseBase,
  seed: z.number().int().default(0),
  /** What is told to the sampler after each draw. */
  feedback: z
    .array(
      z.strictObject({
        loss: number,
        metrics: z.record(z.string(), number).default({}),
        perExample: tensors.default({}),
      }),
    )
    .optional(),
  /** Draws from the first one on; null is the end. */
  draws: z
    .array(
      z.union([
        z.null(),
        z.strictObject({ ids: z.array(z.union([z.number(), z.string()])).optional(), columns: tensors.optional() }),
      ]),
    )
    .min(1),
});
const rewardCase = z.strictObject({
  ...caseBase,
  batch: tensors.optional(),
  /** What the model gives. */
  outputs: tensors.optional(),
  expected: z
    .strictObject({
      loss: number,
      metrics: z.record(z.string(), number).optional(),
      perExample: tensors.optional(),
      /** Gradients of the loss with respect to outputs of the model. */
      gradients: tensors.optional(),
    })
    .optional(),
  items: z.array(z.unknown()).optional(),
  scores: z.array(number).optional(),
  groups: z.array(z.number()).optional(),
  advantages: z.array(number).optional(),
});
const aggregatorCase = z.strictObject({
  ...caseBase,
  rounds: z
    .array(
      z.strictObject({
        sources: z.array(z.strictObject({ id: z.string(), weight: z.number().min(0), values: tensors })).min(1),
        expected: z.strictObject({ values: tensors, state: tensors.optional() }),
      }),
    )
    .min(1),
});

const fileOf = <Contract extends string, Case extends z.ZodType>(contract: Contract, each: Case) =>
  z.strictObject({
    contract: z.literal(contract),
    /** Name of the plugin. */
    plugin: z.string(),
    /** Where the numbers come from: library and version, paper and table, script. */
    origin: z.string().min(10),
    cases: z.array(each).min(1),
  });

const files = {
  'update-rule': fileOf('update-rule', updateRuleCase),
  sampler: fileOf('sampler', samplerCase),
  reward: fileOf('reward', rewardCase),
  aggregator: fileOf('aggregator', aggregatorCase),
} as const;

/** A golden file of a contract, checked. */
export type GoldenFile<Contract extends keyof typeof files> = z.output<(typeof files)[Contract]>;

/** Tensors of a golden file as they are written there. */
export type GoldenTensors = z.output<typeof tensors>;

/** The number that a golden file means. */
export const goldenNumber = (value: GoldenNumber): number =>
  value === 'inf' ? Infinity : value === '-inf' ? -Infinity : value === 'nan' ? NaN : value;

const shapeOf = (value: Nested, where: string): number[] => {
  if (!Array.isArray(value)) return [];
  const list = value as readonly Nested[];
  if (list.length === 0) return [0];
  const [first, ...rest] = list.map((item) => shapeOf(item, where));
  if (rest.some((shape) => shape.join() !== first?.join()))
    throw new ContractError(`${where}: rows differ in length.`, { hint: 'Give every row the same number of elements.' });
  return [list.length, ...(first ?? [])];
};

/** @throws ContractError for ragged lists and for data that does not fill its shape. */
export function goldenTensor(value: GoldenTensors[string], where: string): TensorData {
  const literal = typeof value === 'object' && !Array.isArray(value) && 'dataType' in value ? value : undefined;
  const flat =
    literal?.data ?? (Array.isArray(value) ? (value.flat(Infinity) as GoldenNumber[]) : [value as GoldenNumber]);
  const dims = literal?.shape ?? shapeOf(value as Nested, where);
  if (elementCount(dims) !== flat.length)
    throw new ContractError(`${where}: ${flat.length} values do not fill the shape [${dims.join(', ')}].`);
  const result = emptyTensor(literal?.dataType ?? 'float32', dims);
  flat.forEach((one, index) => {
    writeElement(result, index, goldenNumber(one));
  });
  return result;
}

export const goldenTensors = (values: GoldenTensors, where: string): Named =>
  Object.fromEntries(Object.entries(values).map(([name, value]) => [name, goldenTensor(value, `${where}, "${name}"`)]));

/**
 * Check the JSON of a golden file: known keys only, an origin, every case once.
 *
 * @param plugin Name of the plugin that the file must be for.
 * @throws ContractError naming the place and what is expected there.
 */
export function parseGolden<Contract extends keyof typeof files>(
  contract: Contract,
  plugin: string,
  json: unknown,
): GoldenFile<Contract> {
  const result = files[contract].safeParse(json);
  if (!result.success) {
    const [issue] = result.error.issues;
    const path = issue?.path.map(String).join('.') ?? '';
    throw new ContractError(
      `The golden file of the ${contract} "${plugin}" is wrong at "${path}": ${issue?.message ?? 'unknown'}.`,
      { hint: 'Numbers that JSON lacks are written "inf", "-inf" and "nan"; an origin says where the values come from.' },
    );
  }
  const file = result.data as GoldenFile<Contract>;
  if (file.plugin !== plugin)
    throw new ContractError(`The golden file is for "${file.plugin}", not for "${plugin}".`, {
      hint: 'Give the file of this plugin.',
    });
  const names = new Set<string>();
  const contents = new Map<string, string>();
  for (const { name, ...content } of file.cases) {
    if (names.has(name)) throw new ContractError(`The golden file of "${plugin}" has two cases named "${name}".`);
    names.add(name);
    const text = JSON.stringify(content);
    const twin = contents.get(text);
    if (twin !== undefined)
      throw new ContractError(`The cases "${twin}" and "${name}" of the golden file of "${plugin}" are the same.`);
    contents.set(text, name);
  }
  return file;
}
