import type { ClientRule, Schedule } from '@updraft/core';
import type { ImageStepOption } from '@updraft/data';
import { lars, partition } from '@updraft/rules';

/** Step 8: the distortions of the paper for ImageNet, images of red, green and blue in [0, 1]; the views differ in the last two. */
export function paperViews(): { readonly augmentA: ImageStepOption[]; readonly augmentB: ImageStepOption[] } {
  const common: ImageStepOption[] = [
    { type: 'resized-crop', scale: [0.08, 1] },
    { type: 'flip', probability: 0.5 },
    { type: 'colour-jitter', probability: 0.8, brightness: 0.4, contrast: 0.4, saturation: 0.2, hue: 0.1 },
    { type: 'greyscale', probability: 0.2 },
  ];
  const last = (blur: number, solarise: number): ImageStepOption[] => [
    { type: 'blur', probability: blur, deviation: [0.1, 2] },
    { type: 'solarise', probability: solarise },
  ];
  return { augmentA: [...common, ...last(1, 0)], augmentB: [...common, ...last(0.1, 0.2)] };
}

export interface PaperRateOptions {
  readonly batchSize: number;
  /** Steps S of the whole run. */
  readonly steps: number;
  /** Steps w of the warm-up: those of 10 epochs in the paper. */
  readonly warmUpSteps: number;
  /** 0.2 for matrices and kernels, 0.0048 for biases and gains. */
  readonly factor: number;
}

/**
 * Step 7: with base = batch / 256, a line from 0 over the warm-up, then half a cosine to base / 1000, times a factor. As in
 * the authors' code the first step counts as s = 0, so that its rate is 0 where there is a warm-up.
 */
export const paperRate = ({ batchSize, steps, warmUpSteps, factor }: PaperRateOptions): Schedule => ({
  at: (step) => {
    const [s, w, base] = [step - 1, warmUpSteps, batchSize / 256];
    if (s < w) return (factor * base * s) / w;
    const q = (1 + Math.cos((Math.PI * Math.min(s - w, steps - w)) / Math.max(1, steps - w))) / 2;
    return factor * base * (q + 0.001 * (1 - q));
  },
  describe: () => ({ type: 'barlow-twins', batchSize, steps, warmUpSteps, factor }),
});

/** Steps 6 and 7: LARS with the paper's two rates, for parameters with several axes and for the others. */
export const paperUpdateRule = (options: Omit<PaperRateOptions, 'factor'>): ClientRule =>
  partition({
    rules: {
      weights: lars({ learningRate: paperRate({ ...options, factor: 0.2 }) }),
      others: lars({ learningRate: paperRate({ ...options, factor: 0.0048 }) }),
    },
    assign: ({ shape }) => (shape.length > 1 ? 'weights' : 'others'),
  });
