import { z } from 'zod';
import { cutout, horizontalFlip, randomRotation, randomShift, type ImageStep } from './augmentation.js';
import {
  colourJitter,
  gaussianBlur,
  pixelNoise,
  randomGreyscale,
  randomResizedCrop,
  randomRoll,
  randomScale,
  solarise,
} from './image-distortions.js';

const number = z.number();
const optional = z.number().optional();
const interval = z.tuple([number, number]).readonly().optional();

/** How each step is written in configurations: its name and its options. */
const forms = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('shift'), pixels: number, fill: optional }),
  z.strictObject({ type: z.literal('roll'), pixels: number }),
  z.strictObject({ type: z.literal('rotation'), degrees: number, fill: optional }),
  z.strictObject({ type: z.literal('flip'), probability: optional }),
  z.strictObject({ type: z.literal('cutout'), size: number, fill: optional }),
  z.strictObject({ type: z.literal('scale'), from: number, to: number }),
  z.strictObject({ type: z.literal('noise'), deviation: number }),
  z.strictObject({ type: z.literal('resized-crop'), scale: interval, ratio: interval }),
  z.strictObject({ type: z.literal('greyscale'), probability: optional }),
  z.strictObject({
    type: z.literal('colour-jitter'),
    probability: optional,
    brightness: optional,
    contrast: optional,
    saturation: optional,
    hue: optional,
  }),
  z.strictObject({ type: z.literal('blur'), probability: optional, deviation: interval }),
  z.strictObject({ type: z.literal('solarise'), probability: optional, threshold: optional }),
]);
type Form = z.output<typeof forms>;

/** Makers by the names of {@link forms}; each takes its own form, whose `type` it does not look at. */
const makers: { readonly [Type in Form['type']]: (form: Extract<Form, { type: Type }>) => ImageStep } = {
  shift: ({ pixels, fill }) => randomShift({ pixels, ...(fill === undefined ? {} : { fill }) }),
  roll: randomRoll,
  rotation: ({ degrees, fill }) => randomRotation({ degrees, ...(fill === undefined ? {} : { fill }) }),
  flip: ({ probability }) => horizontalFlip(probability === undefined ? {} : { probability }),
  cutout: ({ size, fill }) => cutout({ size, ...(fill === undefined ? {} : { fill }) }),
  scale: randomScale,
  noise: pixelNoise,
  'resized-crop': randomResizedCrop,
  greyscale: randomGreyscale,
  'colour-jitter': colourJitter,
  blur: gaussianBlur,
  solarise,
};

/** A step as a function, or by name with its options: `{ "type": "shift", "pixels": 2 }`. */
export type ImageStepOption = ImageStep | z.input<typeof forms>;

/**
 * Schema for options that are a list of steps on images: functions in code, `{ "type": "blur", "probability": 0.1 }` in
 * configurations.
 */
export const imageSteps = () =>
  z.array(
    z.union([
      forms,
      z.custom<ImageStep>((value) => typeof value === 'function', 'expected a step by "type", or a function'),
    ]),
  );

/** The functions of parsed {@link imageSteps}. @throws DataError for options out of range. */
export const imageStepsOf = (steps: z.output<ReturnType<typeof imageSteps>>): ImageStep[] =>
  steps.map((step) => (typeof step === 'function' ? step : (makers[step.type] as (form: Form) => ImageStep)(step)));
