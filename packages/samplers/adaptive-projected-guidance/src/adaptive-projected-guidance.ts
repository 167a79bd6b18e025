import {
  defineOptions,
  OPTIONS,
  plugin,
  pluginFactory,
  type GenerationContext,
  type GenerationInitContext,
  type GenerationSampler,
  type GenerationStep,
} from '@updraft/core';
import { inject } from 'tsyringe';
import type { z } from 'zod';
import { GuidedDiffusion, samplerOptions, type DiffusionState } from './diffusion-sampler.js';
import { apg, guidanceOptions } from './guidance.js';

const options = defineOptions({ ...guidanceOptions, ...samplerOptions });

/**
 * A diffusion sampler with adaptive projected guidance (Sadat et al. 2024), by name and with options as JSON: what
 * `diffusionSampler({ guidance: apg(…), … })` is in code.
 */
@plugin({
  name: 'adaptive-projected-guidance',
  contract: 'sampler',
  options,
  summary: 'Guided diffusion without over-saturation: projected, limited updates with negative momentum.',
  paper: 'Sadat et al. 2024, Eliminating Oversaturation and Artifacts of High Guidance Scales in Diffusion Models',
})
export class AdaptiveProjectedGuidance implements GenerationSampler<DiffusionState> {
  readonly #sampler: GuidedDiffusion;

  constructor(@inject(OPTIONS) { scale, eta, normThreshold, momentum, precision, ...rest }: z.output<typeof options>) {
    this.#sampler = new GuidedDiffusion(apg({ scale, eta, normThreshold, momentum, precision }), rest);
  }
  init(context: GenerationInitContext): DiffusionState {
    return this.#sampler.init(context);
  }
  steps(): number {
    return this.#sampler.steps();
  }
  phase(step: number): string {
    return this.#sampler.phase(step);
  }
  step(context: GenerationContext<DiffusionState>): GenerationStep<DiffusionState> {
    return this.#sampler.step(context);
  }
}

/** A diffusion sampler with adaptive projected guidance (Sadat et al. 2024). */
export const adaptiveProjectedGuidance = pluginFactory(AdaptiveProjectedGuidance, options);
