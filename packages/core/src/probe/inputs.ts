import { z } from 'zod';
import { optionsJsonSchema, type JsonSchema } from '../options/describe-options.js';
import { JSON_DATA_TYPES } from './values.js';

// Looked at by `readTensor`, which says more about what is wrong than a schema can.
const tensorJson = z.unknown();
const number = z.unknown();

const tensors = (what: string) => z.record(z.string(), tensorJson).describe(what);
const tensorLists = (what: string) => z.array(z.record(z.string(), tensorJson)).describe(what);

/** A plugin, with options or without. */
const named = z.union([
  z.string(),
  z.object({ name: z.string(), options: z.record(z.string(), z.unknown()).optional() }),
]);

const base = {
  options: z.record(z.string(), z.unknown()).optional().describe('Options of the plugin.'),
  seed: z.number().int().default(0).describe('Seeds everything that is drawn.'),
  allowNonFinite: z.boolean().default(false).describe('Take NaN and infinities as input.'),
};
const noise = z
  .record(z.string(), z.array(tensorJson))
  .optional()
  .describe('Random numbers to use instead of drawn ones: for each name a list with one tensor a step.');

const model = z
  .looseObject({ type: z.string() })
  .describe(
    'A model: {"type": "expression", "loss": "0.5 * sum((x @ w - y)^2)"}, with "perExample" and "outputs" where needed; {"type": "quadratic", "A", "b"}: ½θᵀAθ − bᵀθ; {"type": "linear", "input", "weight", "bias", "output"}; {"type": "onnx", "file", "loss"}; {"type": "layers", "input", "layers"}; or a reference model by name with its options.',
  );

export const updateRuleInput = z.object({
  ...base,
  params: tensors('First values of the parameters by name. Those of a model that are left out are drawn.').default({}),
  gradients: tensorLists('Gradients of each step by parameter; a single element serves every step.').optional(),
  perSampleGradients: tensorLists(
    'Gradients of every example of each step, with a leading batch axis; the gradient is their mean.',
  ).optional(),
  sampledGradients: tensorLists(
    'Beside "gradients": those of the loss with targets drawn from the model, of each step, for rules that ask for them.',
  ).optional(),
  model: model.optional(),
  reward: named.optional().describe('Loss on the outputs of the model, where it has none of its own.'),
  batches: tensorLists('Columns of the batch of each step; a single element serves every step.').optional(),
  steps: z
    .number()
    .int()
    .min(1)
    .optional()
    .describe('Steps to take; default: as many as there are gradients or batches.'),
  state: tensors('First values of state tensors by path, instead of those that the rule declares.').default({}),
  roles: z
    .record(z.string(), z.enum(['weight', 'bias', 'gain', 'embedding', 'other']))
    .default({})
    .describe('Roles of parameters; default: weight.'),
  layers: z.record(z.string(), z.string()).default({}).describe('Kinds of layers of parameters; default: dense.'),
  noise,
});

export const federationInput = z.object({
  ...base,
  params: updateRuleInput.shape.params,
  model,
  reward: updateRuleInput.shape.reward,
  roles: updateRuleInput.shape.roles,
  layers: updateRuleInput.shape.layers,
  federation: z
    .object({
      clients: z
        .array(
          z.object({
            id: z.string().optional().describe('Default: its position.'),
            weight: z.number().min(0).default(1).describe('Weight of what it sends.'),
            batches: tensorLists('Columns of its batches, which come again in their order.'),
          }),
        )
        .min(1)
        .describe('Who trains, each with its own data.'),
      rounds: z.number().int().min(1).default(1).describe('Rounds of training.'),
      localSteps: z.number().int().min(1).default(1).describe('Steps of each client in a round.'),
      updateRule: named.optional().describe('Rule of the clients, where the aggregator is probed; default: sgd.'),
      aggregator: named.optional().describe('Aggregator of the server, where a rule is probed; default: mean.'),
      serverRule: named.optional().describe('Rule of the server, which treats model − aggregate as a gradient.'),
      clientState: z.enum(['reset', 'keep']).optional().describe('Whether clients keep the state of their rule.'),
      countSteps: z.enum(['round', 'client', 'global']).optional().describe('What the rule counts as its step.'),
      exchange: z.enum(['weights', 'deltas']).optional().describe('What clients send.'),
      topology: z.enum(['server', 'peers']).optional().describe('One server, or every client for itself.'),
      participation: z
        .object({ count: z.number().int().min(1) })
        .optional()
        .describe('How many take part in a round.'),
    })
    .describe('Federated training of several clients, as `federate` runs it.'),
});

export const rewardInput = z.object({
  ...base,
  inputs: tensors('Batch columns and model outputs by name: each is found under its name as both.').default({}),
  batch: tensors('What is a batch column only.').default({}),
  outputs: tensors('What is an output of the model only.').default({}),
  model: model.optional(),
  params: tensors('Parameters of the model, where there is one.').default({}),
  training: z.boolean().default(true).describe('Build the training form.'),
  step: z.number().int().min(1).default(1).describe('Step for schedules, from 1.'),
  items: z.array(z.unknown()).optional().describe('Items to score on the host.'),
  scores: z.array(number).optional().describe('Scores to make advantages of; default: those of the items.'),
  groups: z.array(z.number().int()).optional().describe('Group of each score.'),
  noise,
});

const feedback = z.array(
  z.object({
    loss: number.optional(),
    metrics: z.record(z.string(), number).default({}),
    perExample: z.record(z.string(), tensorJson).default({}),
  }),
);

