import {
  parseOptions,
  defineOptions,
  type GenerationContext,
  type GenerationInitContext,
  type GenerationSampler,
  type GenerationStep,
  type NamedValues,
  type StateSpec,
} from '@updraft/core';
import type { Tensor, TensorData } from '@updraft/graph';
import { z } from 'zod';
import { GuidanceError } from './errors.js';
import type { Guidance } from './guidance.js';
import { levelAt, noiseRatios } from './noise-levels.js';
import { toDenoised } from './prediction.js';

export const samplerOptions = {
  shape: z.array(z.number().int().min(1)).min(1).describe('Shape of one sample, without the batch.'),
  steps: z.number().int().min(1).default(40).describe('Steps from noise to data.'),
  largestNoise: z.number().positive().default(80).describe('Ratio σ/α of noise to signal at the beginning (σ_max).'),
  smallestNoise: z
    .number()
    .positive()
    .default(0.002)
    .describe('Ratio σ/α before the last step, which ends at 0 (σ_min).'),
  rho: z.number().min(1).default(7).describe('ρ: the larger, the more of the steps are at small noise.'),
  solver: z
    .enum(['euler', 'heun'])
    .default('euler')
    .describe('Euler (which is DDIM) or Heun; with Heun the guidance remembers two evaluations a step.'),
  process: z
    .enum(['variance-exploding', 'variance-preserving', 'flow'])
    .default('variance-exploding')
    .describe('How data become noise: x₀ + σε, αx₀ + σε with α² + σ² = 1, or (1 − t)x₀ + tε.'),
  prediction: z
    .enum(['denoised', 'noise', 'velocity'])
    .default('denoised')
    .describe('What the model predicts: x₀, ε, or v (αε − σx₀; of a flow ε − x₀).'),
  model: z.string().default('denoiser').describe('Name of the model in the request.'),
  unconditionalModel: z
    .string()
    .optional()
    .describe('Another model for the unconditional prediction; it gets the conditions as they are.'),
  nullLabel: z
    .number()
    .int()
    .min(0)
    .optional()
    .describe('Label that means "no condition", for the unconditional prediction of a model of classes.'),
};
const diffusionOptions = defineOptions(samplerOptions);
export type DiffusionOptions = z.input<typeof diffusionOptions>;

/** State of a guided generation; `memory` exists where the guidance has one. */
export interface DiffusionState extends Record<string, StateSpec> {
  readonly x: StateSpec;
}

/** Inputs of a request under this prefix replace the condition of the same name in the unconditional prediction. */
const UNCONDITIONAL = 'unconditional/';

type Point = { readonly alpha: Tensor; readonly sigma: Tensor };

/**
 * A deterministic sampler of diffusion and flow models with guidance: the probability-flow equation by Euler (DDIM) or Heun
 * steps. A model has the inputs `x` [count, …shape], `sigma` [count] (σ of the process; t of a flow) and conditions of any
 * name, which the request gives as inputs with a leading axis `count`; its first output is the prediction.
 */
export class GuidedDiffusion implements GenerationSampler<DiffusionState> {
  readonly options: z.output<typeof diffusionOptions>;
  readonly #ratios: readonly number[];

  /** @throws OptionsError, GuidanceError */
  constructor(
    readonly guidance: Guidance,
    given: DiffusionOptions,
  ) {
    this.options = parseOptions(diffusionOptions, given, 'The sampler');
    const { steps, largestNoise, smallestNoise, rho, process, prediction } = this.options;
    if (largestNoise <= smallestNoise)
      throw new GuidanceError(`The noise goes from ${largestNoise} up to ${smallestNoise}.`, {
        hint: 'Choose a largestNoise above smallestNoise.',
      });
    if (prediction === 'velocity' && process === 'variance-exploding')
      throw new GuidanceError('A variance-exploding process has no velocity.', {
        hint: 'Say process: "variance-preserving" or "flow".',
      });
    this.#ratios = noiseRatios(steps, largestNoise, smallestNoise, rho);
  }

  init({ inputs, state, noise }: GenerationInitContext): DiffusionState {
    const [name, first] = Object.entries(inputs)[0] ?? [];
    const count = first?.dims[0];
    if (count === undefined)
      throw new GuidanceError(
        name === undefined ? 'The request has no condition.' : `The condition "${name}" has no axis.`,
        { hint: 'Give inputs such as label: int64[count]; their first axis says how many samples are made.' },
      );
    const shape = [count, ...this.options.shape];
    const start = noise('start', shape);
    const { sigma } = this.#level(0);
    const x: TensorData<'float32'> = { ...start, data: start.data.map((value) => value * sigma) };
    return { x: state(shape, { initial: x }), ...(this.guidance.remembers ? { memory: state(shape) } : {}) };
  }

