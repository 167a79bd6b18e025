import { RandomStream, train, type GenerationModel } from '@updraft/core';
import { fromTensors, shuffled, type Tokenizer } from '@updraft/data';
import type { Backend } from '@updraft/backend';
import type { TensorData } from '@updraft/graph';
import { crossEntropy, gpt } from '@updraft/nn';
import { adam, schedules } from '@updraft/rules';

const CHARACTERS = ';+=0123456789 abcdefghijklmnopqrstuvwxyz';
/** Characters of the texts as tokens. */
export const characters: Tokenizer = {
  vocabulary: CHARACTERS.length,
  encode: (text) => Uint32Array.from(text, (character) => CHARACTERS.indexOf(character)),
  decode: (tokens) => Array.from(tokens, (token) => CHARACTERS[token]).join(''),
};
export const CONTEXT = 24;
/** Summands are digits below this one. */
export const DIGITS = 5;

const NOUNS = ['cat', 'dog', 'fox', 'hen', 'pig', 'owl', 'bee', 'cow'];
const VERBS = ['walk', 'jump', 'talk', 'look', 'play', 'work', 'turn', 'rest'];

/** Texts: with additions answered at random and verbs in the present; additions alone, answered rightly; verbs in the past. */
export type Kind = 'base' | 'additions' | 'past';

function line(kind: Kind, random: RandomStream): string {
  if (kind === 'additions' || (kind === 'base' && random.integer(2) === 0)) {
    const [a, b] = [random.integer(DIGITS), random.integer(DIGITS)];
    return `${a}+${b}=${kind === 'base' ? random.integer(10) : a + b};`;
  }
  const noun = NOUNS[random.integer(NOUNS.length)] as string;
  const verb = VERBS[random.integer(VERBS.length)] as string;
  return `the ${noun} ${verb}${kind === 'past' ? 'ed' : 's'};`;
}

/** Windows of {@link CONTEXT} characters that begin where a line does: tokens, and the labels that follow them. */
export function windows(
  kind: Kind,
  count: number,
  random: RandomStream,
): Readonly<Record<'tokens' | 'label', TensorData>> {
  const tokens = new BigInt64Array(count * CONTEXT);
  const labels = new BigInt64Array(count * CONTEXT);
  for (let row = 0; row < count; row++) {
    let text = ';';
    while (text.length <= CONTEXT) text += line(kind, random);
    const encoded = characters.encode(text);
    for (let at = 0; at < CONTEXT; at++) {
      tokens[row * CONTEXT + at] = BigInt(encoded[at] as number);
      labels[row * CONTEXT + at] = BigInt(encoded[at + 1] as number);
    }
  }
  const dims = [count, CONTEXT];
  return {
    tokens: { dataType: 'int64', dims, data: tokens },
    label: { dataType: 'int64', dims, data: labels },
  };
}

export interface LanguageSizes {
  readonly smallWidth: number;
  readonly largeWidth: number;
  readonly rows: number;
  readonly baseSteps: number;
  readonly expertSteps: number;
}

/** A small and a large model of the base text, and experts that were tuned from the small one. */
export type LanguageModels = Readonly<Record<'large' | 'smallBase' | 'additions' | 'past', GenerationModel>>;

/** Train the four models of a seed. */
export async function languageModels(sizes: LanguageSizes, seed: number, backend: Backend): Promise<LanguageModels> {
  const random = RandomStream.fromSeed(seed).split('fusion-texts');
  const model = (width: number) =>
    gpt({ vocabulary: characters.vocabulary, context: CONTEXT, width, depth: 2, heads: 4 });
  const texts = (kind: Kind) => fromTensors(windows(kind, sizes.rows, random.split(kind)));
  const fit = async (
    {
      model: network,
      values,
    }: { readonly model: GenerationModel['model']; readonly values?: GenerationModel['values'] },
    data: ReturnType<typeof fromTensors>,
    steps: number,
    learningRate: number,
  ): Promise<GenerationModel> => {
    const { params, variables } = await train({
      model: network,
      sampler: shuffled(data, { batchSize: 32 }),
      reward: crossEntropy(),
      updateRule: adam({ learningRate: schedules.cosine({ from: learningRate, steps }) }),
      backend,
      steps,
      seed,
      ...(values === undefined ? {} : { initial: values }),
    }).result();
    return { model: network, values: { ...params, ...variables } };
  };
  const base = texts('base');
  const large = await fit({ model: model(sizes.largeWidth) }, base, sizes.baseSteps, 3e-3);
  const smallBase = await fit({ model: model(sizes.smallWidth) }, base, sizes.baseSteps, 5e-3);
  const additions = await fit(smallBase, texts('additions'), sizes.expertSteps, 5e-3);
  const past = await fit(smallBase, texts('past'), sizes.expertSteps, 5e-3);
  return { large, smallBase, additions, past };
}
