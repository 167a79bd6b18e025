import {
  mapValues,
  OPTIONS,
  plugin,
  scalar,
  scalarAt,
  type HostContext,
  type InitContext,
  type ScalarValue,
  type StateSpec,
  type StateSpecs,
  type Update,
  type UpdateContext,
  type UpdateRule,
} from '@updraft/core';
import { equal, sqrt, where, type Tensor, type TensorData } from '@updraft/graph';
import { inject } from 'tsyringe';
import { z } from 'zod';
import { updateRuleKit } from '../update-rule/update-rule-kit.js';
import { goldenFile, type MutantFamily } from './mutants.js';

const WRONG = {
  'swapped-betas': 'the decays of the two moments are swapped',
  'no-bias-correction': 'the moments are not corrected for their start at 0',
  'bias-correction-late': 'the corrections use the step after this one',
  ascends: 'the step goes up the gradient',
  'phase-off-by-one': 'slow weights are drawn one step early',
  'phase-counts-calls': 'the phase depends on how often it was asked for',
  'shared-state': 'a counter of the module slows every run down',
  'instance-state': 'a counter of the instance, which is in no checkpoint, slows the run down',
  'unseeded-host': 'the host draws from Math.random',
  'unseeded-graph': 'a constant of the graph comes from Math.random',
  'wall-clock': 'a scalar depends on the time of day',
  'forgets-parameter': 'the last parameter is not returned',
  'nan-into-state': 'a step that is skipped for NaN writes NaN into the moments',
  'infinity-let-through': 'only NaN is looked for, not infinity',
  'guards-first-parameter': 'only the gradient of the first parameter is looked at',
  'wrong-type': 'the second moment is returned as float64',
  'wrong-shape': 'new parameters have an axis more',
  'state-not-returned': 'the second moment is computed but not returned',
  'host-drift': 'the host adds 3e-7 to every parameter, within the tolerance',
  'rate-drift': 'the step is too long by a hundred-thousandth, within the tolerance',
  'schedule-baked-in': 'the learning rate is a constant of the graph',
  'schedule-read-once': 'the learning rate of step 1 is used for ever',
  'option-ignored': 'epsilon is always 1e-8',
  'option-undocumented': 'an option has no description',
  'option-unbounded': 'weight decay may be anything',
  'default-invalid': 'a default is outside of its own bounds',
  'option-name-fixed': 'the slow rate is read under a name that nobody can set',
  'decay-twice': 'weight decay is applied before and after the step',
  'decay-coupled': 'weight decay is added to the gradient',
  'rate-squared': 'the learning rate is applied twice',
  'order-dependent': 'later parameters move a little less',
  'wrong-gradient': 'parameters of one shape take the gradient of the first of them',
  'mixed-gradients': 'each gradient gets a tenth of the sum of another one',
  'no-epsilon': 'nothing is added to the root',
  'epsilon-inside-root': 'epsilon is added to the square',
  'slow-from-zero': 'slow weights start at 0 instead of at the parameters',
  'slow-not-kept': 'slow weights are used but not kept',
  'host-forgotten': 'the host is never called',
  'host-off-by-one': 'the host is called a step late',
  'untyped-error': 'huge moments end in a plain Error',
  'averages-wrong': 'the first moment forgets the factor 1 − β₁',
  'square-missing': 'the second moment averages |g| instead of g²',
  'late-fault': 'weight decay stops after step 100,000',
} as const;
type Fault = keyof typeof WRONG;

interface State extends StateSpecs {
  readonly mean: Readonly<Record<string, StateSpec>>;
  readonly variance: Readonly<Record<string, StateSpec>>;
  readonly slow: Readonly<Record<string, StateSpec>>;
  readonly visits: StateSpec;
}

let sharedCounter = 0;

/**
 * Adam with decoupled decay that skips steps with non-finite gradients, pulls the parameters to slow weights every
 * `interval` steps (a phase of its own; Zhang et al. 2019), and whose host counts these visits to slow the run down.
 * Everything that a rule may do, in small.
 */