  steps(): number {
    return this.options.steps;
  }

  /** Heun's last step would evaluate the model without noise: it is one of Euler. */
  phase(step: number): string {
    return this.options.solver === 'heun' && step < this.options.steps ? 'heun' : 'euler';
  }

  step(context: GenerationContext<DiffusionState>): GenerationStep<DiffusionState> {
    const { x } = context.state;
    const scalar = (name: string, of: (before: number) => number): Tensor =>
      context.scalar(name, (step) => of(step - 1));
    const level = (name: string, offset: number): Point => ({
      alpha: scalar(`${name}Alpha`, (at) => this.#level(at + offset).alpha),
      sigma: scalar(`${name}Sigma`, (at) => this.#level(at + offset).sigma),
    });
    const w = context.scalar('scale', this.guidance.scale);
    // x/α moves along ε: d(x/α)/d(σ/α) = ε, whatever the process.
    const carry = scalar('carry', (at) => this.#level(at + 1).alpha / this.#level(at).alpha);
    const length = scalar('length', (at) => this.#level(at + 1).alpha * (this.#ratio(at + 1) - this.#ratio(at)));
    const move = (noise: Tensor): Tensor => x.mul(carry).add(noise.mul(length));

    const first = this.#evaluate(context, x, level('from', 0), context.state['memory'], w);
    let next = move(first.noise);
    let memory = first.memory;
    if (context.phase === 'heun') {
      const second = this.#evaluate(context, next, level('to', 1), memory, w);
      next = move(first.noise.add(second.noise).mul(0.5));
      memory = second.memory;
    }
    return {
      state: { x: next, ...(memory === undefined ? {} : { memory }) },
      outputs: { denoised: first.denoised, conditional: first.conditional, unconditional: first.unconditional },
    };
  }

  #ratio(at: number): number {
    return this.#ratios[at] as number;
  }
  #level(at: number): { readonly alpha: number; readonly sigma: number } {
    return levelAt(this.options.process, this.#ratio(at));
  }

  /** One evaluation: both predictions as clean data, the guided one, and the noise ε that it means. */
  #evaluate(
    context: GenerationContext<DiffusionState>,
    x: Tensor,
    level: Point,
    memory: Tensor | undefined,
    w: Tensor,
  ): Record<'denoised' | 'conditional' | 'unconditional' | 'noise', Tensor> & { readonly memory: Tensor | undefined } {
    const { model, unconditionalModel, prediction, process } = this.options;
    const kind = prediction === 'velocity' && process === 'flow' ? 'flow' : prediction;
    const sigma = level.sigma.expand([x.shape[0] as number]);
    const predict = (name: string, conditions: NamedValues<Tensor>): Tensor =>
      toDenoised(kind, Object.values(context.forward({ ...conditions, x, sigma }, name))[0] as Tensor, x, level);
    const given = Object.entries(context.inputs);
    const conditions = Object.fromEntries(given.filter(([name]) => !name.startsWith(UNCONDITIONAL)));
    const conditional = predict(model, conditions);
    const unconditional =
      unconditionalModel === undefined
        ? predict(model, this.#withoutCondition(context, conditions))
        : predict(unconditionalModel, conditions);
    const { D, state } = this.guidance.apply(conditional, unconditional, memory, w);
    const noise = x.sub(D.mul(level.alpha)).div(level.sigma);
    return { denoised: D, conditional, unconditional, noise, memory: state };
  }

  #withoutCondition(
    { inputs }: GenerationContext<DiffusionState>,
    conditions: NamedValues<Tensor>,
  ): Record<string, Tensor> {
    const { nullLabel } = this.options;
    const replaced = Object.entries(conditions).flatMap(([name, value]): [string, Tensor][] => {
      const given = inputs[UNCONDITIONAL + name];
      if (given !== undefined) return [[name, given]];
      if (nullLabel === undefined || value.dataType !== 'int64') return [];
      return [[name, value.graph.constant(nullLabel, 'int64').expand(value.shape as readonly number[])]];
    });
    if (replaced.length === 0)
      throw new GuidanceError('Nothing says what the model sees for the unconditional prediction.', {
        hint: `Set nullLabel, or unconditionalModel, or give an input "${UNCONDITIONAL}<name>" for a condition: ${Object.keys(conditions).join(', ')}.`,
      });
    return { ...conditions, ...Object.fromEntries(replaced) };
  }
}

/** A guided sampler from a guidance: `diffusionSampler({ shape: [16], steps: 40, guidance: cfg(10) })`. @throws OptionsError */
export const diffusionSampler = ({
  guidance,
  ...options
}: DiffusionOptions & { readonly guidance: Guidance }): GuidedDiffusion => new GuidedDiffusion(guidance, options);
