import type { TensorData } from '@updraft/graph';
import type { Aggregator } from '../contracts/aggregator.js';
import type { ClientRule } from '../contracts/client-rule.js';
import type { JsonValue } from '../contracts/sampler.js';
import { federate, type FederateResult } from '../drivers/federate.js';
import { parseOptions } from '../options/index.js';
import type { Contracts } from '../plugins/metadata.js';
import { mapValues } from '../tree.js';
import { probeError, type ProbeContext, type ProbeResult } from './context.js';
import { federationInput } from './inputs.js';
import { parameterSpecs } from './models.js';
import { listSampler, modelTask } from './update-rule.js';
import { readTensors, tensorsJson } from './values.js';

/** Rounds that are told one by one; of a longer run the last ones are. */
const MOST_ROUNDS = 20;

type Named = string | { readonly name: string; readonly options?: unknown };

/**
 * Train the clients of a small federation with a rule and an aggregator, one of which is probed, and tell models and state
 * after every round. It runs in `federate`, like any other federation.
 *
 * @param probed The probed rule of the clients, or aggregator; the other one is named in the input.
 * @throws OptionsError, CoreError naming what of the input does not fit.
 */
export async function probeFederation(
  probed: { readonly updateRule: ClientRule } | { readonly aggregator: Aggregator },
  input: unknown,
  context: ProbeContext,
): Promise<ProbeResult> {
  const given = parseOptions(federationInput, input, 'The input');
  const { clients, updateRule, aggregator, serverRule, rounds, ...settings } = given.federation;
  const make = <C extends 'update-rule' | 'aggregator'>(contract: C, named: Named): Contracts[C] => {
    if (context.plugin === undefined) throw probeError('Plugins cannot be named here.');
    const { name, options } = typeof named === 'string' ? { name: named, options: {} } : named;
    return context.plugin(contract, name, options ?? {});
  };
  const rule = 'updateRule' in probed ? probed.updateRule : make('update-rule', updateRule ?? 'sgd');
  const server = 'aggregator' in probed ? probed.aggregator : make('aggregator', aggregator ?? 'mean');
  const params = readTensors(given.params, 'params', given);
  const empty = clients.findIndex(({ batches }) => batches.length === 0);
  if (empty >= 0) throw probeError(`"federation.clients.${empty}.batches" is empty.`, 'Give at least one.');
  const task = await modelTask(
    { ...given, batches: clients.flatMap(({ batches }) => batches) },
    parameterSpecs(params, given.roles, given.layers),
    params,
    context,
  );
  let taken = 0;
  const lists = clients.map(({ batches }) => task.batches.slice(taken, (taken += batches.length)));
  const options = Object.fromEntries(Object.entries(settings).filter(([, value]) => value !== undefined));
  // A run of n rounds begins as one of n - 1 rounds does, for the seed decides all; so rounds are seen as ends of runs.
  const run = (count: number): Promise<FederateResult> =>
    federate({
      ...options,
      model: task.model,
      reward: task.reward,
      updateRule: rule,
      aggregator: server,
      ...(serverRule === undefined ? {} : { serverRule: make('update-rule', serverRule) }),
      clients: clients.map(({ id, weight }, index) => ({
        id: id ?? String(index),
        weight,
        sampler: listSampler(task.columns, lists[index] ?? [], { again: true }),
      })),
      backend: context.backend,
      rounds: count,
      seed: given.seed,
      initial: task.initial,
    }).result();
  const rows: JsonValue[] = [];
  for (let round = Math.max(1, rounds - MOST_ROUNDS + 1); round <= rounds; round++)
    rows.push({ round, ...resultJson(await run(round)) });
  return { rounds: rows, final: rows.at(-1) ?? null };
}

const resultJson = ({ params, variables, state, clients }: FederateResult): { readonly [key: string]: JsonValue } => ({
  params: tensorsJson(params),
  ...some('variables', variables),
  state: tensorsJson(state),
  clients: mapValues(clients, (client) => ({
    ...some('params', client.params),
    ...some('variables', client.variables),
    state: tensorsJson(client.state),
    steps: client.steps,
  })),
});

/** Tensors where there are any. */
const some = (key: string, tensors: Readonly<Record<string, TensorData>>): { readonly [key: string]: JsonValue } =>
  Object.keys(tensors).length === 0 ? {} : { [key]: tensorsJson(tensors) };
