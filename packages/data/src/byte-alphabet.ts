/**
 * The printable character that stands for each byte in byte-level vocabularies (Radford et al. 2019, GPT-2): printable
 * Latin-1 characters stand for themselves, the others for characters from U+0100 on.
 */
export const BYTE_CHARACTERS: readonly string[] = (() => {
  let next = 256;
  return Array.from({ length: 256 }, (_, byte) => {
    const printable = (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
    return String.fromCharCode(printable ? byte : next++);
  });
})();
