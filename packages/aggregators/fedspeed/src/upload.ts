/** Name under which a client sends what belongs to a parameter beside the model. */
export const uploadName = (what: 'displacement' | 'correction', parameter: string): string => `${what}/${parameter}`;
