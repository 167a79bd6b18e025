import { UpdraftError } from '@updraft/graph';

/** A derivative, a method or a package does not do what its contract says. */
export class ContractError extends UpdraftError {
  constructor(message: string, options?: ConstructorParameters<typeof UpdraftError>[2]) {
    super('contract', message, options);
  }
}
