import { UpdraftError, type UpdraftErrorOptions } from '../errors.js';

/** A model file is damaged, hostile, beyond a budget, or uses something that Updraft does not carry. */
export class ModelFormatError extends UpdraftError {
  /** Where in the file: `graph.node[12] "conv1".attribute "pads"`. */
  readonly where: string;

  constructor(where: string, message: string, options: UpdraftErrorOptions = {}) {
    super('model-format', where === '' ? message : `${where}: ${message}`, {
      ...options,
      details: { where, ...options.details },
    });
    this.where = where;
  }
}

/** A budget of the loader is exceeded; `details` hold the budget's name, its limit and what the file has. */
export class ModelBudgetError extends ModelFormatError {
  constructor(where: string, budget: string, limit: number, got: number | bigint | string) {
    super(where, `${String(got)} exceeds the budget "${budget}" of ${limit}.`, {
      hint: `If the file is trusted, load it with { budgets: { ${budget}: … } }.`,
      details: { budget, limit, got },
    });
  }
}