export const samplerInput = z.object({
  ...base,
  candidates: z
    .unknown()
    .optional()
    .describe(
      'Dataset to draw from: columns by name, whose first axis counts the examples; or a list, which becomes the column "value".',
    ),
  steps: z
    .number()
    .int()
    .min(1)
    .optional()
    .describe('Batches to draw; default: as many as there is feedback for, else 1.'),
  feedback: feedback.optional().describe('What the sampler is told after each draw.'),
  state: z.unknown().optional().describe('State of the sampler to start from.'),
  values: tensors('Parameters of the model, for samplers that run it.').optional(),
  random: z
    .array(z.array(z.number()))
    .optional()
    .describe('Random numbers of each draw, handed out in order instead of drawn ones, as they are.'),
});

export const generationInput = z.object({
  ...base,
  inputs: tensors('Conditioning of the request by name.').default({}),
  models: z
    .record(z.string(), model)
    .default({})
    .describe('Models by the names that the sampler calls them; parameters under "params" of each.'),
  steps: z.number().int().min(1).optional().describe('Fewer steps than the sampler would take.'),
  noise: z
    .record(z.string(), z.unknown())
    .optional()
    .describe(
      'Random numbers by name: one tensor for what is drawn once, a list with one tensor a step for the others.',
    ),
});

const source = z.object({
  id: z.string().optional(),
  weight: z.number().min(0).default(1),
  values: z.record(z.string(), tensorJson),
  extras: z.record(z.string(), tensorJson).default({}),
});

export const aggregatorInput = z.object({
  ...base,
  sources: z.array(source).optional().describe('What to combine, in one round.'),
  rounds: z
    .array(z.array(source))
    .optional()
    .describe('What to combine in each of several rounds, with state between them.'),
  own: z
    .union([z.string(), z.number().int().min(0)])
    .optional()
    .describe('Id or position of the source of the one who combines; it comes first, as for peers.'),
  current: tensors('Values that the result replaces.').optional(),
  population: z.number().int().min(1).optional().describe('How many sources exist, present or not.'),
  state: tensors('First values of state tensors by path.').default({}),
  noise,
});

export const moduleInput = z.object({
  ...base,
  arguments: z
    .array(z.unknown())
    .default([])
    .describe('Arguments of the exported function, such as the options of a layer.'),
  inputs: tensors('What the module sees, by name, in the order of its parameters.'),
  weights: tensors('Its parameters by name; those left out are drawn.').default({}),
  variables: tensors('Its variables by name; those left out start as declared.').default({}),
  outputGradients: tensors(
    'Weights of the sum of outputs whose gradients are wanted, by output; a number weighs every element.',
  ).optional(),
  training: z.boolean().default(false).describe('Build the training form.'),
  noise,
});

export const callInput = z.object({
  call: z.string().optional().describe('Name of an exported function.'),
  arguments: z
    .array(z.unknown())
    .default([])
    .describe(
      'Its arguments as JSON, "inf", "-inf" and "nan" being numbers. {"tensor": …} is a tensor of a graph, {"host": …} one on the host, {"array": […], "dtype"} a typed array, {"export": name, "arguments"} another export of the package, called where it has arguments.',
    ),
  then: z
    .array(z.object({ method: z.string(), arguments: z.array(z.unknown()).default([]) }))
    .default([])
    .describe('Methods to call on the result, one after the other.'),
  outputGradients: moduleInput.shape.outputGradients,
  allowNonFinite: base.allowNonFinite,
});

/** What can be probed, and the schema of its input. */
export const PROBE_INPUTS = {
  'update-rule': updateRuleInput,
  federation: federationInput,
  reward: rewardInput,
  sampler: samplerInput,
  generation: generationInput,
  aggregator: aggregatorInput,
  module: moduleInput,
  call: callInput,
} as const satisfies Readonly<Record<string, z.ZodObject>>;
export type ProbeKind = keyof typeof PROBE_INPUTS;

const definitions = {
  number: { anyOf: [{ type: 'number' }, { enum: ['inf', '-inf', 'nan'] }] },
  tensor: {
    description:
      'Nested lists; the nesting is the shape, and a bare number is a scalar. float32 unless it says otherwise.',
    anyOf: [{ $ref: '#/$defs/nested' }, { $ref: '#/$defs/typed' }],
  },
  nested: {
    anyOf: [{ $ref: '#/$defs/number' }, { type: 'boolean' }, { type: 'array', items: { $ref: '#/$defs/nested' } }],
  },
  typed: {
    type: 'object',
    properties: {
      dtype: { enum: JSON_DATA_TYPES },
      data: { $ref: '#/$defs/nested' },
      shape: { type: 'array', items: { type: 'integer', minimum: 0 } },
    },
    required: ['data'],
    additionalProperties: false,
  },
};

/**
 * JSON schema (draft 2020-12) of the input of a probe.
 *
 * @param options Options of the plugin, whose schema goes inside.
 */
export function probeJsonSchema(kind: ProbeKind, options?: z.ZodObject): JsonSchema {
  const schema = z.toJSONSchema(PROBE_INPUTS[kind], {
    io: 'input',
    unrepresentable: 'any',
    override: ({ zodSchema, jsonSchema }) => {
      if ((zodSchema as unknown) === tensorJson) jsonSchema.$ref = '#/$defs/tensor';
      if ((zodSchema as unknown) === number) jsonSchema.$ref = '#/$defs/number';
    },
  }) as { readonly properties?: Readonly<Record<string, object>> };
  const { $schema: _, ...own } = options === undefined ? {} : optionsJsonSchema(options);
  return {
    ...schema,
    ...(options === undefined
      ? {}
      : { properties: { ...schema.properties, options: { ...schema.properties?.['options'], ...own } } }),
    additionalProperties: false,
    $defs: definitions,
  };
}