function guardedAdam(fault?: Fault) {
  const is = (...faults: readonly Fault[]): boolean => fault !== undefined && faults.includes(fault);
  const describe = <T extends z.ZodType>(schema: T, text: string): T => schema.describe(text);
  const schema = z.object({
    learningRate: scalar({ min: 0 }).default(0.01).describe('Step size.'),
    beta1: z
      .number()
      .min(0)
      .lt(1)
      .default(is('default-invalid') ? 1.5 : 0.9)
      .describe('Decay of the mean.'),
    beta2: is('option-undocumented')
      ? z.number().min(0).lt(1).default(0.99)
      : describe(z.number().min(0).lt(1).default(0.99), 'Decay of the mean square.'),
    epsilon: z.number().min(0).default(1e-8).describe('Added to the root.'),
    weightDecay: (is('option-unbounded') ? z.number() : z.number().min(0)).default(0).describe('Decoupled decay.'),
    interval: z.number().int().min(1).default(3).describe('Steps between visits to the slow weights.'),
    slowRate: z.number().min(0).max(1).default(0.5).describe('Part of the way that slow weights go.'),
  });

  class GuardedAdam implements UpdateRule<State> {
    #calls = 0;
    constructor(@inject(OPTIONS) readonly options: z.output<typeof schema>) {}

    #sync(step: number): boolean {
      return (step + (is('phase-off-by-one') ? 1 : 0)) % this.options.interval === 0;
    }
    phase(step: number): string {
      if (is('phase-counts-calls')) return ++this.#calls % this.options.interval === 0 ? 'sync' : 'fast';
      return this.#sync(step) ? 'sync' : 'fast';
    }
    needsHost(step: number): boolean {
      if (is('host-forgotten')) return false;
      return (step - (is('host-off-by-one') ? 1 : 0)) % this.options.interval === 0 && step > 1;
    }
    async host(context: HostContext): Promise<void> {
      const visits = await context.readState('visits');
      const noise = is('unseeded-host') ? Math.random() : 0;
      await context.writeState('visits', { ...visits, data: Float32Array.of((visits.data[0] as number) + 1 + noise) });
      if (is('untyped-error'))
        for (const name of ['first.weight', 'temperature']) {
          const variance = await context.readState(`variance/${name}`).catch(() => visits);
          if ((variance.data as Float32Array).some((value) => value > 1e30)) throw new Error('overflow');
        }
      if (is('host-drift'))
        for (const name of ['first.weight', 'second.weight', 'second.bias', 'temperature', 'w', 'b']) {
          const value = await context.readParam(name).catch(() => undefined);
          if (value === undefined) continue;
          const data = (value.data as Float32Array).map((one) => one + 3e-7);
          await context.writeParam(name, { ...value, data } as TensorData);
        }
    }

    init(context: InitContext): State {
      return {
        mean: context.likeParams(),
        variance: context.likeParams(),
        slow: is('slow-from-zero') ? context.likeParams() : mapValues(context.params, (spec) => context.copyOf(spec)),
        visits: context.state([]),
      };
    }

    update(context: UpdateContext<State>): Update<State> {
      const { learningRate, weightDecay, interval: _interval } = this.options;
      let { beta1, beta2, epsilon, slowRate } = this.options;
      if (is('swapped-betas')) [beta1, beta2] = [beta2, beta1];
      if (is('option-ignored')) epsilon = 1e-8;
      if (is('no-epsilon')) epsilon = 0;
      if (is('option-name-fixed')) slowRate = 0.5;
      const { grads, state, params: old } = context;
      const names = Object.keys(old);

      const counter = is('shared-state') ? sharedCounter++ : is('instance-state') ? this.#calls++ : 0;
      const late = is('bias-correction-late') ? 1 : 0;
      const scalarOf = (name: string, at: (step: number) => number): Tensor => context.scalar(`guarded/${name}`, at);
      const flat = is('no-bias-correction');
      const correction1 = scalarOf('correction1', (step) => (flat ? 1 : 1 - beta1 ** (step + late)));
      const correction2 = scalarOf('correction2', (step) => (flat ? 1 : 1 - beta2 ** (step + late)));
      let rate = this.#rate(context, learningRate);
      if (is('rate-squared')) rate = rate.mul(rate);
      if (is('rate-drift')) rate = rate.mul(1 + 1e-5);
      if (is('wall-clock')) rate = rate.mul(scalarOf('clock', () => 1 + (Date.now() % 1000) * 1e-5));
      if (is('unseeded-graph')) rate = rate.mul(1 + 0.01 * Math.random());
      if (is('shared-state')) rate = rate.div(1 + 0.1 * counter);
      if (is('instance-state')) {
        const seen = scalarOf('seen', () => 1 / (1 + 0.1 * this.#calls++));
        rate = rate.mul(seen);
      }
      const damped = rate.div(state.visits.mul(0.1).add(1));
      const decayOf = is('late-fault')
        ? scalarOf('decay', (step) => (step > 100_000 ? 0 : weightDecay))
        : old[names[0] as string]?.graph.constant(weightDecay);
      const keep = damped
        .mul(decayOf as Tensor)
        .neg()
        .add(1);

      const probe = (gradient: Tensor): Tensor =>
        is('infinity-let-through')
          ? where(equal(gradient, gradient), gradient.mul(0).abs().minimum(0), gradient).sum()
          : gradient.mul(0).sum();
      const watched = is('guards-first-parameter') ? names.slice(0, 1) : names;
      const sound = is('infinity-let-through')
        ? watched
            .map((name) =>
              equal(grads[name] as Tensor, grads[name] as Tensor)
                .cast('float32')
                .min(),
            )
            .reduce((a, b) => a.mul(b))
            .greater(0.5)
        : watched
            .map((name) => probe(grads[name] as Tensor))
            .reduce((a, b) => a.add(b))
            .equal(0);

      const mean: Record<string, Tensor> = {};
      const variance: Record<string, Tensor> = {};
      const slow: Record<string, Tensor> = {};
      const params: Record<string, Tensor> = {};
      names.forEach((name, index) => {
        const param = old[name] as Tensor;
        let gradient = grads[name] as Tensor;
        const twin = names.find((other) => other !== name && sameShape(old[other] as Tensor, param));
        if (twin !== undefined && is('wrong-gradient')) gradient = grads[names[0] as string] as Tensor;
        if (twin !== undefined && is('mixed-gradients')) gradient = gradient.add((grads[twin] as Tensor).mul(0.1));
        if (is('decay-coupled')) gradient = gradient.add(param.mul(weightDecay));
        const oldMean = state.mean[name] as Tensor;
        const oldVariance = state.variance[name] as Tensor;
        const m = oldMean.mul(beta1).add(gradient.mul(is('averages-wrong') ? 1 : 1 - beta1));
        const square = is('square-missing') ? gradient.abs() : gradient.square();
        const v = oldVariance.mul(beta2).add(square.mul(1 - beta2));
        const scaled = v.div(correction2);
        const floor = is('epsilon-inside-root') ? sqrt(scaled.add(epsilon)) : sqrt(scaled).add(epsilon);
        let step = m.div(correction1).div(floor).mul(damped);
        if (is('order-dependent')) step = step.mul(1 - 0.01 * index);
        if (is('ascends')) step = step.neg();
        let next = (is('decay-coupled') ? param : param.mul(keep)).sub(step);
        if (is('decay-twice')) next = next.mul(keep);
        const oldSlow = state.slow[name] as Tensor;
        const guard = (fresh: Tensor, before: Tensor): Tensor => where(sound, fresh, before);
        if (context.phase === 'sync') {
          const pulled = oldSlow.add(next.sub(oldSlow).mul(slowRate));
          slow[name] = is('slow-not-kept') ? oldSlow : guard(pulled, oldSlow);
          next = pulled;
        } else slow[name] = oldSlow;
        mean[name] = is('nan-into-state') ? m : guard(m, oldMean);
        const kept = is('nan-into-state') ? v : guard(v, oldVariance);
        variance[name] = is('wrong-type') ? kept.cast('float64') : is('state-not-returned') ? oldVariance : kept;
        const result = guard(next, param);
        if (is('forgets-parameter') && index === names.length - 1) return;
        params[name] = is('wrong-shape') ? result.unsqueeze([0]) : result;
      });
      return { params, state: { mean, variance, slow, visits: state.visits } };
    }

    #rate(context: UpdateContext<State>, learningRate: ScalarValue): Tensor {
      const { graph } = Object.values(context.params)[0] as Tensor;
      if (is('schedule-baked-in')) return graph.constant(scalarAt(learningRate, 1));
      if (is('schedule-read-once')) return context.scalar('learningRate', () => scalarAt(learningRate, 1));
      return context.scalar('learningRate', learningRate);
    }
  }
  plugin({ name: 'guarded-adam', contract: 'update-rule', options: schema, summary: 'For the tests of the kits.' })(
    GuardedAdam,
  );
  return GuardedAdam;
}

const sameShape = (left: Tensor, right: Tensor): boolean => left.shape.join() === right.shape.join();

const settings = {
  options: { learningRate: 0.05, weightDecay: 0.01 },
  steps: 7,
  skipsNonFinite: true,
  golden: [goldenFile('guarded-adam')],
  parabola: { steps: 200, below: 0.01, options: { learningRate: 0.1, weightDecay: 0, interval: 50 } },
  rosenbrock: { steps: 200, below: 2.5, options: { learningRate: 0.1, weightDecay: 0, interval: 50 } },
} as const;

/** Wrong update rules. */
export const updateRuleMutants: MutantFamily = {
  contract: 'update-rule',
  mutants: Object.entries(WRONG).map(([fault, wrong]) => ({
    fault,
    wrong,
    ...(fault === 'late-fault' ? { unseen: 'no check runs that many steps' } : {}),
  })),
  correct: (backend) => [updateRuleKit(guardedAdam(), { ...settings, backend })],
  kit: (fault, backend) => updateRuleKit(guardedAdam(fault as Fault), { ...settings, backend }),
};
