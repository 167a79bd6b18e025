/** A package cannot be made as it was asked for. The message says why and what to do instead. */
export class CreateError extends Error {
  override readonly name = 'CreateError';
}
