import type { ClientUpload, ReceiveContext } from '@updraft/core';

/**
 * What a peer hears in the worst case of asynchronous rounds: it waits for n − f models of n, its own among them, and all f
 * attackers are quick. Of the other honest peers n − 2f − 1 come in time, drawn anew for every peer and round. For the
 * option `receive` of `federate`.
 *
 * @param attackers Ids of the attackers.
 */
export const worstCaseReceipt = ({ attackers }: { readonly attackers: readonly string[] }) => {
  const hostile = new Set(attackers);
  return ({ uploads, random }: ReceiveContext): readonly ClientUpload[] => {
    const honest = uploads.filter(({ client }) => !hostile.has(client));
    const inTime = random.permutation(honest.length).slice(0, Math.max(0, honest.length - hostile.size));
    return [
      ...Array.from(inTime, (at) => honest[at] as ClientUpload),
      ...uploads.filter(({ client }) => hostile.has(client)),
    ];
  };
};
