import { CoreError } from '../errors.js';
import type { FederateOptions } from './federate.js';

/** Refuse options of federated training that cannot be, or do not fit together. @throws CoreError */
export function checkOptions(options: FederateOptions): void {
  const refuse = (message: string, hint: string): never => {
    throw new CoreError('options', message, { hint });
  };
  const positive = (name: string, value: number | undefined): void => {
    if (value !== undefined && (!Number.isSafeInteger(value) || value < 1))
      refuse(`${name} is ${value}.`, 'Give a positive integer.');
  };
  positive('rounds', options.rounds);
  positive('localSteps', options.localSteps);
  positive('localEpochs', options.localEpochs);
  if (options.localSteps !== undefined && options.localEpochs !== undefined)
    refuse('Both localSteps and localEpochs are given.', 'Give one of them.');
  if (options.countSteps === 'global' && options.localEpochs !== undefined)
    refuse('Steps cannot be counted globally where clients take different numbers of them.', 'Give localSteps.');
  const { clients, participation } = options;
  if (clients.length === 0) refuse('There are no clients.', 'Give at least one.');
  const ids = new Set<string>();
  for (const { id, weight = 1 } of clients) {
    if (ids.has(id)) refuse(`Two clients have the id "${id}".`, 'Give every client its own.');
    ids.add(id);
    if (!(weight >= 0 && weight < Infinity))
      refuse(`The weight of the client "${id}" is ${weight}.`, 'Give a finite number from 0.');
  }
  if (participation !== undefined) {
    if ('count' in participation) {
      positive('participation.count', participation.count);
      if (participation.count > clients.length)
        refuse(`${participation.count} of ${clients.length} clients are to take part.`, 'Give a smaller count.');
    } else if (!(participation.fraction > 0 && participation.fraction <= 1))
      refuse(`participation.fraction is ${participation.fraction}.`, 'Give a number above 0, at most 1.');
  }
  if (options.topology === 'peers') {
    if (options.exchange === 'deltas')
      refuse('Peers exchange weights.', "Leave out exchange, or use the topology 'server'.");
    if (options.serverRule !== undefined) refuse('Peers have no server with a rule.', 'Leave out serverRule.');
  } else if (options.receive !== undefined)
    refuse('receive says what peers receive, and there are none.', "Set topology: 'peers'.");
  for (const peer of options.evaluation?.peers ?? [])
    if (!ids.has(peer)) refuse(`There is no client "${peer}" to evaluate.`, `There are: ${[...ids].join(', ')}.`);
}
