import { createContainer } from '@updraft/core';
import type { DependencyContainer, InjectionToken } from 'tsyringe';
import type { Dataset } from './dataset.js';
import { DataError } from './errors.js';

/**
 * Token under which a sampler finds the dataset that it draws from:
 * `constructor(@inject(DATASET, { isOptional: true }) dataset: Dataset | undefined)`.
 */
export const DATASET: InjectionToken<Dataset> = Symbol('updraft.dataset');

/** A container in which samplers find a dataset, besides the services of the given one. */
export function provideDataset(
  dataset: Dataset,
  container: DependencyContainer = createContainer(),
): DependencyContainer {
  const child = container.createChildContainer();
  child.register(DATASET, { useValue: dataset });
  return child;
}

/** The dataset that a sampler was given. @throws DataError where there is none. */
export function requireDataset(dataset: Dataset | undefined, sampler: string): Dataset {
  if (dataset === undefined)
    throw new DataError(`The sampler "${sampler}" was given no dataset to draw from.`, {
      hint: 'Make it in a container that has one: provideDataset(dataset, container).',
    });
  return dataset;
}
