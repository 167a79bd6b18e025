import { RandomStream, type Batch, type DrawContext, type Feedback, type Sampler } from '@updraft/core';
import { copyAll, type Named } from '../kit/compare.js';

/** A copy of a batch, safe from the reuse of its buffers. */
export interface Draw {
  readonly columns: Named;
  readonly size: number;
  readonly ids: readonly (number | string)[] | undefined;
}

/** What a sampler is told after a batch, apart from the batch and its step. */
export type FeedbackMaker = (batch: Draw, step: number) => Pick<Feedback, 'loss' | 'metrics' | 'perExample'>;

const copyDraw = ({ columns, size, ids }: Batch): Draw => ({
  columns: copyAll(columns),
  size,
  ids: ids === undefined ? undefined : [...ids],
});

/** The context that `train` gives: the stream depends on the seed of the run and the step. */
export const drawContext = (seed: number, step: number): DrawContext => ({
  step,
  random: RandomStream.fromSeed(seed).split('sampler').split(String(step)),
});

/** Feedback that depends on the step and the row alone. */
export const feedbackOf =
  (perExample: readonly string[]): FeedbackMaker =>
  ({ size }, step) => ({
    loss: 1 / step,
    metrics: {},
    perExample: Object.fromEntries(
      perExample.map((name) => [
        name,
        {
          dataType: 'float32',
          dims: [size],
          data: Float32Array.from({ length: size }, (_, row) => 0.5 + 0.4 * Math.sin(3 * step + 1.7 * row)),
        },
      ]),
    ),
  });

/** Draw one batch, tell what happened where the sampler listens, and release it. */
export async function drawOnce(
  sampler: Sampler,
  seed: number,
  step: number,
  feedback: FeedbackMaker,
): Promise<Draw | undefined> {
  const batch = await sampler.draw(drawContext(seed, step));
  if (batch === undefined) return undefined;
  const draw = copyDraw(batch);
  await sampler.observe?.({ step, batch, ...feedback(draw, step) });
  batch.release?.();
  return draw;
}

/** Draws of the steps from `from` to `to`, or to the end of the sampler. */
export async function drawSequence(
  sampler: Sampler,
  {
    seed,
    from,
    to,
    feedback,
  }: { readonly seed: number; readonly from: number; readonly to: number; readonly feedback: FeedbackMaker },
): Promise<Draw[]> {
  const draws: Draw[] = [];
  for (let step = from; step <= to; step++) {
    const draw = await drawOnce(sampler, seed, step, feedback);
    if (draw === undefined) break;
    draws.push(draw);
  }
  return draws;
}
