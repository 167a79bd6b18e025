export * from './adaptive-projected-guidance.js';
export { diffusionSampler, GuidedDiffusion, type DiffusionOptions, type DiffusionState } from './diffusion-sampler.js';
export { GuidanceError } from './errors.js';
export { apg, cfg, limitNorm, project, type ApgOptions, type Guidance, type Guided } from './guidance.js';
export { levelAt, noiseRatios, type Process } from './noise-levels.js';
export { fromDenoised, toDenoised, type NoiseLevel, type Prediction } from './prediction.js';
export { gaussianMixture } from './gaussian-mixture.js';
export {
  denoisingLoss,
  labelledDenoiser,
  type DenoisingLossOptions,
  type LabelledDenoiserOptions,
} from './labelled-denoiser.js';
