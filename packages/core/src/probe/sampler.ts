import type { Feedback, JsonValue, Sampler } from '../contracts/sampler.js';
import { parseOptions } from '../options/index.js';
import { RandomStream } from '../random/index.js';
import { mapValues } from '../tree.js';
import { probeError, type ProbeResult } from './context.js';
import { givenRandom } from './given-random.js';
import { samplerInput } from './inputs.js';
import { numberJson, readNumber, readTensors, tensorsJson } from './values.js';

/**
 * Draw batches from a sampler as `train` does, and tell it what happened after each.
 *
 * @param sampler Made with the options of the input, over its candidates.
 * @throws OptionsError, CoreError naming what of the input does not fit.
 */
export async function probeSampler(sampler: Sampler, input: unknown): Promise<ProbeResult> {
  const given = parseOptions(samplerInput, input, 'The input');
  const { feedback = [], random, values } = given;
  const count = given.steps ?? Math.max(feedback.length, random?.length ?? 0, 1);
  if (feedback.length > 0 && sampler.observe === undefined)
    throw probeError('This sampler does not listen to feedback.', 'Leave "feedback" out.');
  if (given.state !== undefined) sampler.restore(given.state as JsonValue);
  const stream = RandomStream.fromSeed(given.seed).split('sampler');
  const model = values === undefined ? undefined : readTensors(values, 'values', given);
  const chances = (): { readonly probabilities?: JsonValue } =>
    sampler.probabilities === undefined ? {} : { probabilities: sampler.probabilities().map(numberJson) };
  const initial = { state: sampler.state(), ...chances() };
  const draws: JsonValue[] = [];
  let ended = false;
  for (let step = 1; step <= count; step++) {
    const numbers = random?.[step - 1];
    if (random !== undefined && numbers === undefined)
      throw probeError(`"random" has nothing for draw ${step}.`, 'Give a list of numbers for each draw.');
    const batch = await sampler.draw({
      step,
      random: numbers === undefined ? stream.split(String(step)) : givenRandom(numbers, `Draw ${step}`),
      ...(model === undefined ? {} : { values: () => Promise.resolve(model) }),
    });
    if (batch === undefined) {
      ended = true;
      break;
    }
    const { ids, size } = batch;
    const drawn = {
      step,
      size,
      ...(ids === undefined ? {} : { ids: [...ids] }),
      columns: tensorsJson(batch.columns),
    };
    const told = feedback[step - 1];
    if (told !== undefined) {
      const path = `feedback.${step - 1}`;
      await sampler.observe?.({
        step,
        batch,
        loss: told.loss === undefined ? NaN : readNumber(told.loss, `${path}.loss`, given),
        metrics: mapValues(told.metrics, (value, name) => readNumber(value, `${path}.metrics.${name}`, given)),
        perExample: readTensors(told.perExample, `${path}.perExample`, given),
      } satisfies Feedback);
    }
    // After the feedback: what the next draw will go by.
    draws.push({ ...drawn, ...chances(), state: sampler.state() });
    batch.release?.();
  }
  return { initial, draws, ended, final: { state: sampler.state(), ...chances() } };
}
